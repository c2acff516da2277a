//! Rows scored by a model, with their true classes under both label rules.

use citronella_sensor::detect::{Encoder, ModelError, ModelFile};

use super::TrainError;
use crate::{
    dataset::{DatasetError, LabelRule, Labels, Table},
    prepare::{Dropped, Rows, encode, with_threads},
};

/// Rows encoded and scored at a time: bounds the memory.
const CHUNK_ROWS: usize = 1 << 15;

/// A model's probabilities for rows, and their true classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Class names: the model's, then those that only the data has (their probability is 0).
    pub classes: Vec<String>,
    /// Indices of the scored rows in the table, ascending.
    pub rows: Vec<u32>,
    /// Each row's class (index into `classes`) by its file: the paper's labels.
    pub truth_by_file: Vec<u32>,
    /// Each row's class by whether the attacker is an endpoint; `None` if the data does not name the attacker.
    pub truth_by_attacker: Option<Vec<u32>>,
    /// Rows x classes, row-major; each row sums to 1. Two columns for a binary model.
    pub probabilities: Vec<f32>,
    /// Rows of the table that the model cannot read, by reason.
    pub dropped: Vec<Dropped>,
}

impl Scored {
    /// The most probable class of each row; the first of equals.
    pub fn predictions(&self) -> Vec<u32> {
        let best = |row: &[f32]| {
            let best =
                (0..).zip(row).fold((0, f32::MIN), |best, (i, &p)| if p > best.1 { (i, p) } else { best });
            best.0
        };
        self.probabilities.chunks_exact(self.classes.len().max(1)).map(best).collect()
    }
}

/// Scores all rows of a table that the model can read, on `threads` threads (0: all).
///
/// # Errors
/// The table is of another level, or has no row that the model can read.
pub fn score(model: &ModelFile, table: &Table, threads: usize) -> Result<Scored, TrainError> {
    let rows = Rows::complete(table, &model.card.rows.required, None)?;
    if rows.used.is_empty() {
        return Err(crate::prepare::PrepareError::NoRows { dropped: rows.dropped_in_words() }.into());
    }
    let mut scored = score_rows(model, table, rows.used, threads)?;
    scored.dropped = rows.dropped;
    Ok(scored)
}

/// Scores some rows of a table.
///
/// # Errors
/// The table is of another level than the model.
pub fn score_rows(
    model: &ModelFile,
    table: &Table,
    rows: Vec<u32>,
    threads: usize,
) -> Result<Scored, TrainError> {
    let card = &model.card;
    if card.level() != Some(table.level()) {
        return Err(TrainError::Level { model: card.level.clone(), data: table.level().name() });
    }
    let encoder = card.encoder().map_err(|problem| ModelError::Card { file: "the model".into(), problem })?;
    let binary = card.network.outputs == 1;
    let by_file = labels(table, LabelRule::File, binary)?;
    let by_attacker = match labels(table, LabelRule::Attacker, binary) {
        Ok(labels) => Some(labels),
        Err(DatasetError::Unlabelled { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut classes = card.classes.clone();
    let truth_by_file = truth(&by_file, &rows, &mut classes);
    let truth_by_attacker = by_attacker.map(|labels| truth(&labels, &rows, &mut classes));
    let outputs = with_threads(threads, || probabilities(model, table, &encoder, &rows))?;
    let probabilities = widen(&outputs, card.network.outputs, classes.len());
    Ok(Scored { classes, rows, truth_by_file, truth_by_attacker, probabilities, dropped: Vec::new() })
}

fn labels(table: &Table, rule: LabelRule, binary: bool) -> Result<Labels, DatasetError> {
    let labels = table.labels(rule)?;
    Ok(if binary { labels.binary() } else { labels })
}

/// The rows' classes as indices into `classes`; appends missing ones.
fn truth(labels: &Labels, rows: &[u32], classes: &mut Vec<String>) -> Vec<u32> {
    let labels = labels.restricted_to(rows);
    let mut index = Vec::with_capacity(labels.classes.len());
    for name in &labels.classes {
        let at = classes.iter().position(|class| class == name).unwrap_or_else(|| {
            classes.push(name.clone());
            classes.len() - 1
        });
        index.push(at as u32);
    }
    let class = |&row: &u32| labels.of_row.get(row as usize).and_then(|&class| index.get(class as usize));
    rows.iter().map(|row| class(row).copied().unwrap_or_default()).collect()
}

fn probabilities(
    model: &ModelFile,
    table: &Table,
    encoder: &Encoder,
    rows: &[u32],
) -> Result<Vec<f32>, citronella_nn::Error> {
    let threads = rayon::current_num_threads();
    let steps = model.card.network.steps(encoder.width());
    let mut outputs = Vec::with_capacity(rows.len() * model.card.network.outputs);
    for rows in rows.chunks(CHUNK_ROWS) {
        let x = encode(table, rows, encoder, threads);
        outputs.extend(model.network.predict(&x.data, rows.len(), steps, threads)?);
    }
    Ok(outputs)
}

/// Widens rows x outputs to rows x classes: a sigmoid output to two columns, classes that the model lacks to 0.
pub(super) fn widen(outputs: &[f32], width: usize, classes: usize) -> Vec<f32> {
    let mut wide = Vec::with_capacity(outputs.len() / width.max(1) * classes);
    for row in outputs.chunks_exact(width.max(1)) {
        let before = wide.len();
        match row {
            [attack] => wide.extend([1.0 - attack, *attack]),
            softmax => wide.extend_from_slice(softmax),
        }
        wide.resize(before + classes, 0.0);
    }
    wide
}

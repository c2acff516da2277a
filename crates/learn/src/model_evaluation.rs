//! Evaluation of a model of rows next to trivial baselines, for `train`, `evaluate` and `demo`.
//!
//! In: scored rows and baselines fitted on the model's training rows, if available. Out: a [`ModelEvaluation`] for
//! each way to label the rows.

use citronella_sensor::detect::{Card, ModelFile, Value};
use serde::{Deserialize, Serialize};

use crate::{
    dataset::{LabelRule, Table},
    evaluate::{
        BaselineError, Confusion, Epoch, EpochScores, EvaluateError, Evaluation, History, Majority, Matrix,
        NearestInTime, PortOnly, Predictions, Scores, Stump,
    },
    prepare::encode,
    train::{self, Scored, TrainError},
};

/// A model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum ModelEvaluationError {
    /// The predictions do not fit the truth.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A baseline could not be fitted.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// The model cannot read the rows.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Trivial classifiers, fitted on a model's training rows with the model's labels. The model's card stores them for
/// `evaluate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    classes: usize,
    majority: Majority,
    stump: Stump,
    stump_input: String,
    time: Option<NearestInTime>,
    port: Option<PortOnly>,
}

/// Name of the baseline that always predicts the most frequent class of the training set.
pub const MOST_FREQUENT: &str = "always the most frequent class";
/// Name of the baseline that predicts the class of the training row nearest in time.
pub const TIMESTAMP_ALONE: &str = "timestamp alone";
/// Key of the baselines in the card's `training`.
const CARD_KEY: &str = "baselines";
/// With more training times than this, the card omits the timestamp baseline: the file would be mostly timestamps.
const MAX_CARD_MOMENTS: usize = 5_000;
const TIME: &str = "timestamp";
const PORT: &str = "dst_port";

impl Baselines {
    /// Fits the baselines on the model's training rows; `truth` has each row's class index.
    ///
    /// # Errors
    /// There are no rows, or the model's inputs do not fit the table.
    pub fn fit(
        model: &ModelFile,
        table: &Table,
        rows: &[u32],
        truth: &[u32],
    ) -> Result<Baselines, ModelEvaluationError> {
        let classes = model.card.classes.len();
        let x = inputs(model, table, rows)?;
        let stump = Stump::fit(Matrix { values: &x.data, width: x.width }, truth, classes)?;
        let input = model.card.inputs.get(stump.feature());
        let time = table.column(TIME).map(|c| NearestInTime::fit(&seconds(table, rows, c), truth, classes));
        let port = table.column(PORT).map(|c| PortOnly::fit(&ports(table, rows, c), truth, classes));
        Ok(Baselines {
            classes,
            majority: Majority::fit(truth, classes)?,
            stump,
            stump_input: input.map(|input| input.column.clone()).unwrap_or_default(),
            time: time.transpose()?,
            port: port.transpose()?,
        })
    }

    /// Writes the baselines into a model's card.
    ///
    /// # Errors
    /// A number is not finite: JSON cannot represent it.
    pub fn store(&self, model: &mut ModelFile) -> Result<(), serde_json::Error> {
        let mut stored = self.clone();
        stored.time = stored.time.filter(|time| time.moments() <= MAX_CARD_MOMENTS);
        let value = serde_json::to_value(stored)?;
        if let Some(training) = model.card.training.as_object_mut() {
            training.insert(CARD_KEY.to_owned(), value);
        }
        Ok(())
    }

    /// The baselines in a model's card.
    pub fn stored(model: &ModelFile) -> Option<Baselines> {
        serde_json::from_value(model.card.training.get(CARD_KEY)?.clone()).ok()
    }

    /// A model's card without baselines, for documents.
    pub fn card_without(model: &ModelFile) -> Card {
        let mut card = model.card.clone();
        if let Some(training) = card.training.as_object_mut() {
            training.shift_remove(CARD_KEY);
        }
        card
    }

    /// Name and probabilities (rows x the model's classes) of each baseline.
    fn predict(
        &self,
        model: &ModelFile,
        table: &Table,
        rows: &[u32],
    ) -> Result<Vec<(String, Vec<f32>)>, ModelEvaluationError> {
        let x = inputs(model, table, rows)?;
        let mut all = vec![
            (MOST_FREQUENT.to_owned(), self.majority.predict(rows.len())),
            (
                format!("one rule ({} alone)", self.stump_input),
                self.stump.predict(Matrix { values: &x.data, width: x.width }),
            ),
        ];
        if let (Some(time), Some(column)) = (&self.time, table.column(TIME)) {
            all.push((TIMESTAMP_ALONE.to_owned(), time.predict(&seconds(table, rows, column))));
        }
        if let (Some(port), Some(column)) = (&self.port, table.column(PORT)) {
            all.push(("destination port alone".to_owned(), port.predict(&ports(table, rows, column))));
        }
        Ok(all)
    }
}

fn inputs(
    model: &ModelFile,
    table: &Table,
    rows: &[u32],
) -> Result<crate::prepare::Matrix, ModelEvaluationError> {
    let encoder = model.card.encoder().map_err(|problem| {
        let file = "the model".to_owned();
        TrainError::from(citronella_sensor::detect::ModelError::Card { file, problem })
    })?;
    Ok(encode(table, rows, &encoder, rayon::current_num_threads()))
}

fn seconds(table: &Table, rows: &[u32], column: usize) -> Vec<f64> {
    let second = |&row: &u32| match table.value(row as usize, column) {
        Value::Number(micros) => (micros / 1e6).floor(),
        _ => f64::NAN,
    };
    rows.iter().map(second).collect()
}

fn ports(table: &Table, rows: &[u32], column: usize) -> Vec<Option<u16>> {
    let port = |&row: &u32| match table.value(row as usize, column) {
        Value::Number(port) if (0.0..=65_535.0).contains(&port) => Some(port as u16),
        _ => None,
    };
    rows.iter().map(port).collect()
}

/// Figures of a model and of the baselines under one way to label the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelEvaluation {
    /// How the rows were labelled.
    pub labels: LabelRule,
    /// The model's figures.
    pub model: Evaluation,
    /// The baselines' figures.
    pub baselines: Vec<Baseline>,
}

/// Figures of a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Description of the baseline.
    pub name: String,
    /// Its figures on the same rows.
    pub figures: Evaluation,
}

impl ModelEvaluation {
    /// Evaluates scored rows of `table`; `None` for labels by attacker if the data does not name the attacker.
    ///
    /// # Errors
    /// Model, table and rows do not fit together.
    pub fn of(
        labels: LabelRule,
        model: &ModelFile,
        table: &Table,
        scored: &Scored,
        baselines: Option<&Baselines>,
    ) -> Result<Option<ModelEvaluation>, ModelEvaluationError> {
        let truth = match (labels, &scored.truth_by_attacker) {
            (LabelRule::File, _) => &scored.truth_by_file,
            (LabelRule::Attacker, Some(truth)) => truth,
            (LabelRule::Attacker, None) => return Ok(None),
        };
        let classes = &scored.classes;
        let of = |probabilities: &[f32]| {
            Evaluation::of(&Predictions::new(classes, truth, Scores::Probabilities(probabilities)))
        };
        let mut figures = Vec::new();
        if let Some(baselines) = baselines {
            for (name, narrow) in baselines.predict(model, table, &scored.rows)? {
                let mut wide = Vec::with_capacity(scored.rows.len() * classes.len());
                for row in narrow.chunks_exact(baselines.classes.max(1)) {
                    wide.extend_from_slice(row);
                    wide.resize(wide.len() + classes.len().saturating_sub(row.len()), 0.0);
                }
                figures.push(Baseline { name, figures: of(&wide)? });
            }
        }
        Ok(Some(ModelEvaluation { labels, model: of(&scored.probabilities)?, baselines: figures }))
    }
}

/// Loss, precision and recall of each epoch, from its raw predictions.
pub fn history(raw: &train::History, classes: &[String]) -> History {
    let count = |truth: &[u32], predicted: Vec<Option<u32>>| Confusion::count(classes, truth, &predicted);
    let epochs = raw.epochs.iter().map(|epoch| {
        let training = epoch.train_predictions.iter().copied().map(Some).collect();
        let scores = Scores::Probabilities(&epoch.validation_probabilities);
        let validation = Predictions::new(classes, &raw.validation_truth, scores).predicted();
        Epoch {
            number: epoch.number as u32,
            training: EpochScores::new(epoch.train_loss, &count(&raw.train_truth, training)),
            validation: Some(EpochScores::new(
                epoch.validation_loss,
                &count(&raw.validation_truth, validation),
            )),
        }
    });
    History { epochs: epochs.collect() }
}

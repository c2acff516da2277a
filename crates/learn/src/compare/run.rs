//! Planning the cells of a comparison, and computing their entries.

use std::{path::Path, time::Instant};

use citronella_sensor::feature::schema::Level;
use serde_json::json;

use super::{
    CompareError, Data, Entry, Protocol, Task, baseline, cache,
    cell::{Cell, Options},
    data::Rows,
    registry::{Kind, MODELS},
    totals::Totals,
};
use crate::{
    dataset::Labels,
    prepare::{Split, SplitBy, SplitPlan},
    train::{self, Silent, Stage},
    zoo::{Fitted, Preset, method},
};

/// Observes the progress of a comparison.
pub trait Observer {
    /// A cell starts; `is_cached` if its result is on disk.
    fn begin(&mut self, cell: &Cell, is_cached: bool);
    /// A cell ends; without an entry if it had nothing to train on or to test.
    fn end(&mut self, cell: &Cell, entry: Option<&Entry>);
}

/// The cells that the data allow and `is_wanted` accepts, in the order of the tables.
pub fn plan(data: &Data, is_wanted: impl Fn(&Cell) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |level: Level, protocols: &[Protocol]| {
        for &protocol in protocols {
            for task in [Task::MultiClass, Task::Binary] {
                for model in MODELS.into_iter().filter(|model| model.runs(level, task)) {
                    let is_defined = model.kind != Kind::Paper || protocol != Protocol::Folds;
                    let cell = Cell { model, level, task, protocol };
                    if is_defined && is_wanted(&cell) {
                        cells.push(cell);
                    }
                }
            }
        }
    };
    for rows in &data.levels {
        let level = rows.table.level();
        if level == Level::NslKdd {
            add(level, &[Protocol::Given]);
            continue;
        }
        add(level, &[Protocol::Split, Protocol::Folds]);
        if !rows.recordings().is_empty() {
            add(level, &[Protocol::Recordings]);
        }
    }
    // Temperature and thresholds are fitted on recordings other than the one that is evaluated.
    if data.recordings.iter().filter(|r| r.captures.iter().any(|c| c.is_attacked())).count() > 2 {
        add(Level::Sequence, &[Protocol::Recordings]);
    }
    cells
}

/// Computes the cells' entries. Results in `folder` are reused, new ones are stored there.
///
/// # Errors
/// A model cannot be fitted, or a result cannot be stored. A cell whose split leaves nothing to train on or to test is
/// skipped.
pub fn run(
    data: &Data,
    cells: &[Cell],
    options: &Options,
    folder: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<Vec<Entry>, CompareError> {
    let mut entries = Vec::new();
    let mut sequence: Option<[Entry; 2]> = None;
    for cell in cells {
        let key = cache::key(&cache_key_of(data, cell, options));
        if let Some(entry) = cache::get(folder, &key) {
            observer.begin(cell, true);
            observer.end(cell, Some(&entry));
            entries.push(entry);
            continue;
        }
        observer.begin(cell, false);
        let entry = if cell.model.kind == Kind::Sequence {
            // One training gives the figures of both tasks.
            let both = match sequence.take() {
                Some(both) => both,
                None => super::sequence::entries(data, options)?,
            };
            let entry = both.iter().find(|entry| entry.task == cell.task).cloned();
            sequence = Some(both);
            entry
        } else {
            match compute(data, cell, options) {
                Err(CompareError::Prepare(crate::prepare::PrepareError::EmptyPart { .. })) => None,
                other => other?,
            }
        };
        if let Some(entry) = &entry {
            cache::put(folder, &key, entry)?;
        }
        observer.end(cell, entry.as_ref());
        entries.extend(entry);
    }
    Ok(entries)
}

/// Everything that decides an entry.
fn cache_key_of(data: &Data, cell: &Cell, options: &Options) -> serde_json::Value {
    let rows = data.levels.iter().find(|rows| rows.table.level() == cell.level);
    let captures =
        data.recordings.iter().flat_map(|r| &r.captures).map(|c| (c.data_file().file, c.data_file().sha256));
    let captures: Vec<_> = if rows.is_none() { captures.collect() } else { Vec::new() };
    json!({
        "format": 1, "program": env!("CARGO_PKG_VERSION"), "model": cell.model.name, "level": cell.level.name(),
        "task": cell.task, "protocol": cell.protocol, "seed": options.seed,
        "folds": (cell.protocol == Protocol::Folds).then_some(options.folds),
        "parameters": cell.parameters(options),
        "files": rows.map(|rows| rows.table.hashes()), "caps": rows.map(|rows| &rows.caps), "captures": captures,
    })
}

/// The splits of a protocol.
fn splits(rows: &Rows, protocol: Protocol, options: &Options) -> Vec<SplitBy> {
    match protocol {
        Protocol::Split => vec![SplitBy::Random],
        Protocol::Folds => (0..options.folds).map(|fold| SplitBy::Fold { fold, of: options.folds }).collect(),
        Protocol::Recordings => {
            rows.recordings().into_iter().map(|name| SplitBy::Recording { leave_out: vec![name] }).collect()
        }
        Protocol::Given => {
            vec![SplitBy::Recording { leave_out: vec![crate::dataset::NSL_KDD_TEST.to_owned()] }]
        }
    }
}

/// Fits and evaluates a model on each split of its protocol.
fn compute(data: &Data, cell: &Cell, options: &Options) -> Result<Option<Entry>, CompareError> {
    let Some(rows) = data.levels.iter().find(|rows| rows.table.level() == cell.level) else {
        return Ok(None);
    };
    if cell.model.kind == Kind::Paper {
        return paper(rows, cell, options);
    }
    let used = if cell.protocol.is_published() { &rows.published } else { &rows.honest };
    // NSL-KDD has no benign rows in attack files: a file holds all categories.
    let used = if cell.level == Level::NslKdd { &rows.honest } else { used };
    let labels: Labels = match cell.task {
        Task::Binary => rows.labels.binary(),
        Task::MultiClass => rows.labels.restricted_to(used),
    };
    let mut totals = Totals::default();
    for by in splits(rows, cell.protocol, options) {
        let plan = SplitPlan { by, test: 0.25, validation: 0.0, seed: options.seed };
        let split = Split::new(&rows.table, used, &labels, &plan)?;
        let truth: Vec<u32> = split
            .test()
            .iter()
            .map(|&row| labels.of_row.get(row as usize).copied().unwrap_or_default())
            .collect();
        let begin = Instant::now();
        let scores = if let Some(method) =
            method(cell.model.name, options.seed).filter(|_| cell.model.kind == Kind::Classical)
        {
            let model =
                Fitted::on(&*method, &split.train_fold(&rows.table, &labels), &rows.steps, options.threads)?;
            totals.train_s += begin.elapsed().as_secs_f64();
            totals.bytes += model.classifier().size_bytes() as u64;
            let begin = Instant::now();
            let scores = model.scores(&rows.table, split.test(), options.threads);
            totals.test_s += begin.elapsed().as_secs_f64();
            scores
        } else {
            let Some((scores, bytes)) = baseline::scores(cell.model.kind, rows, &labels, &split)? else {
                return Ok(None);
            };
            totals.train_s += begin.elapsed().as_secs_f64();
            totals.bytes += bytes;
            scores
        };
        totals.train_rows += split.train().len() as u64;
        totals.add(&labels.classes, &truth, &scores);
    }
    Ok(Some(totals.entry(cell, options, Some(rows))?))
}

/// The LSTM paper's presets on their own rows and split. Labels are by file under the published protocol, by attacker
/// under the honest one.
fn paper(rows: &Rows, cell: &Cell, options: &Options) -> Result<Option<Entry>, CompareError> {
    let Some(preset) = Preset::by_name(cell.model.name) else { return Ok(None) };
    let mut totals = Totals::default();
    for split in splits(rows, cell.protocol, options) {
        let training = train::Options { seed: options.seed, threads: options.threads, epochs: None, split };
        let trained = train::run(preset, &rows.table, &training, &mut Silent)?;
        let test = &trained.test;
        let truth = match (&test.truth_by_attacker, cell.protocol.is_published()) {
            (Some(truth), false) => truth,
            _ => &test.truth_by_file,
        };
        let seconds = |stage: Stage| {
            trained.seconds.iter().filter(|s| s.stage == stage).map(|s| s.seconds).sum::<f64>()
        };
        totals.train_s += seconds(Stage::Encode) + seconds(Stage::Smote) + seconds(Stage::Train);
        totals.test_s += seconds(Stage::Test);
        let weights = trained.model.network.tensors();
        totals.bytes += weights.iter().map(|(_, _, values)| values.len() as u64 * 4).sum::<u64>();
        totals.train_rows += trained.sizes.train.iter().sum::<u64>();
        totals.add(&test.classes, truth, &test.probabilities);
    }
    let mut entry = totals.entry(cell, options, Some(rows))?;
    entry.caps = vec!["its own rows: packets without an empty field, which are CONNECTs".to_owned()];
    Ok(Some(entry))
}

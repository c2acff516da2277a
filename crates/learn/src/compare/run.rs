//! What is to be compared, and doing it, one cell after another.

use std::{path::Path, time::Instant};

use citronella_sensor::feature::schema::Level;
use serde_json::json;

use super::{
    CompareError, Data, Entry, Model, Protocol, Task, baseline, cache,
    data::Rows,
    published,
    registry::{Kind, MODELS},
};
use crate::{
    dataset::Labels,
    evaluate::{Evaluation, Predictions, Scores},
    prepare::{Split, SplitBy, SplitPlan},
    sequence,
    train::{self, Silent, Stage},
    zoo::{Fitted, Preset, method},
};

/// What a caller chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts of k-fold cross-validation.
    pub folds: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads; 0 takes all. The figures do not depend on it, but seconds do.
    pub threads: usize,
    /// How the sequence detector is trained.
    pub sequence: sequence::Options,
}

/// One model on one level, task and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The model.
    pub model: Model,
    /// What a row stands for.
    pub level: Level,
    /// What is told apart.
    pub task: Task,
    /// What keeps training and test apart.
    pub protocol: Protocol,
}

impl Cell {
    /// Its name in progress and messages.
    pub fn name(&self) -> String {
        let (level, task) = (self.level.name(), self.task.name());
        format!("{} on {level}, {task}, {}", self.model.name, self.protocol.name())
    }

    /// A rough share of the whole's time, for the time left.
    pub fn weight(&self, options: &Options) -> u64 {
        let fit = match self.model.kind {
            Kind::Sequence => 400,
            Kind::Paper => 40,
            Kind::Classical => match self.model.name {
                "boosted-trees" => 40,
                "k-nn" | "svm-rbf" | "stacked-lstm" => 15,
                _ => 6,
            },
            _ => 1,
        };
        let fits = match self.protocol {
            Protocol::Folds => options.folds.into(),
            Protocol::Recordings => 4,
            Protocol::Split | Protocol::Given => 1,
        };
        fit * fits
    }
}

/// Hears what is done.
pub trait Observer {
    /// A cell begins; `kept` if its result was found on disk.
    fn begin(&mut self, cell: &Cell, kept: bool);
    /// It is over.
    fn end(&mut self, cell: &Cell, entry: Option<&Entry>);
}

/// Every cell that the data allow, in the tables' order, of the models and protocols that `wanted` takes.
pub fn plan(data: &Data, wanted: impl Fn(&Cell) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |level: Level, protocols: &[Protocol]| {
        for &protocol in protocols {
            for task in [Task::MultiClass, Task::Binary] {
                for model in MODELS.into_iter().filter(|model| model.runs(level, task)) {
                    let whole = model.kind != Kind::Paper || protocol != Protocol::Folds;
                    cells.extend(Some(Cell { model, level, task, protocol }).filter(|c| whole && wanted(c)));
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
    // Temperature and thresholds come from recordings other than the one that is judged.
    if data.recordings.iter().filter(|r| r.captures.iter().any(|c| c.is_attacked())).count() > 2 {
        add(Level::Sequence, &[Protocol::Recordings]);
    }
    cells
}

/// Fills the cells. Results that lie in `folder` are taken from there, new ones are kept there.
///
/// # Errors
/// A model cannot be fitted, or a result cannot be kept. A cell whose split leaves nothing to train on or to test is
/// passed over.
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
        let key = cache::key(&decides(data, cell, options));
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
            match fill(data, cell, options) {
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
fn decides(data: &Data, cell: &Cell, options: &Options) -> serde_json::Value {
    let rows = data.levels.iter().find(|rows| rows.table.level() == cell.level);
    let captures =
        data.recordings.iter().flat_map(|r| &r.captures).map(|c| (c.data_file().file, c.data_file().sha256));
    let captures: Vec<_> = if rows.is_none() { captures.collect() } else { Vec::new() };
    json!({
        "format": 1, "program": env!("CARGO_PKG_VERSION"), "model": cell.model.name, "level": cell.level.name(),
        "task": cell.task, "protocol": cell.protocol, "seed": options.seed,
        "folds": (cell.protocol == Protocol::Folds).then_some(options.folds),
        "parameters": parameters(cell, options),
        "files": rows.map(|rows| rows.table.hashes()), "caps": rows.map(|rows| &rows.caps), "captures": captures,
    })
}

fn parameters(cell: &Cell, options: &Options) -> serde_json::Value {
    match cell.model.kind {
        Kind::Classical => method(cell.model.name, options.seed).map(|m| m.parameters()).unwrap_or_default(),
        Kind::Sequence => json!(options.sequence),
        Kind::Paper => Preset::by_name(cell.model.name)
            .map(|p| json!({ "lstm": p.lstm, "epochs": p.epochs, "batch": p.batch, "smote_neighbours": p.smote_neighbours,
                "seed": options.seed, "reads": p.identity_and_time_columns() }))
            .unwrap_or_default(),
        Kind::Majority | Kind::OneRule | Kind::Timestamp | Kind::Port => json!({}),
    }
}

/// What the fits of a cell add up to.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) classes: Vec<String>,
    pub(super) truth: Vec<u32>,
    pub(super) scores: Vec<f32>,
    pub(super) accuracies: Vec<f64>,
    pub(super) fits: u32,
    pub(super) train_rows: u64,
    pub(super) train_s: f64,
    pub(super) test_s: f64,
    pub(super) bytes: u64,
}

impl Sum {
    /// The entry, all rows judged together.
    pub(super) fn entry(
        self,
        cell: &Cell,
        options: &Options,
        rows: Option<&Rows>,
    ) -> Result<Entry, CompareError> {
        let judged = Evaluation::of(&Predictions::new(
            &self.classes,
            &self.truth,
            Scores::Probabilities(&self.scores),
        ))?;
        let fits = f64::from(self.fits.max(1));
        let range = self.accuracies.iter().fold((f64::MAX, f64::MIN), |(lo, hi), a| (a.min(lo), a.max(hi)));
        let auc = judged.attack.as_ref().and_then(|a| a.roc.as_ref()).and_then(|roc| roc.auc);
        let mut caps = rows.map(|rows| rows.caps.clone()).unwrap_or_default();
        let parameters = parameters(cell, options);
        let cap = parameters.get("max_training_rows").and_then(serde_json::Value::as_u64);
        if let Some(cap) = cap.filter(|cap| *cap < self.train_rows / u64::from(self.fits.max(1))) {
            caps.push(format!("trained on {cap} rows of a fit"));
        }
        Ok(Entry {
            model: cell.model.name.to_owned(),
            source: cell.model.source.to_owned(),
            level: cell.level.name().to_owned(),
            task: cell.task,
            protocol: cell.protocol,
            parameters,
            fits: self.fits,
            train_rows: self.train_rows / u64::from(self.fits.max(1)),
            test_rows: self.truth.len() as u64,
            accuracy: judged.accuracy,
            accuracy_range: (self.accuracies.len() > 1).then_some(range),
            macro_precision: judged.macro_average.precision,
            macro_recall: judged.macro_average.recall,
            macro_f1: judged.macro_average.f1,
            mcc: judged.mcc,
            roc_auc: auc,
            tpr_at_fpr_1e3: judged.attack_tpr_at(1e-3),
            train_s: self.train_s / fits,
            rows_per_s: if self.test_s > 0.0 { self.truth.len() as f64 / self.test_s } else { 0.0 },
            size_bytes: self.bytes / u64::from(self.fits.max(1)),
            confusion: judged.confusion,
            caps,
            reference: rows
                .and_then(|r| published::reference(&r.table, cell.model.name, cell.task, cell.protocol)),
        })
    }

    /// Takes a fit's verdicts, whose classes may be others than those so far.
    pub(super) fn take(&mut self, classes: &[String], truth: &[u32], scores: &[f32]) {
        let place: Vec<usize> = classes
            .iter()
            .map(|name| {
                self.classes.iter().position(|known| known == name).unwrap_or_else(|| {
                    self.widen();
                    self.classes.push(name.clone());
                    self.classes.len() - 1
                })
            })
            .collect();
        let width = self.classes.len();
        let top = |row: &[f32]| {
            (0u32..).zip(row).fold((0, f32::MIN), |best, (c, &p)| if p > best.1 { (c, p) } else { best }).0
        };
        let right =
            scores.chunks_exact(classes.len().max(1)).zip(truth).filter(|(row, y)| top(row) == **y).count();
        self.accuracies.push(right as f64 / truth.len().max(1) as f64);
        for (row, &class) in scores.chunks_exact(classes.len().max(1)).zip(truth) {
            let mut wide = vec![0.0; width];
            for (&at, &score) in place.iter().zip(row) {
                wide.iter_mut().skip(at).take(1).for_each(|cell| *cell = score);
            }
            self.scores.extend(wide);
            self.truth.push(place.get(class as usize).copied().unwrap_or_default() as u32);
        }
        self.fits += 1;
    }

    /// A column more in the rows so far, of probability 0.
    fn widen(&mut self) {
        let width = self.classes.len();
        if width > 0 {
            let rows = self.scores.chunks_exact(width);
            self.scores = rows.flat_map(|row| row.iter().copied().chain([0.0])).collect();
        }
    }
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

fn fill(data: &Data, cell: &Cell, options: &Options) -> Result<Option<Entry>, CompareError> {
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
    let mut sum = Sum::default();
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
            sum.train_s += begin.elapsed().as_secs_f64();
            sum.bytes += model.classifier().size_bytes() as u64;
            let begin = Instant::now();
            let scores = model.scores(&rows.table, split.test(), options.threads);
            sum.test_s += begin.elapsed().as_secs_f64();
            scores
        } else {
            let Some((scores, bytes)) = baseline::scores(cell.model.kind, rows, &labels, &split)? else {
                return Ok(None);
            };
            sum.train_s += begin.elapsed().as_secs_f64();
            sum.bytes += bytes;
            scores
        };
        sum.train_rows += split.train().len() as u64;
        sum.take(&labels.classes, &truth, &scores);
    }
    Ok(Some(sum.entry(cell, options, Some(rows))?))
}

/// The LSTM paper's presets, with their own rows and split: labels by file under the published protocol, by attacker
/// under the honest one.
fn paper(rows: &Rows, cell: &Cell, options: &Options) -> Result<Option<Entry>, CompareError> {
    let Some(preset) = Preset::by_name(cell.model.name) else { return Ok(None) };
    let mut sum = Sum::default();
    for split in splits(rows, cell.protocol, options) {
        let chosen = train::Options { seed: options.seed, threads: options.threads, epochs: None, split };
        let trained = train::run(preset, &rows.table, &chosen, &mut Silent)?;
        let test = &trained.test;
        let truth = match (&test.truth_by_attacker, cell.protocol.is_published()) {
            (Some(truth), false) => truth,
            _ => &test.truth_by_file,
        };
        let took = |stage: Stage| {
            trained.seconds.iter().filter(|s| s.stage == stage).map(|s| s.seconds).sum::<f64>()
        };
        sum.train_s += took(Stage::Encode) + took(Stage::Smote) + took(Stage::Train);
        sum.test_s += took(Stage::Test);
        let weights = trained.model.network.tensors();
        sum.bytes += weights.iter().map(|(_, _, values)| values.len() as u64 * 4).sum::<u64>();
        sum.train_rows += trained.sizes.train.iter().sum::<u64>();
        sum.take(&test.classes, truth, &test.probabilities);
    }
    let mut entry = sum.entry(cell, options, Some(rows))?;
    entry.caps = vec!["its own rows: packets without an empty field, which are CONNECTs".to_owned()];
    Ok(Some(entry))
}

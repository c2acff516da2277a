//! The totals over the fits of a cell, and the entry built from them.

use super::{
    CompareError, Entry,
    cell::{Cell, Options},
    data::Rows,
    published,
};
use crate::evaluate::{Evaluation, Predictions, Scores};

/// Totals over the fits of a cell.
#[derive(Default)]
pub(super) struct Totals {
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

impl Totals {
    /// The entry: all rows are evaluated together.
    pub(super) fn entry(
        self,
        cell: &Cell,
        options: &Options,
        rows: Option<&Rows>,
    ) -> Result<Entry, CompareError> {
        let evaluation = Evaluation::of(&Predictions::new(
            &self.classes,
            &self.truth,
            Scores::Probabilities(&self.scores),
        ))?;
        let fits = f64::from(self.fits.max(1));
        let range = self.accuracies.iter().fold((f64::MAX, f64::MIN), |(lo, hi), a| (a.min(lo), a.max(hi)));
        let auc = evaluation.attack.as_ref().and_then(|a| a.roc.as_ref()).and_then(|roc| roc.auc);
        let mut caps = rows.map(|rows| rows.caps.clone()).unwrap_or_default();
        let parameters = cell.parameters(options);
        let cap = parameters.get("max_training_rows").and_then(serde_json::Value::as_u64);
        if let Some(cap) = cap.filter(|cap| *cap < self.train_rows / u64::from(self.fits.max(1))) {
            caps.push(format!("each fit trained on {cap} rows"));
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
            accuracy: evaluation.accuracy,
            accuracy_range: (self.accuracies.len() > 1).then_some(range),
            macro_precision: evaluation.macro_average.precision,
            macro_recall: evaluation.macro_average.recall,
            macro_f1: evaluation.macro_average.f1,
            mcc: evaluation.mcc,
            roc_auc: auc,
            tpr_at_fpr_1e3: evaluation.attack_tpr_at(1e-3),
            train_s: self.train_s / fits,
            rows_per_s: if self.test_s > 0.0 { self.truth.len() as f64 / self.test_s } else { 0.0 },
            size_bytes: self.bytes / u64::from(self.fits.max(1)),
            confusion: evaluation.confusion,
            caps,
            reference: rows
                .and_then(|r| published::reference(&r.table, cell.model.name, cell.task, cell.protocol)),
        })
    }

    /// Adds a fit's predictions. Its classes may differ from those so far.
    pub(super) fn add(&mut self, classes: &[String], truth: &[u32], scores: &[f32]) {
        let columns: Vec<usize> = classes
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
            for (&at, &score) in columns.iter().zip(row) {
                wide.iter_mut().skip(at).take(1).for_each(|cell| *cell = score);
            }
            self.scores.extend(wide);
            self.truth.push(columns.get(class as usize).copied().unwrap_or_default() as u32);
        }
        self.fits += 1;
    }

    /// Adds a column of probability 0 to the rows so far.
    fn widen(&mut self) {
        let width = self.classes.len();
        if width > 0 {
            let rows = self.scores.chunks_exact(width);
            self.scores = rows.flat_map(|row| row.iter().copied().chain([0.0])).collect();
        }
    }
}

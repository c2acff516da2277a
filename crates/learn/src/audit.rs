//! Shortcuts and leaks in a data set: what a score on it is worth.
//!
//! In: captures with or without a manifest, folders in MQTT-IoT-IDS2020's layout, NSL-KDD, or any labelled CSV or Parquet
//! ([`read`]). Out: an [`Audit`]: what each column scores alone, what trees score on a random split and on unseen
//! recordings, duplicate rows, and [`Finding`]s, worst first.
//!
//! An audit takes a random sample of at most [`ReadOptions::rows`] rows; all figures are of held-out rows. The
//! thresholds are in `finding`, their reasons in docs/adr/0045-audit-thresholds.md.

mod columns;
mod constants;
mod duplicates;
mod error;
mod file_rows;
mod files;
mod finding;
mod label;
mod options;
mod page;
mod power;
mod read;
mod role;
mod rows;
mod sampler;
mod tree;
mod trees;

pub use columns::ColumnPower;
pub use constants::ClassConstant;
pub use duplicates::Duplicates;
pub use error::AuditError;
pub use finding::{Finding, Severity};
pub use options::ReadOptions;
pub use power::Power;
pub use read::read;
pub use role::Role;
pub use rows::{Column, Rows, SampledFile};
pub use trees::Trees;

use crate::dataset::LabelRule;

/// The result of an audit.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Audit {
    /// The result in a sentence.
    pub verdict: String,
    /// Worst first.
    pub findings: Vec<Finding>,
    /// Rows in the files.
    pub rows: u64,
    /// Rows in the sample.
    pub sampled: u64,
    /// Classes, and how many rows of the sample each has.
    pub classes: Vec<(String, u64)>,
    /// What each column scores alone, strongest first.
    pub columns: Vec<ColumnPower>,
    /// What trees score.
    pub trees: Trees,
    /// Rows with equal features.
    pub duplicates: Duplicates,
    /// Columns that are constant in one class and rare elsewhere.
    pub class_constants: Vec<ClassConstant>,
    /// Rows that were left out, by reason.
    pub left_out: Vec<(String, u64)>,
    /// The files.
    pub files: Vec<SampledFile>,
    /// The seed of everything random.
    pub seed: u64,
    /// The share of each class's rows in each of [`TIMELINE`] parts of the data: classes x parts.
    pub timeline: Vec<Vec<f64>>,
}

/// Parts of the timeline.
pub const TIMELINE: usize = 60;

impl Audit {
    /// Audits rows. `labels`: how they were labelled.
    pub fn of(rows: &Rows, labels: LabelRule, seed: u64) -> Audit {
        let split = power::split(rows, seed);
        let columns = columns::columns(rows, &split);
        let duplicates = duplicates::count(rows, &split);
        let (class_constants, constants) = constants::find(rows);
        let trees = trees::trees(rows, &split, seed);
        let mut findings = columns::findings(&columns, trees.features);
        findings.extend(duplicates::findings(&duplicates));
        findings.extend(constants::findings(&class_constants, &constants));
        findings.extend(trees::findings(&trees, labels, rows.has_own_test()));
        findings.extend(files::findings(rows, labels));
        findings.sort_by(|a, b| a.severity.cmp(&b.severity).then(b.figure.total_cmp(&a.figure)));
        let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let verdict = match (of(Severity::Fatal), of(Severity::Warning)) {
            (0, 0) => "No finding makes a score on this data meaningless.".to_owned(),
            (0, n) => format!("A score on this data needs {n} {}.", plural(n, "caveat")),
            (1, _) => "One finding makes a score on this data meaningless.".to_owned(),
            (n, _) => format!("{n} findings make a score on this data meaningless."),
        };
        Audit {
            verdict,
            findings,
            rows: rows.files.iter().map(|file| file.rows).sum(),
            sampled: rows.len() as u64,
            classes: rows.classes.iter().cloned().zip(rows.counts()).collect(),
            columns,
            trees,
            duplicates,
            class_constants,
            left_out: rows.left_out.clone(),
            files: rows.files.clone(),
            seed,
            timeline: timeline(rows),
        }
    }

    /// Whether a finding is fatal.
    pub fn is_fatal(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Fatal)
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// Classes over the first time column, or over the rows' positions if there is none.
fn timeline(rows: &Rows) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if let Some(time) = rows.columns.iter().find(|column| column.role == Role::Time && !column.nominal) {
        let at = |row: &usize| time.values.get(*row).copied().unwrap_or(f64::NAN);
        order.sort_by(|a, b| at(a).total_cmp(&at(b)));
    }
    let counts = rows.counts();
    let mut shares = vec![vec![0.0; TIMELINE]; rows.classes.len()];
    for (rank, row) in order.into_iter().enumerate() {
        let class = rows.truth.get(row).copied().unwrap_or_default() as usize;
        let part = rank * TIMELINE / rows.len().max(1);
        if let Some(share) = shares.get_mut(class).and_then(|shares| shares.get_mut(part)) {
            *share += 1.0 / counts.get(class).copied().unwrap_or(1).max(1) as f64;
        }
    }
    shares
}

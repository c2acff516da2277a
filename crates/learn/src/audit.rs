//! Shortcuts and leaks in a data set: what a score on it would be worth.
//!
//! In: captures with or without a manifest, folders laid out as MQTT-IoT-IDS2020, NSL-KDD, or any labelled CSV or
//! Parquet ([`read`]). Out: an [`Audit`]: what each column scores alone, what a tree scores on a random split and on
//! recordings left out, rows that stand twice, and [`Finding`]s in plain words, worst first.
//!
//! It looks at a sample with a stated cap ([`ReadOptions::rows`]); all figures are of rows that were held out. The
//! thresholds stand in `finding`, the reasons for them in docs/adr/0045-audit-thresholds.md.

mod capture;
mod captures;
mod error;
mod finding;
mod label;
mod page;
mod parquet;
mod power;
mod role;
mod rows;
mod shortcut;
mod source;
mod text;
mod tree;
mod twin;

pub use captures::Trees;
pub use error::AuditError;
pub use finding::{Finding, Severity};
pub use power::Power;
pub use role::Role;
pub use rows::{Column, File, Rows};
pub use shortcut::ColumnPower;
pub use source::{ReadOptions, read};
pub use twin::{Giveaway, Twins};

use crate::dataset::LabelRule;
use power::Split;

/// What an audit found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Audit {
    /// What it comes to, in a sentence.
    pub verdict: String,
    /// Worst first.
    pub findings: Vec<Finding>,
    /// Rows in the files.
    pub rows: u64,
    /// Rows that were looked at.
    pub sampled: u64,
    /// Classes, and how many of the rows looked at each has.
    pub classes: Vec<(String, u64)>,
    /// What each column scores alone, strongest first.
    pub columns: Vec<ColumnPower>,
    /// What trees score.
    pub trees: Trees,
    /// Rows that stand more than once.
    pub twins: Twins,
    /// Columns that name a class by never changing in it.
    pub giveaways: Vec<Giveaway>,
    /// Rows that were left out, by reason.
    pub left_out: Vec<(String, u64)>,
    /// The files.
    pub files: Vec<File>,
    /// The seed of everything random.
    pub seed: u64,
    /// Where the rows of each class stand among all rows: classes x [`TIMELINE`] shares of each class's rows.
    pub timeline: Vec<Vec<f64>>,
}

/// Parts that the data is cut into for the timeline.
pub const TIMELINE: usize = 60;

impl Audit {
    /// Audits rows. `labels`: how they were labelled.
    pub fn of(rows: &Rows, labels: LabelRule, seed: u64) -> Audit {
        let split = Split::new(rows, seed);
        let columns = shortcut::columns(rows, &split);
        let twins = twin::count(rows, &split);
        let (giveaways, constant) = twin::constants(rows);
        let trees = captures::trees(rows, &split, seed);
        let mut findings = shortcut::findings(&columns, trees.features);
        findings.extend(twin::findings(&twins));
        findings.extend(twin::constant_findings(&giveaways, &constant));
        findings.extend(captures::tree_findings(&trees, labels, rows.has_own_test()));
        findings.extend(captures::file_findings(rows, labels));
        findings.sort_by(|a, b| a.severity.cmp(&b.severity).then(b.figure.total_cmp(&a.figure)));
        let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let verdict = match (of(Severity::Fatal), of(Severity::Warning)) {
            (0, 0) => "Nothing was found that makes a score on this data meaningless.".to_owned(),
            (0, n) => format!("A score on this data needs {n} {} said beside it.", plural(n, "caveat")),
            (1, _) => "One finding makes a score on this data meaningless while it stands.".to_owned(),
            (n, _) => format!("{n} findings make a score on this data meaningless while they stand."),
        };
        Audit {
            verdict,
            findings,
            rows: rows.files.iter().map(|file| file.rows).sum(),
            sampled: rows.len() as u64,
            classes: rows.classes.iter().cloned().zip(rows.counts()).collect(),
            columns,
            trees,
            twins,
            giveaways,
            left_out: rows.left_out.clone(),
            files: rows.files.clone(),
            seed,
            timeline: timeline(rows),
        }
    }

    /// Whether a finding makes scores meaningless.
    pub fn is_fatal(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Fatal)
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// Classes over time where there is one time column, else over the rows' places.
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

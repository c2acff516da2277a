//! Rows with equal features: in training and test, and of different classes.

use std::{collections::HashMap, hash::BuildHasher};

use super::{
    Rows,
    finding::{CONFLICTS, Finding, Severity, TABLE, percent},
    power::{Groups, Power, Target},
    role::Role,
    rows::Column,
};
use crate::prepare::Split;

/// Rows with equal features.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Duplicates {
    /// Share of the test rows with an equal row in training.
    pub in_training: f64,
    /// What a look-up table of the training rows scores on the test rows.
    pub table: Power,
    /// Share of all rows with an equal row of another class.
    pub conflicting: f64,
    /// The highest accuracy that a function of the features can reach on these rows.
    pub max_accuracy: f64,
}

/// 128 bits of a row's features: a collision among 10 million different rows has a probability of 10^-24.
fn keys(rows: &Rows) -> Vec<[u64; 2]> {
    let columns: Vec<&Column> = rows.columns.iter().filter(|column| column.role == Role::Feature).collect();
    let hashers = [11, 12].map(foldhash::quality::FixedState::with_seed);
    let key = |row: usize| {
        let bits = |column: &&Column| {
            let value = column.values.get(row).copied().unwrap_or(f64::NAN);
            if value.is_nan() { u64::MAX } else { value.to_bits() }
        };
        let values: Vec<u64> = columns.iter().map(bits).collect();
        hashers.each_ref().map(|hasher| hasher.hash_one(&values))
    };
    (0..rows.len()).map(key).collect()
}

/// Counts the duplicates.
pub(super) fn count(rows: &Rows, split: &Split) -> Duplicates {
    let (keys, target) = (keys(rows), Target::of(rows));
    let key = |row: u32| keys.get(row as usize).copied().unwrap_or_default();
    let groups = Groups::by_key(&target, (split.train(), split.test()), key);
    let in_training = groups.of_test.iter().filter(|group| group.is_some()).count();
    let table = groups.power(&target, split.test());
    let mut all: HashMap<[u64; 2], Vec<u32>> = HashMap::new();
    for (key, &class) in keys.iter().zip(&rows.truth) {
        let counts = all.entry(*key).or_insert_with(|| vec![0; target.classes]);
        counts.get_mut(class as usize).into_iter().for_each(|count| *count += 1);
    }
    let (mut conflicting, mut right) = (0u64, 0u64);
    for counts in all.values() {
        let sum: u32 = counts.iter().sum();
        let most = counts.iter().copied().max().unwrap_or(0);
        right += u64::from(most);
        conflicting += if most < sum { u64::from(sum) } else { 0 };
    }
    let share = |count: u64, of: usize| count as f64 / of.max(1) as f64;
    Duplicates {
        in_training: share(in_training as u64, split.test().len()),
        table,
        conflicting: share(conflicting, rows.len()),
        max_accuracy: share(right, rows.len()),
    }
}

/// Findings on duplicates.
pub(super) fn findings(duplicates: &Duplicates) -> Vec<Finding> {
    let mut all = Vec::new();
    let table = duplicates.table.strongest().max(0.0);
    let severity = match duplicates.in_training {
        share if share >= TABLE && table >= TABLE => Some(Severity::Fatal),
        share if share >= 0.1 => Some(Severity::Warning),
        share if share > 0.0 => Some(Severity::Note),
        _ => None,
    };
    if let Some(severity) = severity {
        all.push(Finding {
            severity,
            check: "duplicates",
            column: None,
            figure: duplicates.in_training,
            text: format!(
                "{} of the test rows have an equal row in training, in every feature. A look-up table of the training rows, which learns nothing, has a skill of {} (accuracy {}).",
                percent(duplicates.in_training),
                percent(table),
                percent(duplicates.table.accuracy)
            ),
            advice: "Count equal rows once, or keep them on one side of the split; report the look-up table's score next to a model's.".into(),
        });
    }
    if duplicates.conflicting > 0.0 {
        all.push(Finding {
            severity: if duplicates.conflicting >= CONFLICTS { Severity::Warning } else { Severity::Note },
            check: "conflicting_labels",
            column: None,
            figure: duplicates.conflicting,
            text: format!(
                "{} of the rows have an equal row of another class. No model that reads only features can be right on more than {} of these rows; a higher score comes from other columns or from memorised rows.",
                percent(duplicates.conflicting),
                percent(duplicates.max_accuracy)
            ),
            advice: "Classify conversations instead of single rows, or label rows by their endpoints instead of by file.".into(),
        });
    }
    all
}

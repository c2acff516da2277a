//! Rows that are equal in all features: in training and test, with other classes, and columns that never change.

use std::collections::HashMap;
use std::hash::BuildHasher;

use super::{
    Rows,
    finding::{CONTRADICTIONS, Finding, Severity, TABLE, percent},
    power::{Groups, Power, Split},
    role::Role,
    rows::Column,
};

/// Rows that stand more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Twins {
    /// Share of the test rows with an equal row in training.
    pub in_training: f64,
    /// What a look-up table of the training rows scores on the test rows.
    pub table: Power,
    /// Share of all rows with an equal row of another class.
    pub contradictory: f64,
    /// The accuracy that no model can exceed on these rows, as equal rows get equal answers.
    pub ceiling: f64,
}

/// 128 bits of a row's features: two of 10 million different rows share them by chance once in 10^24 tries.
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

/// Counts them.
pub(super) fn count(rows: &Rows, split: &Split) -> Twins {
    let (keys, classes) = (keys(rows), rows.classes.len());
    let key = |row: usize| keys.get(row).copied().unwrap_or_default();
    let groups = Groups::by_key(&rows.truth, classes, split, key);
    let found = groups.of_test.iter().filter(|group| group.is_some()).count();
    let table = groups.power(&rows.truth, classes, rows.normal(), split);
    let mut all: HashMap<[u64; 2], Vec<u32>> = HashMap::new();
    for (key, &class) in keys.iter().zip(&rows.truth) {
        let counts = all.entry(*key).or_insert_with(|| vec![0; classes]);
        counts.get_mut(class as usize).into_iter().for_each(|count| *count += 1);
    }
    let (mut contradictory, mut best) = (0u64, 0u64);
    for counts in all.values() {
        let sum: u32 = counts.iter().sum();
        let most = counts.iter().copied().max().unwrap_or(0);
        best += u64::from(most);
        contradictory += if most < sum { u64::from(sum) } else { 0 };
    }
    let share = |count: u64, of: usize| count as f64 / of.max(1) as f64;
    Twins {
        in_training: share(found as u64, split.test.len()),
        table,
        contradictory: share(contradictory, rows.len()),
        ceiling: share(best, rows.len()),
    }
}

/// Findings on equal rows.
pub(super) fn findings(twins: &Twins) -> Vec<Finding> {
    let mut all = Vec::new();
    let table = twins.table.strongest().max(0.0);
    let severity = match twins.in_training {
        share if share >= TABLE && table >= TABLE => Some(Severity::Fatal),
        share if share >= 0.1 => Some(Severity::Warning),
        share if share > 0.0 => Some(Severity::Note),
        _ => None,
    };
    if let Some(severity) = severity {
        all.push(Finding {
            severity,
            check: "twins",
            column: None,
            figure: twins.in_training,
            text: format!(
                "{} of the test rows stand in training too, equal in every feature. A look-up table of the training rows, which learns nothing, has a skill of {} (accuracy {}).",
                percent(twins.in_training),
                percent(table),
                percent(twins.table.accuracy)
            ),
            advice: "Count equal rows once, or split so that they stay together; report the look-up table's score beside a model's.".into(),
        });
    }
    if twins.contradictory > 0.0 {
        all.push(Finding {
            severity: if twins.contradictory >= CONTRADICTIONS { Severity::Warning } else { Severity::Note },
            check: "contradictions",
            column: None,
            figure: twins.contradictory,
            text: format!(
                "{} of the rows have an equal row of another class. No model that reads only features can be right on more than {} of these rows; what scores higher reads something else, or remembers.",
                percent(twins.contradictory),
                percent(twins.ceiling)
            ),
            advice: "Judge conversations instead of single rows, or label by who takes part instead of by file.".into(),
        });
    }
    all
}

/// A class in which a column never changes, with a value that others do not have.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Giveaway {
    /// The column.
    pub column: String,
    /// The class.
    pub class: String,
    /// The value.
    pub value: String,
    /// Share of the other classes' rows with this value.
    pub elsewhere: f64,
}

/// Rows of a class below which a constant says nothing.
const FEW: usize = 20;
/// Share of the other rows that may have the value.
const ELSEWHERE: f64 = 0.01;

/// Columns that are constant within a class, and those that are constant everywhere.
pub(super) fn constants(rows: &Rows) -> (Vec<Giveaway>, Vec<String>) {
    let (mut giveaways, mut constant) = (Vec::new(), Vec::new());
    let counts = rows.counts();
    for column in rows.columns.iter().filter(|column| column.role == Role::Feature) {
        let mut of_class: Vec<Option<f64>> = vec![None; counts.len()];
        let mut is_constant = vec![true; counts.len()];
        for (value, &class) in column.values.iter().zip(&rows.truth) {
            let Some(known) = of_class.get_mut(class as usize) else { continue };
            let first = *known.get_or_insert(*value);
            if !same(first, *value) {
                is_constant.get_mut(class as usize).into_iter().for_each(|is| *is = false);
            }
        }
        let values: Vec<f64> = of_class.iter().flatten().copied().collect();
        let first = values.first().copied().unwrap_or(f64::NAN);
        if is_constant.iter().all(|is| *is) && values.iter().all(|value| same(*value, first)) {
            constant.push(column.name.clone());
            continue;
        }
        for (class, value) in of_class.iter().enumerate() {
            let (Some(value), Some(true), Some(&rows_of_class)) =
                (value, is_constant.get(class), counts.get(class))
            else {
                continue;
            };
            let others = rows.len() - rows_of_class as usize;
            let pairs = column.values.iter().zip(&rows.truth);
            let with = pairs.filter(|(v, c)| **c as usize != class && same(**v, *value)).count();
            let elsewhere = with as f64 / others.max(1) as f64;
            if rows_of_class as usize >= FEW && others > 0 && elsewhere <= ELSEWHERE {
                let name = rows.classes.get(class).cloned().unwrap_or_default();
                giveaways.push(Giveaway {
                    column: column.name.clone(),
                    class: name,
                    value: column.show(*value),
                    elsewhere,
                });
            }
        }
    }
    (giveaways, constant)
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Findings on columns that never change.
pub(super) fn constant_findings(giveaways: &[Giveaway], constant: &[String]) -> Vec<Finding> {
    let mut all = Vec::new();
    if !giveaways.is_empty() {
        let some: Vec<String> = giveaways
            .iter()
            .take(6)
            .map(|g| format!("{} is {} in every row of {}", g.column, g.value, g.class))
            .collect();
        let more = giveaways.len().saturating_sub(some.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        all.push(Finding {
            severity: Severity::Warning,
            check: "constant",
            column: giveaways.first().map(|g| g.column.clone()),
            figure: giveaways.iter().map(|g| 1.0 - g.elsewhere).fold(0.0, f64::max),
            text: format!("Columns name a class by never changing in it, and hardly occurring elsewhere: {}{more}.", some.join("; ")),
            advice: "Such a value belongs to the tool or the machine that made the rows; see whether an attacker could choose another.".into(),
        });
    }
    if !constant.is_empty() {
        all.push(Finding {
            severity: Severity::Note,
            check: "constant",
            column: None,
            figure: 0.0,
            text: format!("Columns with one value in all rows, which say nothing: {}.", constant.join(", ")),
            advice: String::new(),
        });
    }
    all
}

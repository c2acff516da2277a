//! Columns with one value in a whole class, or in all rows.

use super::{
    Rows,
    finding::{Finding, Severity},
    role::Role,
    rows::Column,
};

/// A column with one value in a class, which other classes hardly have.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClassConstant {
    /// The column.
    pub column: String,
    /// The class.
    pub class: String,
    /// The value.
    pub value: String,
    /// Share of the other classes' rows with this value.
    pub elsewhere: f64,
}

/// Rows of a class from which a constant counts.
const MIN_ROWS: u64 = 20;
/// Share of the other rows that may have the value.
const MAX_ELSEWHERE: f64 = 0.01;
/// Constants that a finding lists.
const LISTED: usize = 6;

/// Features that are constant within a class, and the names of those that are constant in all rows.
pub(super) fn find(rows: &Rows) -> (Vec<ClassConstant>, Vec<String>) {
    let (mut of_classes, mut of_all) = (Vec::new(), Vec::new());
    let counts = rows.counts();
    for column in rows.columns.iter().filter(|column| column.role == Role::Feature) {
        // Each class's only value, if it has one.
        let mut first: Vec<Option<f64>> = vec![None; counts.len()];
        let mut is_constant = vec![true; counts.len()];
        for (value, &class) in column.values.iter().zip(&rows.truth) {
            let Some(known) = first.get_mut(class as usize) else { continue };
            if !same(*known.get_or_insert(*value), *value) {
                is_constant.get_mut(class as usize).into_iter().for_each(|is| *is = false);
            }
        }
        let values: Vec<f64> = first.iter().flatten().copied().collect();
        let one = values.first().copied().unwrap_or(f64::NAN);
        if is_constant.iter().all(|is| *is) && values.iter().all(|value| same(*value, one)) {
            of_all.push(column.name.clone());
            continue;
        }
        let constants = first.into_iter().zip(is_constant).enumerate();
        let constants = constants.filter_map(|(class, (value, is))| Some((class, value.filter(|_| is)?)));
        of_classes.extend(constants.filter_map(|(class, value)| class_constant(rows, column, class, value)));
    }
    (of_classes, of_all)
}

fn class_constant(rows: &Rows, column: &Column, class: usize, value: f64) -> Option<ClassConstant> {
    let count = rows.truth.iter().filter(|of| **of as usize == class).count();
    let others = rows.len() - count;
    let pairs = column.values.iter().zip(&rows.truth);
    let with = pairs.filter(|(v, c)| **c as usize != class && same(**v, value)).count();
    let elsewhere = with as f64 / others.max(1) as f64;
    (count as u64 >= MIN_ROWS && others > 0 && elsewhere <= MAX_ELSEWHERE).then(|| ClassConstant {
        column: column.name.clone(),
        class: rows.classes.get(class).cloned().unwrap_or_default(),
        value: column.show(value),
        elsewhere,
    })
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Findings on constant columns.
pub(super) fn findings(of_classes: &[ClassConstant], of_all: &[String]) -> Vec<Finding> {
    let mut all = Vec::new();
    if !of_classes.is_empty() {
        let listed: Vec<String> = of_classes
            .iter()
            .take(LISTED)
            .map(|constant| {
                format!("{} is {} in every row of {}", constant.column, constant.value, constant.class)
            })
            .collect();
        let more = of_classes.len().saturating_sub(LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        all.push(Finding {
            severity: Severity::Warning,
            check: "constant",
            column: of_classes.first().map(|constant| constant.column.clone()),
            figure: of_classes.iter().map(|constant| 1.0 - constant.elsewhere).fold(0.0, f64::max),
            text: format!(
                "Columns are constant in one class and hardly have that value elsewhere: {}{more}.",
                listed.join("; ")
            ),
            advice: "Such a value identifies the tool or the machine that made the rows; check whether an attacker could choose another.".into(),
        });
    }
    if !of_all.is_empty() {
        all.push(Finding {
            severity: Severity::Note,
            check: "constant",
            column: None,
            figure: 0.0,
            text: format!(
                "Columns with one value in all rows, which carry no information: {}.",
                of_all.join(", ")
            ),
            advice: String::new(),
        });
    }
    all
}

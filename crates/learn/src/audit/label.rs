//! Where the class of a row comes from.

use std::{borrow::Cow, path::Path};

use citronella_sensor::detect::Value;

use super::{AuditError, ReadOptions, role::may_be_label};
use crate::dataset::{
    IS_ATTACK, LabelRule, NORMAL, SCENARIO,
    cell::{self, infer},
    class_of_file_name,
    rows::{RawCell, Row},
};

/// The cells that decide a row's class.
#[derive(Debug, PartialEq)]
pub(super) enum LabelSource {
    /// A column holds the class.
    Column(usize),
    /// `is_attack`, and the scenario from a column or the file's name.
    Attack { is_attack: usize, scenario: Option<usize>, file: Option<&'static str>, rule: LabelRule },
    /// `is_attack`, and one scenario for a whole capture.
    Capture { is_attack: usize, scenario: String, rule: LabelRule },
}

impl Default for LabelSource {
    fn default() -> LabelSource {
        LabelSource::Column(0)
    }
}

impl LabelSource {
    /// Finds the label among a file's columns: the requested one; else `is_attack`; else the only column with a label's
    /// usual name.
    pub(super) fn new(
        path: &Path,
        columns: &[String],
        options: &ReadOptions,
    ) -> Result<LabelSource, AuditError> {
        let index = |name: &str| columns.iter().position(|column| column == name);
        let no_label = |problem: String| AuditError::NoLabel {
            file: path.display().to_string(),
            problem,
            columns: columns.to_vec(),
        };
        match (&options.label, index(IS_ATTACK)) {
            (Some(label), _) => index(label)
                .map(LabelSource::Column)
                .ok_or_else(|| no_label(format!("there is no column {label:?}"))),
            (None, Some(is_attack)) => {
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let (scenario, file) = (index(SCENARIO), class_of_file_name(&name));
                Ok(LabelSource::Attack { is_attack, scenario, file, rule: options.labels })
            }
            (None, None) => {
                let mut candidates = (0..).zip(columns).filter(|(_, name)| may_be_label(name));
                match (candidates.next(), candidates.next()) {
                    (Some((at, _)), None) => Ok(LabelSource::Column(at)),
                    (None, _) => Err(no_label("no column looks like a label".into())),
                    _ => Err(no_label("several columns look like a label".into())),
                }
            }
        }
    }

    /// The labels of a capture's rows.
    pub(super) fn of_capture(columns: &[String], scenario: String, rule: LabelRule) -> LabelSource {
        let is_attack = columns.iter().position(|column| column == IS_ATTACK).unwrap_or(usize::MAX);
        LabelSource::Capture { is_attack, scenario, rule }
    }

    pub(super) fn is_of_capture(&self) -> bool {
        matches!(self, LabelSource::Capture { .. })
    }

    /// Whether the label reads a column; such a column is not a feature.
    pub(super) fn reads(&self, column: usize) -> bool {
        match self {
            LabelSource::Column(label) => column == *label,
            LabelSource::Attack { is_attack, scenario, .. } => {
                column == *is_attack || Some(column) == *scenario
            }
            LabelSource::Capture { is_attack, .. } => column == *is_attack,
        }
    }

    /// A row's class, and whether the attacker takes part; `None` if the row is not labelled.
    pub(super) fn class<'r>(&'r self, row: &'r impl Row) -> Option<(Cow<'r, str>, Option<bool>)> {
        match self {
            LabelSource::Column(at) => Some((text(row.cell(*at))?, None)),
            LabelSource::Attack { is_attack, scenario, file, rule } => {
                let is_attack = flag(row.cell(*is_attack));
                let named = scenario.and_then(|at| text(row.cell(at))).or((*file).map(Cow::from));
                let class = match named {
                    Some(Cow::Borrowed(named)) => Cow::from(rule.class_of(is_attack, Some(named))?),
                    named => Cow::from(rule.class_of(is_attack, named.as_deref())?.to_owned()),
                };
                Some((class, is_attack))
            }
            LabelSource::Capture { is_attack, scenario, rule } => {
                let is_attack = flag(row.cell(*is_attack));
                // Packets that carry no address are benign.
                let class = rule.class_of(is_attack, Some(scenario)).unwrap_or(NORMAL);
                Some((class.into(), is_attack))
            }
        }
    }
}

/// How the names of benign classes begin in other data sets.
const BENIGN: [&str; 4] = ["normal", "benign", "legitimate", "background"];

/// A class name without spaces and a final full stop; `normal` for all names of benign classes.
pub(super) fn class_name(name: &str) -> &str {
    let name = name.trim().trim_end_matches('.');
    let lower_case = name.to_ascii_lowercase();
    if BENIGN.iter().any(|prefix| lower_case.starts_with(prefix)) { NORMAL } else { name }
}

/// A label; `None` if it is missing.
fn text(cell: RawCell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        cell if cell.is_missing() => None,
        RawCell::Text(bytes) => Some(cell::text(bytes).into()),
        RawCell::Value(value) => cell::label(value),
    }
}

/// Whether a cell holds a number other than 0; `None` if it is missing.
fn flag(cell: RawCell<'_>) -> Option<bool> {
    let value = match cell {
        RawCell::Text(bytes) => infer(bytes, false),
        RawCell::Value(value) => value,
    };
    match value {
        Value::Empty => None,
        Value::Number(number) => Some(number != 0.0),
        Value::Text(_) | Value::Address(_) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cells([&'static str; 3]);

    impl Row for Cells {
        fn cell(&self, column: usize) -> RawCell<'_> {
            RawCell::Text(self.0[column].as_bytes())
        }
    }

    #[test]
    fn labels_by_column_by_attacker_and_by_file() {
        let columns = ["ttl", "is_attack", "scenario"].map(str::to_owned);
        let class = |options: &ReadOptions, file: &str, cells: [&'static str; 3]| {
            let source = LabelSource::new(Path::new(file), &columns, options).unwrap();
            source.class(&Cells(cells)).map(|(class, _)| class.into_owned())
        };
        let attacker = ReadOptions::default();
        let file = ReadOptions { labels: LabelRule::File, ..ReadOptions::default() };
        assert_eq!(class(&attacker, "flood.csv", ["1", "0", ""]).as_deref(), Some("normal"));
        assert_eq!(class(&attacker, "flood.csv", ["1", "1.0", ""]).as_deref(), Some("flood"));
        assert_eq!(class(&file, "flood.csv", ["1", "0", ""]).as_deref(), Some("flood"));
        assert_eq!(class(&attacker, "x.csv", ["1", "1", "slowite"]).as_deref(), Some("slowite"));
        assert_eq!(class(&attacker, "x.csv", ["1", "1", ""]).as_deref(), Some("attack"));
        assert_eq!(class(&attacker, "x.csv", ["1", "", ""]), None);
        let label = ReadOptions { label: Some("ttl".into()), ..ReadOptions::default() };
        assert_eq!(class(&label, "x.csv", ["7", "1", ""]).as_deref(), Some("7"));
        let options = ReadOptions { label: Some("colour".into()), ..ReadOptions::default() };
        assert!(LabelSource::new(Path::new("x.csv"), &columns, &options).is_err());
        assert!(LabelSource::new(Path::new("x.csv"), &columns[..1], &attacker).is_err());
    }
}

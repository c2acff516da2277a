//! Classes, their canonical order, and the two rules by which a row gets its class.

use std::collections::BTreeSet;

/// The class of benign traffic.
pub const NORMAL: &str = "normal";

/// The class of attack rows without a scenario.
pub(crate) const ATTACK: &str = "attack";

/// The scenario of rows that neither their file nor their cells label.
pub(super) const UNKNOWN: &str = "";

/// The known classes in the order of all tables, matrices and models; others follow alphabetically.
pub const CLASSES: [&str; 8] =
    [NORMAL, "scan_A", "scan_sU", "sparta", "mqtt_bruteforce", "flood", "slowite", "malformed"];

/// Where a row's class comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelRule {
    /// Every row has its file's scenario, as in the LSTM paper.
    File,
    /// Rows that the attacker sent or received have the file's scenario, all others `normal`.
    Attacker,
}

impl LabelRule {
    /// The class of a row; `None` if it is not labelled.
    pub(crate) fn class_of(self, is_attack: Option<bool>, scenario: Option<&str>) -> Option<&str> {
        match (self, is_attack, scenario) {
            (LabelRule::File, _, Some(scenario)) => Some(scenario),
            (_, Some(false), _) | (_, None, Some(NORMAL)) => Some(NORMAL),
            (_, Some(true), scenario) => Some(scenario.unwrap_or(ATTACK)),
            (_, None, _) => None,
        }
    }
}

/// A class for each row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Names of the classes that occur, in canonical order.
    pub classes: Vec<String>,
    /// Each row's index into `classes`.
    pub of_row: Vec<u32>,
}

impl Labels {
    /// The same rows as `normal` (0) and `attack` (1).
    pub fn binary(&self) -> Labels {
        let of_row = self.of_row.iter().map(|&c| u32::from(self.name(c) != NORMAL)).collect();
        Labels { classes: vec![NORMAL.into(), ATTACK.into()], of_row }
    }

    /// The same labels with only the classes that occur in `rows`. The labels of other rows become invalid.
    pub fn restricted_to(&self, rows: &[u32]) -> Labels {
        let mut indices = vec![None; self.classes.len()];
        for &row in rows {
            let class = self.of_row.get(row as usize).map_or(usize::MAX, |&class| class as usize);
            if let Some(index) = indices.get_mut(class) {
                *index = Some(0);
            }
        }
        for (number, index) in (0..).zip(indices.iter_mut().flatten()) {
            *index = number;
        }
        let present = self.classes.iter().zip(&indices).filter(|(_, index)| index.is_some());
        let renumbered = |&class: &u32| indices.get(class as usize).copied().flatten().unwrap_or(u32::MAX);
        Labels {
            classes: present.map(|(name, _)| name.clone()).collect(),
            of_row: self.of_row.iter().map(renumbered).collect(),
        }
    }

    /// The name of a class; empty for an index out of range.
    pub fn name(&self, class: u32) -> &str {
        self.classes.get(class as usize).map_or("", String::as_str)
    }
}

/// Distinct names in canonical order.
pub(crate) fn canonical_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let present: BTreeSet<&str> = names.into_iter().collect();
    let known = CLASSES.iter().copied().filter(|class| present.contains(class));
    let others = present.iter().copied().filter(|name| !CLASSES.contains(name));
    known.chain(others).map(String::from).collect()
}

/// The known class that a file name such as `uniflow_scan_A.csv` names.
pub(crate) fn class_of_file_name(name: &str) -> Option<&'static str> {
    let stem = name.split('.').next().unwrap_or(name);
    let stem = ["packet_", "uniflow_", "biflow_"].iter().find_map(|p| stem.strip_prefix(p)).unwrap_or(stem);
    CLASSES.iter().copied().find(|class| class.eq_ignore_ascii_case(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_classes_precede_others_in_alphabetical_order() {
        assert_eq!(
            canonical_order(["zeta", "flood", "alpha", "normal", "flood"]),
            ["normal", "flood", "alpha", "zeta"]
        );
    }

    #[test]
    fn file_names_as_published() {
        assert_eq!(class_of_file_name("uniflow_scan_A.csv"), Some("scan_A"));
        assert_eq!(class_of_file_name("mqtt_bruteforce.csv"), Some("mqtt_bruteforce"));
        assert_eq!(class_of_file_name("run-1.parquet"), None);
    }

    #[test]
    fn classes_by_file_and_by_attacker() {
        use LabelRule::{Attacker, File};
        assert_eq!(File.class_of(Some(false), Some("flood")), Some("flood"));
        assert_eq!(File.class_of(Some(true), None), Some("attack"));
        assert_eq!(Attacker.class_of(Some(false), Some("flood")), Some("normal"));
        assert_eq!(Attacker.class_of(Some(true), Some("flood")), Some("flood"));
        assert_eq!(Attacker.class_of(None, Some("normal")), Some("normal"));
        assert_eq!(Attacker.class_of(None, Some("flood")), None);
    }
}

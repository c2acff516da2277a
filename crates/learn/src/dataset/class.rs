//! The classes' order, and the two ways to label a row.

use std::collections::BTreeSet;

/// The class of benign traffic.
pub const NORMAL: &str = "normal";

/// The known classes in the order in which every table, matrix and model lists them; others follow alphabetically.
pub const CLASSES: [&str; 8] =
    [NORMAL, "scan_A", "scan_sU", "sparta", "mqtt_bruteforce", "flood", "slowite", "malformed"];

/// What a row's class is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelRule {
    /// The file's scenario for every row of it: the LSTM paper's labels.
    File,
    /// The file's scenario where the attacker sent or receives the row's packets, else `normal`.
    Attacker,
}

/// A class for each row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Names in canonical order; only those that occur.
    pub classes: Vec<String>,
    /// Each row's index into `classes`.
    pub of_row: Vec<u32>,
}

impl Labels {
    /// The same rows as `normal` (0) and `attack` (1).
    pub fn binary(&self) -> Labels {
        let of_row = self.of_row.iter().map(|&c| u32::from(self.name(c) != NORMAL)).collect();
        Labels { classes: vec![NORMAL.into(), "attack".into()], of_row }
    }

    /// The same labels with only the classes that occur in `rows`; other rows' labels are no index any more.
    pub fn restricted_to(&self, rows: &[u32]) -> Labels {
        let mut place = vec![None; self.classes.len()];
        for &row in rows {
            let class = self.of_row.get(row as usize).map_or(usize::MAX, |&class| class as usize);
            if let Some(place) = place.get_mut(class) {
                *place = Some(0);
            }
        }
        for (number, place) in (0..).zip(place.iter_mut().flatten()) {
            *place = number;
        }
        let kept = self.classes.iter().zip(&place).filter(|(_, place)| place.is_some());
        let renumbered = |&class: &u32| place.get(class as usize).copied().flatten().unwrap_or(u32::MAX);
        Labels {
            classes: kept.map(|(name, _)| name.clone()).collect(),
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

/// A known class that a file's name stands for, as the data set and `extract` name files.
pub(crate) fn class_of_file_name(name: &str) -> Option<&'static str> {
    let stem = name.split('.').next().unwrap_or(name);
    let stem = ["packet_", "uniflow_", "biflow_"].iter().find_map(|p| stem.strip_prefix(p)).unwrap_or(stem);
    CLASSES.iter().copied().find(|class| class.eq_ignore_ascii_case(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_classes_come_first_then_the_alphabet() {
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
}

//! The rows under audit: a sample of all files, column by column.

use std::collections::HashMap;

use super::role::Role;
use crate::dataset::NORMAL;

/// A column of the sample.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it describes.
    pub role: Role,
    /// Numbers, or hashes of texts; NaN where missing.
    pub(super) values: Vec<f64>,
    /// Whether values are names, not quantities.
    pub(super) nominal: bool,
    /// The first texts by the bits of their values.
    pub(super) texts: HashMap<u64, String>,
}

impl Column {
    /// A value as text.
    pub(super) fn show(&self, value: f64) -> String {
        match self.texts.get(&value.to_bits()) {
            Some(text) => text.clone(),
            None if value.is_nan() => "empty".to_owned(),
            None => value.to_string(),
        }
    }
}

/// A file with rows in the sample.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SampledFile {
    /// Recording and file name.
    pub name: String,
    /// The recording that it belongs to.
    pub recording: String,
    /// Rows in the file.
    pub rows: u64,
    /// Rows of it in the sample.
    pub sampled: u64,
    /// Classes of its rows, in the sample or not.
    pub classes: Vec<String>,
    /// The capture's link layer.
    pub link: Option<&'static str>,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Labelled rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The columns, without the label.
    pub columns: Vec<Column>,
    /// Class names; `normal` first where there is one.
    pub classes: Vec<String>,
    /// Each row's class.
    pub truth: Vec<u32>,
    /// Each row's file.
    pub file: Vec<u32>,
    /// Each row's position among all rows of all files, in reading order.
    pub position: Vec<u64>,
    /// Whether the attacker sent or received the row, where known.
    pub is_attack: Vec<Option<bool>>,
    /// The files.
    pub files: Vec<SampledFile>,
    /// Index of the first file of the data set's own test; the number of files or more if it has none.
    pub first_test_file: usize,
    /// Rows that were left out, by reason.
    pub left_out: Vec<(String, u64)>,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Whether the data set has test rows of its own.
    pub fn has_own_test(&self) -> bool {
        self.first_test_file < self.files.len()
    }

    /// The index of the class of benign rows.
    pub fn normal(&self) -> Option<u32> {
        self.classes.iter().position(|class| class == NORMAL).map(|at| at as u32)
    }

    /// The number of rows of each class.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.classes.len()];
        for &class in &self.truth {
            counts.get_mut(class as usize).into_iter().for_each(|count| *count += 1);
        }
        counts
    }

    pub(super) fn leave_out(&mut self, reason: &str, rows: u64) {
        match self.left_out.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += rows,
            None if rows > 0 => self.left_out.push((reason.to_owned(), rows)),
            None => {}
        }
    }
}

//! The rows of a table that a model is trained on.

use std::fmt;

use citronella_sensor::detect::Value;

use super::PrepareError;
use crate::dataset::Table;

/// Why a row is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(tag = "reason", content = "column", rename_all = "snake_case")]
pub enum DropReason {
    /// A cell is empty; the first such column in the schema's order.
    Empty(&'static str),
    /// It is beyond the cap of rows of a file.
    BeyondCap,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropReason::Empty(column) => write!(f, "{column} is empty"),
            DropReason::BeyondCap => f.write_str("beyond the cap of rows of a file"),
        }
    }
}

/// The number of rows left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// The reason.
    #[serde(flatten)]
    pub reason: DropReason,
    /// The rows.
    pub rows: u64,
}

/// The rows that are used, and why the others are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Rows of the table, ascending.
    pub used: Vec<u32>,
    /// The other rows by reason, most frequent first.
    pub dropped: Vec<Dropped>,
}

impl Rows {
    /// Selects the rows without an empty cell in the `required` columns among the first `per_file` rows of each file.
    ///
    /// # Errors
    /// A required name is not a column of the table's level.
    pub fn complete(table: &Table, required: &[String], per_file: Option<u64>) -> Result<Rows, PrepareError> {
        let columns = required
            .iter()
            .map(|name| {
                let missing =
                    || PrepareError::NoSuchColumn { column: name.clone(), level: table.level().name() };
                table.column(name).ok_or_else(missing)
            })
            .collect::<Result<Vec<usize>, _>>()?;
        let mut used = Vec::new();
        let mut empty = vec![0u64; columns.len()];
        let mut beyond = 0;
        let mut of_file = vec![0u64; table.sources().len()];
        for row in 0..table.len() {
            if let (Some(cap), Some(count)) = (per_file, of_file.get_mut(table.source_of(row))) {
                *count += 1;
                if *count > cap {
                    beyond += 1;
                    continue;
                }
            }
            match columns
                .iter()
                .zip(&mut empty)
                .find(|(column, _)| table.value(row, **column) == Value::Empty)
            {
                Some((_, count)) => *count += 1,
                None => used.push(row as u32),
            }
        }
        let named = columns.iter().filter_map(|&column| table.columns().get(column)).zip(empty);
        let mut dropped: Vec<Dropped> =
            named.map(|(column, rows)| Dropped { reason: DropReason::Empty(column.name), rows }).collect();
        dropped.push(Dropped { reason: DropReason::BeyondCap, rows: beyond });
        dropped.retain(|d| d.rows > 0);
        dropped.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.reason.cmp(&b.reason)));
        Ok(Rows { used, dropped })
    }

    /// The reasons as one line of text.
    pub fn dropped_in_words(&self) -> String {
        let parts: Vec<String> =
            self.dropped.iter().map(|d| format!("{} rows: {}", d.rows, d.reason)).collect();
        if parts.is_empty() { "nothing was dropped".into() } else { parts.join(", ") }
    }
}

//! Why a data set cannot be read: file, position, problem, remedy.

use std::io;

use citronella_sensor::{capture::CaptureError, feature::schema::Level};

/// Why a data set cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file cannot be opened or read.
    #[error("{file}: {source}; check the path and the permission to read it")]
    Read {
        /// The file.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// A path of no readable kind.
    #[error(
        "{file}: {found}; expected a manifest.csv (scenario, file, attacker, broker, begin, end) with its captures, a \
         folder with such a file or with packet_features/<scenario>.csv, or a .csv or .parquet that `citronella \
         extract` wrote"
    )]
    Unknown {
        /// The path.
        file: String,
        /// What was found.
        found: String,
    },
    /// A path without recordings, where only those are readable.
    #[error(
        "{file}: {found}; a sequence model reads recordings: give a manifest.csv (scenario, file, attacker, broker, \
         begin, end) with its captures, or their folder"
    )]
    NotRecordings {
        /// The path.
        file: String,
        /// What was found.
        found: String,
    },
    /// A malformed manifest.
    #[error("{file}, line {line}, column {column}: {problem}")]
    Manifest {
        /// The manifest.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column name.
        column: &'static str,
        /// The problem and its remedy.
        problem: String,
    },
    /// A header without required columns.
    #[error("{file}: the header lacks {}; it has {}{}", list(.missing), list(.found), hint(.found))]
    MissingColumns {
        /// The file.
        file: String,
        /// The missing columns.
        missing: Vec<String>,
        /// The file's columns.
        found: Vec<String>,
    },
    /// A malformed CSV file.
    #[error("{file}: {source}")]
    Csv {
        /// The file.
        file: String,
        /// The reader's error, with the line.
        source: csv::Error,
    },
    /// A malformed Parquet file.
    #[error("{file}: {problem}; write it again with `citronella extract -o FILE.parquet`")]
    Parquet {
        /// The file.
        file: String,
        /// The reader's error.
        problem: String,
    },
    /// A level without rows of captures.
    #[error("{file}: captures give rows of the packet, uniflow and biflow levels, not of the {level} level")]
    CaptureLevel {
        /// The capture.
        file: String,
        /// The level.
        level: &'static str,
    },
    /// An unusable capture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// No row is left.
    #[error("{file}: no row could be read; {reason}")]
    NoRows {
        /// The files.
        file: String,
        /// The reason, as far as it is known.
        reason: String,
    },
    /// A row without a label.
    #[error(
        "{file}, row {row}: is_attack is empty, so the row's class is unknown; name the attacker in the manifest (its \
         cell is empty where there was none), or with `citronella extract --attacker`"
    )]
    Unlabelled {
        /// The file.
        file: String,
        /// The row, from 1.
        row: u64,
    },
}

impl DatasetError {
    /// Whether the data may have rows of another level.
    pub(crate) fn is_of_another_level(&self) -> bool {
        match self {
            DatasetError::Unknown { .. } => true,
            DatasetError::MissingColumns { found, .. } => level_of(found).is_some(),
            _ => false,
        }
    }
}

/// The level with these columns.
fn level_of(found: &[String]) -> Option<Level> {
    let has = |name: &str| found.iter().any(|found| found == name);
    let levels =
        [Level::Packet, Level::UniflowExtended, Level::Uniflow, Level::BiflowExtended, Level::Biflow];
    levels.into_iter().find(|level| level.columns().iter().all(|column| has(column.name)))
}

/// The remedy for a header without required columns.
fn hint(found: &[String]) -> String {
    match level_of(found) {
        Some(level) => format!("; these are rows of the {} level", level.name()),
        None => "; add what is missing".into(),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no columns".into() } else { names.join(", ") }
}

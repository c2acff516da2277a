//! Why a data set could not be read: file, place, what was wrong, what to do.

use std::io;

use citronella_sensor::{capture::CaptureError, feature::schema::Level};

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file could not be opened or read.
    #[error("{file}: {source}; check the path and the right to read it")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Neither of the kinds of data that can be read.
    #[error(
        "{file}: {found}; expected a manifest.csv (scenario, file, attacker, broker, begin, end) with its captures, a \
         folder with such a file or with packet_features/<scenario>.csv, or a .csv or .parquet that `citronella \
         extract` wrote"
    )]
    Unknown {
        /// The path.
        file: String,
        /// What is there.
        found: String,
    },
    /// No recordings, where only those will do.
    #[error(
        "{file}: {found}; a sequence model reads recordings: give a manifest.csv (scenario, file, attacker, broker, \
         begin, end) with its captures, or the folder they lie in"
    )]
    NotRecordings {
        /// The path.
        file: String,
        /// What is there.
        found: String,
    },
    /// A manifest that contradicts its format.
    #[error("{file}, line {line}, column {column}: {problem}")]
    Manifest {
        /// The manifest.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column name.
        column: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A header without some of the columns that are needed.
    #[error("{file}: the header lacks {}; it has {}{}", list(.missing), list(.found), hint(.found))]
    MissingColumns {
        /// The file.
        file: String,
        /// All columns that are missing.
        missing: Vec<String>,
        /// The columns that the file has.
        found: Vec<String>,
    },
    /// A file that is no CSV.
    #[error("{file}: {source}")]
    Csv {
        /// The file.
        file: String,
        /// What the reader said, with the line.
        source: csv::Error,
    },
    /// A file that is no Parquet, or a damaged one.
    #[error("{file}: {problem}; write it again with `citronella extract -o FILE.parquet`")]
    Parquet {
        /// The file.
        file: String,
        /// What the reader said.
        problem: String,
    },
    /// Rows of a level were asked for that captures do not give.
    #[error("{file}: captures give rows of the packet, uniflow and biflow levels, not of the {level} level")]
    CaptureLevel {
        /// The capture.
        file: String,
        /// The level asked for.
        level: &'static str,
    },
    /// A capture of which nothing can be used.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Nothing was left to learn from.
    #[error("{file}: no row could be read; {reason}")]
    NoRows {
        /// The files.
        file: String,
        /// Why, as far as known.
        reason: String,
    },
    /// Labels were asked for that the data cannot give.
    #[error(
        "{file}, row {row}: is_attack is empty, so the row's class is unknown; name the attacker in the manifest (its \
         cell is empty where there was none), or with `citronella extract --attacker`"
    )]
    Unlabelled {
        /// The file.
        file: String,
        /// Row in it, from 1.
        row: u64,
    },
}

impl DatasetError {
    /// Whether there may be rows of another level than was asked for: no file of this one, or a file of another.
    pub(crate) fn is_of_another_level(&self) -> bool {
        match self {
            DatasetError::Unknown { .. } => true,
            DatasetError::MissingColumns { found, .. } => level_of(found).is_some(),
            _ => false,
        }
    }
}

/// The level whose columns these are.
fn level_of(found: &[String]) -> Option<Level> {
    let has = |name: &str| found.iter().any(|found| found == name);
    let levels =
        [Level::Packet, Level::UniflowExtended, Level::Uniflow, Level::BiflowExtended, Level::Biflow];
    levels.into_iter().find(|level| level.columns().iter().all(|column| has(column.name)))
}

/// What to do about a header that does not fit.
fn hint(found: &[String]) -> String {
    match level_of(found) {
        Some(level) => format!("; these are rows of the {} level", level.name()),
        None => "; add what is missing".into(),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no columns".into() } else { names.join(", ") }
}

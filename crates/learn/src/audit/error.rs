//! Why data cannot be audited.

use crate::dataset::DatasetError;

/// Why data cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Nobody says which column is the label.
    #[error("{file}: {problem}; name the label with --label COLUMN; the columns are {}", .columns.join(", "))]
    NoLabel {
        /// The file.
        file: String,
        /// What is missing.
        problem: String,
        /// The file's columns.
        columns: Vec<String>,
    },
    /// Something that is not there.
    #[error("{name:?} is no column of this data; the columns are {}", .columns.join(", "))]
    NoColumn {
        /// What was asked for.
        name: String,
        /// What there is.
        columns: Vec<String>,
    },
    /// Captures have no label column, rows of other files no preset.
    #[error("{file}: {problem}")]
    Unfit {
        /// The file.
        file: String,
        /// What does not fit, and what to do.
        problem: String,
    },
    /// Too little to say anything.
    #[error(
        "{rows} usable rows of {classes} classes: an audit needs 20 rows and two classes; {}",
        if .reasons.is_empty() { "give more data".to_owned() } else { .reasons.join(", ") }
    )]
    TooLittle {
        /// Rows.
        rows: usize,
        /// Classes.
        classes: usize,
        /// What was left out.
        reasons: Vec<String>,
    },
}

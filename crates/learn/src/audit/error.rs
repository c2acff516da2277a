//! Why data cannot be audited.

use crate::dataset::DatasetError;

/// Why data cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The label column is not known.
    #[error("{file}: {problem}; name the label with --label COLUMN; the columns are {}", .columns.join(", "))]
    NoLabel {
        /// The file.
        file: String,
        /// What is missing.
        problem: String,
        /// The file's columns.
        columns: Vec<String>,
    },
    /// A column to drop does not exist.
    #[error("{name:?} is not a column of this data; the columns are {}", .columns.join(", "))]
    NoColumn {
        /// The requested name.
        name: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// An option that does not apply to a file.
    #[error("{file}: {problem}")]
    Unfit {
        /// The file.
        file: String,
        /// What does not fit, and what to do.
        problem: String,
    },
    /// Too few rows or classes.
    #[error(
        "{rows} usable rows of {classes} classes: an audit needs 20 rows and two classes; {}",
        if .reasons.is_empty() { "give more data".to_owned() } else { .reasons.join(", ") }
    )]
    TooLittle {
        /// Usable rows.
        rows: usize,
        /// Their classes.
        classes: usize,
        /// Why rows were left out.
        reasons: Vec<String>,
    },
    /// A label column that holds no classes.
    #[error("{classes} classes: an audit takes 65,536 at most; name another label with --label COLUMN")]
    TooManyClasses {
        /// Classes in the sample.
        classes: usize,
    },
}

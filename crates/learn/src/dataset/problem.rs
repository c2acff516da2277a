//! What could not be read: counted, and the first of each kind named.

use std::fmt;

/// How many problems of one kind in one file are kept with their place.
const NAMED: usize = 5;

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line in a CSV file, row in a Parquet file; 1-based.
    pub line: u64,
    /// The column; empty where the whole row does not fit.
    pub column: String,
    /// The value as it stands there, shortened.
    pub value: String,
    /// What was expected.
    pub expected: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: ", self.file, self.line)?;
        if self.column.is_empty() {
            return write!(f, "{:?} is not {}", self.value, self.expected);
        }
        write!(f, "column {}: {:?} is not {}", self.column, self.value, self.expected)
    }
}

/// Everything about a table's files that a user should know before trusting it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Problems {
    /// Rows that could not be read and are not in the table.
    pub unreadable_rows: u64,
    /// The first of them, of each kind (file, column).
    pub named: Vec<Problem>,
    /// Header lines in the middle of a file, which are skipped (the published files have them).
    pub repeated_headers: u64,
    /// Captures that end in the middle: their whole packets are in the table. One message each.
    pub cut_captures: Vec<String>,
    /// Captures with pcapng blocks of unknown types, which were passed over. One message each.
    pub unknown_blocks: Vec<String>,
    /// Captures with packets that the flow levels did not count, or not exactly. One message each.
    pub flow_losses: Vec<String>,
    /// Files whose rows beyond the cap were not read, with the cap.
    pub capped_files: Vec<String>,
}

impl Problems {
    /// Whether rows are missing that should be there.
    pub fn is_empty(&self) -> bool {
        self.unreadable_rows == 0 && self.cut_captures.is_empty()
    }

    /// A line for each thing that a user should know; empty if there is nothing.
    pub fn messages(&self) -> Vec<String> {
        let mut lines = [self.cut_captures.as_slice(), &self.unknown_blocks, &self.flow_losses].concat();
        if self.unreadable_rows > 0 {
            lines.push(format!(
                "{} rows could not be read and are left out; the first of each kind:",
                self.unreadable_rows
            ));
            lines.extend(self.named.iter().map(|p| format!("  {p}")));
        }
        lines
    }

    pub(crate) fn unreadable(&mut self, problem: impl FnOnce() -> Problem, file: &str, column: &str) {
        self.unreadable_rows += 1;
        if self.named.iter().filter(|p| p.file == file && p.column == column).count() < NAMED {
            self.named.push(problem());
        }
    }

    pub(crate) fn merge(&mut self, other: Problems) {
        self.unreadable_rows += other.unreadable_rows;
        self.named.extend(other.named);
        self.repeated_headers += other.repeated_headers;
        self.cut_captures.extend(other.cut_captures);
        self.unknown_blocks.extend(other.unknown_blocks);
        self.flow_losses.extend(other.flow_losses);
        self.capped_files.extend(other.capped_files);
    }
}

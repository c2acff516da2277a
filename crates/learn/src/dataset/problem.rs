//! Problems of the files of a table: counted, and the first of each kind listed.

use std::fmt;

/// Listed problems of one kind in one file.
const LISTED: usize = 5;

/// An unreadable row.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line of a CSV file, row of a Parquet file, from 1.
    pub line: u64,
    /// The column; empty if the whole row is malformed.
    pub column: String,
    /// The value, truncated.
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

/// Problems of a table's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Problems {
    /// Unreadable rows, which are not in the table.
    pub unreadable_rows: u64,
    /// The first unreadable rows of each kind (file, column).
    pub named: Vec<Problem>,
    /// Header lines among the rows, which are skipped; the published files have them.
    pub repeated_headers: u64,
    /// Messages on captures that are cut short; their complete packets are in the table.
    pub cut_captures: Vec<String>,
    /// Messages on captures with pcapng blocks of unknown types, which are skipped.
    pub unknown_blocks: Vec<String>,
    /// Messages on captures with packets that the flow levels dropped or reordered.
    pub flow_losses: Vec<String>,
    /// Files with more rows than the cap, with the cap.
    pub capped_files: Vec<String>,
}

impl Problems {
    /// Whether no rows are missing.
    pub fn is_empty(&self) -> bool {
        self.unreadable_rows == 0 && self.cut_captures.is_empty()
    }

    /// One line for each problem.
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
        if self.named.iter().filter(|p| p.file == file && p.column == column).count() < LISTED {
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

//! The interface between the readers of file formats and the consumers of rows: typed tables and samples.

use std::ops::ControlFlow;

use citronella_sensor::{detect::Value, feature::schema::Kind};

use super::DatasetError;

/// A cell as a reader hands it out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawCell<'a> {
    /// Text that is still to be parsed.
    Text(&'a [u8]),
    /// A value whose type the file gives.
    Value(Value<'a>),
}

impl RawCell<'_> {
    /// Whether the cell holds no value.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            RawCell::Text(text) => super::cell::is_missing(text),
            RawCell::Value(value) => *value == Value::Empty,
        }
    }
}

/// How a reader hands out a column. CSV cells are text in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadAs {
    /// Not at all.
    Skip,
    /// Converted to a kind of the schema.
    Kind(Kind),
    /// In the type in which the file stores it.
    Stored,
}

/// One row of a file.
pub(crate) trait Row {
    /// The cell of a column; missing where the row has none.
    fn cell(&self, column: usize) -> RawCell<'_>;
}

/// Takes the rows of one file in order.
pub(crate) trait RowConsumer {
    /// Why the file's columns are refused.
    type Error: From<DatasetError>;

    /// Takes the names of the columns, before any row, and returns how to read each.
    ///
    /// # Errors
    /// Required columns are missing.
    fn columns(&mut self, names: &[String]) -> Result<Vec<ReadAs>, Self::Error>;

    /// Takes a row with its number in the file; `Break` ends reading.
    fn row(&mut self, number: u64, row: &impl Row) -> ControlFlow<()>;

    /// Takes a line whose number of cells is not the header's; `Break` ends reading.
    fn malformed(&mut self, number: u64, first_cell: &[u8]) -> ControlFlow<()>;

    /// Counts a header line that is repeated among the rows.
    fn repeated_header(&mut self) {}
}

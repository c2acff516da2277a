//! Rows to a file: CSV as the data set was published, or Parquet.
//!
//! In: cells in the order of the level's schema. Out: a file, whole or not at all. Memory: one batch of rows.

use std::{io, io::Write, path::Path};

use super::{
    csv::CsvWriter,
    packet::Cell,
    parquet::ParquetWriter,
    schema::{Column, Level, SCENARIO},
};
use crate::output::{Output, OutputError};

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file could not be begun or finished.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Writing failed on the way.
    #[error("{name}: cannot write row {row}: {source}; no file was left behind")]
    Row {
        /// The file.
        name: String,
        /// Row number from 1.
        row: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// Apache Parquet, zstd-compressed.
    Parquet,
}

impl Format {
    /// Parquet for a name that ends in `.parquet`, else CSV.
    pub fn of(path: &Path) -> Format {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("parquet") => Format::Parquet,
            _ => Format::Csv,
        }
    }
}

enum Encoder {
    Csv(CsvWriter),
    Parquet(Box<ParquetWriter<Output>>),
}

/// Writes a level's rows.
pub struct RowWriter {
    name: String,
    rows: u64,
    encoder: Encoder,
    /// The scenario's cell and the row that it ends, where the file has that column.
    scenario: Option<(Cell, Vec<Cell>)>,
}

impl RowWriter {
    /// Begins the file `path` (`-`: stdout).
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path, format: Format, level: Level) -> Result<RowWriter, WriteError> {
        RowWriter::begin(path, format, level.columns())
    }

    /// Begins the file `path` with the column [`SCENARIO`] after the level's; [`RowWriter::set_scenario`] fills it.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn with_scenario(path: &Path, format: Format, level: Level) -> Result<RowWriter, WriteError> {
        let columns: Vec<Column> = level.columns().iter().copied().chain([SCENARIO]).collect();
        let mut writer = RowWriter::begin(path, format, &columns)?;
        writer.scenario = Some((Cell::Empty, Vec::with_capacity(columns.len())));
        Ok(writer)
    }

    fn begin(path: &Path, format: Format, columns: &[Column]) -> Result<RowWriter, WriteError> {
        let name = path.display().to_string();
        let output = Output::create(path)?;
        let begun = match format {
            Format::Csv => CsvWriter::new(output, columns).map(Encoder::Csv),
            Format::Parquet => {
                ParquetWriter::new(output, columns).map(|writer| Encoder::Parquet(Box::new(writer)))
            }
        };
        match begun {
            Ok(encoder) => Ok(RowWriter { name, rows: 0, encoder, scenario: None }),
            Err(source) => Err(WriteError::Row { name, row: 0, source }),
        }
    }

    /// The scenario of the rows that follow, in a file that has the column; a name without comma, quote or line end.
    pub fn set_scenario(&mut self, name: &'static str) {
        if let Some((cell, _)) = &mut self.scenario {
            *cell = Cell::Name(name);
        }
    }

    /// Adds a row; `cells` are in the order of the level's columns.
    ///
    /// # Errors
    /// The disk is full or the reader of a pipe has gone.
    #[inline]
    pub fn write(&mut self, cells: &[Cell]) -> Result<(), WriteError> {
        self.rows += 1;
        let cells = match &mut self.scenario {
            None => cells,
            Some((scenario, row)) => {
                row.clear();
                row.extend(cells.iter().chain([&*scenario]));
                row.as_slice()
            }
        };
        let written = match &mut self.encoder {
            Encoder::Csv(writer) => writer.write(cells),
            Encoder::Parquet(writer) => writer.write(cells),
        };
        written.map_err(|source| WriteError::Row { name: self.name.clone(), row: self.rows, source })
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// The disk is full or the rename fails.
    pub fn finish(self) -> Result<u64, WriteError> {
        let finished = match self.encoder {
            Encoder::Csv(writer) => writer.finish(),
            Encoder::Parquet(writer) => writer.finish(),
        };
        let output =
            finished.map_err(|source| WriteError::Row { name: self.name, row: self.rows, source })?;
        output.commit()?;
        Ok(self.rows)
    }
}

/// What both encoders hand back when they are done.
pub(super) fn flush(mut output: Output) -> io::Result<Output> {
    output.flush()?;
    Ok(output)
}

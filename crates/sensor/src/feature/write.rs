//! Rows to a file: CSV in the data set's published form, or Parquet.
//!
//! In: cells in the order of the level's schema. Out: a file, complete or not at all. Memory: one batch of rows.

use std::{io, path::Path};

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
    /// The file could not be created or finished.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A row could not be written.
    #[error("{name}: cannot write row {row}: {source}; no file was left behind")]
    Row {
        /// The file.
        name: String,
        /// Row number from 1.
        row: u64,
        /// The system's error.
        source: io::Error,
    },
}

/// A file format for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// Apache Parquet, zstd-compressed.
    Parquet,
}

impl Format {
    /// Parquet if the name ends in `.parquet`, else CSV.
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
    /// The scenario's cell and a buffer for the row with it, if the file has that column.
    scenario: Option<(Cell, Vec<Cell>)>,
}

impl RowWriter {
    /// Creates the file `path` (`-`: stdout).
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path, format: Format, level: Level) -> Result<RowWriter, WriteError> {
        RowWriter::with_columns(path, format, level.columns())
    }

    /// Creates the file `path` with the column [`SCENARIO`] after the level's; [`RowWriter::set_scenario`] fills it.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn with_scenario(path: &Path, format: Format, level: Level) -> Result<RowWriter, WriteError> {
        let columns: Vec<Column> = level.columns().iter().copied().chain([SCENARIO]).collect();
        let mut writer = RowWriter::with_columns(path, format, &columns)?;
        writer.scenario = Some((Cell::Empty, Vec::with_capacity(columns.len())));
        Ok(writer)
    }

    fn with_columns(path: &Path, format: Format, columns: &[Column]) -> Result<RowWriter, WriteError> {
        let name = path.display().to_string();
        let output = Output::create(path)?;
        let encoder = match format {
            Format::Csv => CsvWriter::new(output, columns).map(Encoder::Csv),
            Format::Parquet => {
                ParquetWriter::new(output, columns).map(|writer| Encoder::Parquet(Box::new(writer)))
            }
        };
        match encoder {
            Ok(encoder) => Ok(RowWriter { name, rows: 0, encoder, scenario: None }),
            Err(source) => Err(WriteError::Row { name, row: 0, source }),
        }
    }

    /// Sets the scenario of the following rows, if the file has that column. The name has no comma, quote or newline.
    pub fn set_scenario(&mut self, name: &'static str) {
        if let Some((cell, _)) = &mut self.scenario {
            *cell = Cell::Name(name);
        }
    }

    /// Adds a row; `cells` are in the order of the level's columns.
    ///
    /// # Errors
    /// The disk is full or a pipe's reader has closed it.
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

    /// Finishes the file and renames it to its path; returns the number of rows.
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

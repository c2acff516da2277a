//! Rows to a file, encoded by the chunk on several threads.
//!
//! In: rows, in order, from one thread. Out: the file that [`RowWriter`](super::RowWriter) would write, byte by byte:
//! chunks have the same borders for any number of threads and are written in their order. Who brings the rows encodes,
//! too, when it would have to wait. Memory: a chunk of rows a thread and two more; a chunk of Parquet is a row group.

mod feeder;
mod room;
mod rows;

use std::{io::Write, path::Path, sync::Mutex};

use self::room::{Board, Encoder, Room, Sink};
use super::{
    csv::{self, CsvEncoder},
    parquet::{self, GroupWriter},
    schema::{Column, Level, SCENARIO},
    write::{Format, WriteError},
};
use crate::{
    desk::{Desk, together},
    output::Output,
};

pub use self::{
    feeder::Feeder,
    rows::{Extended, Ranks, Rows, Table},
};

const CSV_CHUNK_ROWS: usize = 2048;

/// Writes a level's rows by the chunk.
pub struct ChunkWriter {
    name: String,
    format: Format,
    columns: Vec<Column>,
    has_scenario: bool,
    rows: u64,
    sink: Sink,
}

impl ChunkWriter {
    /// Begins the file `path` (`-`: stdout); `with_scenario`: with the column [`SCENARIO`] after the level's.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(
        path: &Path,
        format: Format,
        level: Level,
        with_scenario: bool,
    ) -> Result<ChunkWriter, WriteError> {
        let name = path.display().to_string();
        let scenario = with_scenario.then_some(SCENARIO);
        let columns: Vec<Column> = level.columns().iter().copied().chain(scenario).collect();
        let mut output = Output::create(path)?;
        let begun = match format {
            Format::Csv => csv::header(&mut output, &columns).map(|()| Sink::Csv(output)),
            Format::Parquet => GroupWriter::new(output, &columns).map(|w| Sink::Parquet(Box::new(w))),
        };
        match begun {
            Ok(sink) => Ok(ChunkWriter { name, format, columns, has_scenario: with_scenario, rows: 0, sink }),
            Err(source) => Err(WriteError::Row { name, row: 0, source }),
        }
    }

    /// Writes what `front` hands over, encoded by so many threads, the caller's included.
    ///
    /// # Errors
    /// What `front` says, or the disk is full, or the reader of a pipe has gone.
    pub fn write_on<R: Rows, T, E: From<WriteError>>(
        &mut self,
        threads: usize,
        front: impl FnOnce(&mut Feeder<'_, R>) -> Result<T, E>,
    ) -> Result<T, E> {
        let threads = threads.max(1);
        let rows = self.rows;
        let encoders = (0..threads).map(|_| Mutex::new(self.encoder())).collect();
        let most = match self.format {
            Format::Csv => 2 * threads as u64 + 2,
            Format::Parquet => threads as u64 + 1,
        };
        let desk = Desk::new(Board::new(rows, threads));
        let room = Room {
            desk: &desk,
            encoders,
            most,
            has_scenario: self.has_scenario,
            name: self.name.clone(),
            sink: Mutex::new(&mut self.sink),
        };
        let chunk_rows = match self.format {
            Format::Csv => CSV_CHUNK_ROWS,
            Format::Parquet => parquet::ROW_GROUP_ROWS,
        };
        let result = together(
            &desk,
            threads,
            || {
                let mut feeder = Feeder::new(&room, chunk_rows);
                let result = front(&mut feeder).and_then(|result| {
                    feeder.finish()?;
                    Ok(result)
                });
                // Whatever happened.
                room.close();
                result
            },
            |number| room.help(number),
        );
        self.rows = desk.into_inner().rows();
        result
    }

    fn encoder(&self) -> Encoder {
        match &self.sink {
            Sink::Csv(_) => Encoder::Csv(CsvEncoder::default()),
            Sink::Parquet(writer) => Encoder::Parquet(Box::new(writer.encoder(&self.columns))),
        }
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
        let finished = match self.sink {
            Sink::Csv(mut output) => output.flush().map(|()| output),
            Sink::Parquet(writer) => writer.finish(),
        };
        let output =
            finished.map_err(|source| WriteError::Row { name: self.name, row: self.rows, source })?;
        output.commit()?;
        Ok(self.rows)
    }
}

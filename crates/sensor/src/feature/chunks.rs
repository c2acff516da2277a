//! Writes rows to a file, encoded by the chunk on several threads.
//!
//! In: rows, in order, from one thread. Out: byte for byte the file that [`RowWriter`](super::RowWriter) would write: chunk
//! boundaries do not depend on the number of threads, and chunks are written in order. The feeding thread encodes, too, while
//! too many chunks are in flight. Limits: 2 chunks of CSV (2,048 rows each) per thread and 2 more; of Parquet (a chunk is a
//! row group) 1 per thread and 1 more.

mod feeder;
mod pipeline;
mod rows;

use std::{io::Write, path::Path, sync::Mutex};

use citronella_nn::parallel::{BeforeSleep, Monitor};

use self::pipeline::{ChunkPipeline, ChunkQueue, Encoder, Sink};
use super::{
    csv::{self, CsvEncoder},
    parquet::{self, GroupWriter},
    schema::{Column, Level, SCENARIO},
    write::{Format, WriteError},
};
use crate::output::Output;

pub use self::{
    feeder::Feeder,
    rows::{Extended, Ranks, Rows, Table},
};

const CSV_CHUNK_ROWS: usize = 2048;

/// Spins for some 200 us: encoding a chunk takes some 300 us, and waking a thread is slow.
const BEFORE_SLEEP: BeforeSleep = BeforeSleep { spins: 8_000, yields: 0 };

/// Writes the rows of a level by the chunk.
pub struct ChunkWriter {
    name: String,
    format: Format,
    columns: Vec<Column>,
    has_scenario: bool,
    rows: u64,
    sink: Sink,
}

impl ChunkWriter {
    /// Creates the file `path` (`-`: stdout); `with_scenario` adds the column [`SCENARIO`] behind the level's.
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
        let sink = match format {
            Format::Csv => csv::header(&mut output, &columns).map(|()| Sink::Csv(output)),
            Format::Parquet => GroupWriter::new(output, &columns).map(|w| Sink::Parquet(Box::new(w))),
        };
        match sink {
            Ok(sink) => Ok(ChunkWriter { name, format, columns, has_scenario: with_scenario, rows: 0, sink }),
            Err(source) => Err(WriteError::Row { name, row: 0, source }),
        }
    }

    /// Writes the rows that `feed` adds to its [`Feeder`], on `threads` threads, the caller's included.
    ///
    /// # Errors
    /// The error of `feed`, or the file cannot be written: the disk is full, or a pipe is closed.
    pub fn write_on<R: Rows, T, E: From<WriteError>>(
        &mut self,
        threads: usize,
        feed: impl FnOnce(&mut Feeder<'_, R>) -> Result<T, E>,
    ) -> Result<T, E> {
        let threads = threads.max(1);
        let encoders = (0..threads).map(|_| Mutex::new(self.encoder())).collect();
        let (chunk_rows, max_in_flight) = match self.format {
            Format::Csv => (CSV_CHUNK_ROWS, 2 * threads as u64 + 2),
            Format::Parquet => (parquet::ROW_GROUP_ROWS, threads as u64 + 1),
        };
        let queue = Monitor::new(ChunkQueue::new(self.rows, threads), BEFORE_SLEEP);
        let pipeline = ChunkPipeline {
            queue: &queue,
            encoders,
            max_in_flight,
            has_scenario: self.has_scenario,
            name: self.name.clone(),
            sink: Mutex::new(&mut self.sink),
        };
        let feed = || {
            let mut feeder = Feeder::new(&pipeline, chunk_rows);
            let result = feed(&mut feeder).and_then(|result| {
                feeder.finish()?;
                Ok(result)
            });
            // With an error, too: the workers wait for it.
            pipeline.close();
            result
        };
        let result = queue.run(threads, feed, |thread| pipeline.run_worker(thread));
        self.rows = queue.into_inner().rows_written();
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

    /// Completes the file, moves it to its path and returns its number of rows.
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

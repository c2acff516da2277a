//! Takes rows in order on one thread and submits them by the chunk.

use std::sync::Arc;

use super::{
    pipeline::{Chunk, ChunkPipeline},
    rows::{Ranks, Rows, Table},
};
use crate::feature::{packet::Cell, write::WriteError};

/// Rows buffered before they go into a chunk. A chunk's recycled memory lies in another core's cache: writing it row by row
/// would wait for its cache lines.
const BUFFERED_ROWS: usize = 64;

/// Takes rows in order.
pub struct Feeder<'a, R: Rows> {
    pipeline: &'a ChunkPipeline<'a, R>,
    scenario: Cell,
    chunk: Chunk<R>,
    /// Rows that are not in the chunk yet; they never fill it.
    buffer: Vec<R::Row>,
    /// Rows in the chunk.
    rows: usize,
    /// Rows of a full chunk.
    chunk_rows: usize,
}

impl<'a, R: Rows> Feeder<'a, R> {
    pub(super) fn new(pipeline: &'a ChunkPipeline<'a, R>, chunk_rows: usize) -> Feeder<'a, R> {
        let (chunk, buffer) = (Vec::new(), Vec::new());
        Feeder { pipeline, scenario: Cell::Empty, chunk, buffer, rows: 0, chunk_rows }
    }

    fn begin_run(&mut self, rows: R) {
        self.chunk.push((self.scenario, rows));
    }

    /// Counts rows added to the chunk and submits it once it is full.
    fn count(&mut self, rows: usize) -> Result<(), WriteError> {
        self.rows += rows;
        if self.rows >= self.chunk_rows { self.submit() } else { Ok(()) }
    }

    fn submit(&mut self) -> Result<(), WriteError> {
        self.pipeline.submit(std::mem::take(&mut self.chunk), std::mem::take(&mut self.rows))
    }

    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.flush_buffer();
        self.submit()?;
        self.pipeline.finish()
    }

    /// Moves the buffered rows into the chunk.
    fn flush_buffer(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        if self.chunk.is_empty() {
            self.begin_run(self.pipeline.recycled_rows().unwrap_or_default());
        }
        if let Some((_, rows)) = self.chunk.last_mut() {
            self.rows += self.buffer.len();
            rows.append(&mut self.buffer);
        }
    }

    /// Sets the scenario of the rows that follow, in a file with that column; a name without comma, quote or line end.
    pub fn set_scenario(&mut self, name: &'static str) {
        self.flush_buffer();
        self.scenario = Cell::Name(name);
        self.begin_run(self.pipeline.recycled_rows().unwrap_or_default());
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A chunk could not be encoded or written.
    #[inline]
    pub fn add(&mut self, row: R::Row) -> Result<(), WriteError> {
        self.buffer.push(row);
        if self.buffer.len() < BUFFERED_ROWS && self.rows + self.buffer.len() < self.chunk_rows {
            return Ok(());
        }
        self.flush_buffer();
        self.count(0)
    }
}

impl<T: Table> Feeder<'_, Ranks<T>> {
    /// Adds all rows of a table, with `scenario` in a file that has the column.
    ///
    /// # Errors
    /// A chunk could not be encoded or written.
    pub fn add_all(&mut self, table: T, scenario: Option<&'static str>) -> Result<(), WriteError> {
        self.scenario = scenario.map_or(Cell::Empty, Cell::Name);
        let table = Arc::new(table);
        let mut from = 0;
        while from < table.total() {
            let to = table.total().min(from + self.chunk_rows - self.rows);
            self.begin_run(Ranks::new(table.clone(), from..to));
            self.count(to - from)?;
            from = to;
        }
        Ok(())
    }
}

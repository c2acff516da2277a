//! Where rows come in, on one thread.

use std::sync::Arc;

use super::{
    room::{Chunk, Room},
    rows::{Ranks, Rows, Table},
};
use crate::feature::{packet::Cell, write::WriteError};

/// Rows that are made here before they go where another core has read: to write there takes long, and what is written
/// and read here would wait for it.
const FRESH_ROWS: usize = 64;

/// Takes rows in their order.
pub struct Feeder<'a, R: Rows> {
    room: &'a Room<'a, R>,
    scenario: Cell,
    chunk: Chunk<R>,
    /// Rows that are not in the chunk yet, but would not fill it.
    fresh: Vec<R::Row>,
    /// Rows in the chunk, and how many there may be.
    rows: usize,
    chunk_rows: usize,
}

impl<'a, R: Rows> Feeder<'a, R> {
    pub(super) fn new(room: &'a Room<'a, R>, chunk_rows: usize) -> Feeder<'a, R> {
        Feeder { room, scenario: Cell::Empty, chunk: Vec::new(), fresh: Vec::new(), rows: 0, chunk_rows }
    }

    fn begin(&mut self, rows: R) {
        self.chunk.push((self.scenario, rows));
    }

    fn count(&mut self, rows: usize) -> Result<(), WriteError> {
        self.rows += rows;
        if self.rows >= self.chunk_rows { self.give() } else { Ok(()) }
    }

    /// Hands the chunk over, and helps as long as there are too many.
    fn give(&mut self) -> Result<(), WriteError> {
        self.room.give(std::mem::take(&mut self.chunk), std::mem::take(&mut self.rows))
    }

    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.pour();
        self.give()?;
        self.room.finish()
    }

    /// Puts the fresh rows into the chunk.
    fn pour(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        if self.chunk.is_empty() {
            self.begin(self.room.spare().unwrap_or_default());
        }
        if let Some((_, rows)) = self.chunk.last_mut() {
            self.rows += self.fresh.len();
            rows.append(&mut self.fresh);
        }
    }

    /// The scenario of the rows that follow, in a file that has the column; a name without comma, quote or line end.
    pub fn set_scenario(&mut self, name: &'static str) {
        self.pour();
        self.scenario = Cell::Name(name);
        self.begin(self.room.spare().unwrap_or_default());
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A chunk could not be encoded or written.
    #[inline]
    pub fn add(&mut self, row: R::Row) -> Result<(), WriteError> {
        self.fresh.push(row);
        if self.fresh.len() < FRESH_ROWS && self.rows + self.fresh.len() < self.chunk_rows {
            return Ok(());
        }
        self.pour();
        self.count(0)
    }
}

impl<T: Table> Feeder<'_, Ranks<T>> {
    /// Adds all rows of a table, of this scenario where the file has the column.
    ///
    /// # Errors
    /// A chunk could not be encoded or written.
    pub fn add_all(&mut self, table: T, scenario: Option<&'static str>) -> Result<(), WriteError> {
        self.scenario = scenario.map_or(Cell::Empty, Cell::Name);
        let table = Arc::new(table);
        let mut from = 0;
        while from < table.total() {
            let to = table.total().min(from + self.chunk_rows - self.rows);
            self.begin(Ranks::new(table.clone(), from..to));
            self.count(to - from)?;
            from = to;
        }
        Ok(())
    }
}

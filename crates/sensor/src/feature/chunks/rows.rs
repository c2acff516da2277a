//! The contents of a chunk: rows in memory, or rows of a table computed when they are encoded.

use std::{convert::Infallible, io, ops::Range, sync::Arc};

use crate::feature::{
    packet::{Cell, PacketRow},
    sequence::WIDTH,
};

/// Consecutive rows.
pub trait Rows: Default + Send {
    /// The type of a row that can be appended.
    type Row;

    /// Moves all of `rows` behind the rows already here.
    fn append(&mut self, rows: &mut Vec<Self::Row>);

    /// Calls `encode` with the cells of each row, in the order of the level's columns.
    ///
    /// # Errors
    /// The first error of `encode`; the rows after it are skipped.
    fn each(&self, encode: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()>;

    /// Removes all rows without releasing their memory.
    fn clear(&mut self);
}

impl Rows for Vec<PacketRow> {
    type Row = PacketRow;

    fn append(&mut self, rows: &mut Vec<PacketRow>) {
        Vec::append(self, rows);
    }

    fn each(&self, encode: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        self.iter().try_for_each(|row| encode(&row.cells()))
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Rows of the sequence level.
impl Rows for Vec<[f32; WIDTH]> {
    type Row = [f32; WIDTH];

    fn append(&mut self, rows: &mut Vec<[f32; WIDTH]>) {
        Vec::append(self, rows);
    }

    fn each(&self, encode: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        self.iter().try_for_each(|row| encode(&row.map(|number| Cell::Float(number.into()))))
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Rows computed on demand, from any thread.
pub trait Table: Send + Sync {
    /// Number of rows.
    fn total(&self) -> usize;

    /// Returns what `encode` makes of the cells of row `rank`, or `None` if there is no such row.
    fn cells<R>(&self, rank: usize, encode: impl FnOnce(&[Cell]) -> R) -> Option<R>;
}

/// A table with the extended columns, which the published data sets lack.
pub struct Extended<T>(pub T);

/// A range of a table's rows.
pub struct Ranks<T>(Option<Arc<T>>, Range<usize>);

impl<T> Default for Ranks<T> {
    fn default() -> Ranks<T> {
        Ranks(None, 0..0)
    }
}

impl<T> Ranks<T> {
    pub(super) fn new(table: Arc<T>, ranks: Range<usize>) -> Ranks<T> {
        Ranks(Some(table), ranks)
    }
}

impl<T: Table> Rows for Ranks<T> {
    /// Rows come from the table alone.
    type Row = Infallible;

    fn append(&mut self, _: &mut Vec<Infallible>) {}

    fn each(&self, encode: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        let Ranks(Some(table), ranks) = self else { return Ok(()) };
        ranks.clone().try_for_each(|rank| table.cells(rank, &mut *encode).unwrap_or(Ok(())))
    }

    fn clear(&mut self) {
        *self = Ranks::default();
    }
}

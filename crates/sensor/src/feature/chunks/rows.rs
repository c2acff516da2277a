//! What chunks are made of: rows that are there, or that are made when they are asked for.

use std::{convert::Infallible, io, ops::Range, sync::Arc};

use crate::feature::{
    packet::{Cell, PacketRow},
    sequence::WIDTH,
};

/// Rows that follow one another.
pub trait Rows: Default + Send {
    /// A row that can be added.
    type Row;

    /// Adds rows behind those that are there, and leaves none in `rows`.
    fn append(&mut self, rows: &mut Vec<Self::Row>);

    /// Gives the cells of each row, in the order of the level's columns, to `tell`.
    ///
    /// # Errors
    /// What `tell` says; the rest is not told then.
    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()>;

    /// Without rows, its memory kept for others.
    fn clear(&mut self);
}

impl Rows for Vec<PacketRow> {
    type Row = PacketRow;

    fn append(&mut self, rows: &mut Vec<PacketRow>) {
        Vec::append(self, rows);
    }

    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        self.iter().try_for_each(|row| tell(&row.cells()))
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

    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        self.iter().try_for_each(|row| tell(&row.map(|number| Cell::Float(number.into()))))
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Rows that are made when they are asked for, from any thread.
pub trait Table: Send + Sync {
    /// Number of rows.
    fn total(&self) -> usize;

    /// Gives the cells of the row of this rank to `tell`; `None` where there is no such row.
    fn cells<R>(&self, rank: usize, tell: impl FnOnce(&[Cell]) -> R) -> Option<R>;
}

/// A table with the columns that the published files lack.
pub struct Extended<T>(pub T);

/// Some consecutive rows of a table.
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
    /// None: the table has all.
    type Row = Infallible;

    fn append(&mut self, _: &mut Vec<Infallible>) {}

    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        let Ranks(Some(table), ranks) = self else { return Ok(()) };
        ranks.clone().try_for_each(|rank| table.cells(rank, &mut *tell).unwrap_or(Ok(())))
    }

    fn clear(&mut self) {
        *self = Ranks::default();
    }
}

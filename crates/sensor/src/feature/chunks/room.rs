//! Where chunks are encoded and written, each by the thread that is free.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::rows::Rows;
use crate::{
    desk::Desk,
    feature::{
        csv::{CsvEncoder, TextBuffer},
        packet::Cell,
        parquet::{self, GroupEncoder, GroupWriter},
        write::WriteError,
    },
    output::Output,
};

/// Rows of one scenario each.
pub(super) type Chunk<R> = Vec<(Cell, R)>;

pub(super) enum Sink {
    Csv(Output),
    Parquet(Box<GroupWriter<Output>>),
}

pub(super) enum Encoder {
    Csv(CsvEncoder),
    Parquet(Box<GroupEncoder>),
}

enum Encoded {
    /// Which thread has encoded it, and the lines.
    Text(usize, TextBuffer),
    Group(parquet::Group),
}

/// Where the work stands.
pub(super) struct Board<R> {
    /// Chunks that nobody encodes yet, each with its number and that of its first row.
    waiting: VecDeque<(u64, u64, Chunk<R>)>,
    /// Chunks that wait for their turn to be written, each with its number of rows.
    encoded: BTreeMap<u64, (u64, Encoded)>,
    given: u64,
    written: u64,
    /// Rows given, and rows written.
    rows_given: u64,
    rows: u64,
    writing: bool,
    closed: bool,
    failed: Option<WriteError>,
    /// Memory for more.
    spare: Vec<R>,
    /// By thread, whose core has it in its cache.
    texts: Vec<Vec<TextBuffer>>,
}

impl<R> Board<R> {
    pub(super) fn new(rows: u64, threads: usize) -> Board<R> {
        Board {
            waiting: VecDeque::new(),
            encoded: BTreeMap::new(),
            given: 0,
            written: 0,
            rows_given: rows,
            rows,
            writing: false,
            closed: false,
            failed: None,
            spare: Vec::new(),
            texts: (0..threads).map(|_| Vec::new()).collect(),
        }
    }

    /// Rows written.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }
}

pub(super) struct Room<'a, R> {
    pub(super) desk: &'a Desk<Board<R>>,
    pub(super) encoders: Vec<Mutex<Encoder>>,
    /// Chunks under way at a time.
    pub(super) most: u64,
    pub(super) has_scenario: bool,
    pub(super) name: String,
    pub(super) sink: Mutex<&'a mut Sink>,
}

impl<R: Rows> Room<'_, R> {
    pub(super) fn help(&self, number: usize) {
        let mut board = self.desk.lock();
        while !self.desk.is_lost() && !board.closed {
            board = match self.step(board, number) {
                Ok(board) => board,
                Err(board) => self.desk.wait(board),
            };
        }
    }

    /// Memory for rows.
    pub(super) fn spare(&self) -> Option<R> {
        self.desk.lock().spare.pop()
    }

    /// Takes a chunk of so many rows from the first thread, which helps as long as too many are under way.
    pub(super) fn give(&self, chunk: Chunk<R>, rows: usize) -> Result<(), WriteError> {
        let mut board = self.desk.lock();
        if rows > 0 {
            let (number, first_row) = (board.given, board.rows_given);
            board.waiting.push_back((number, first_row, chunk));
            board.given += 1;
            board.rows_given += rows as u64;
            self.desk.ring(&board);
        }
        self.work_until(board, self.most)
    }

    /// The first thread works until all is written.
    pub(super) fn finish(&self) -> Result<(), WriteError> {
        self.work_until(self.desk.lock(), 1)
    }

    /// Nothing comes any more: nobody waits any longer.
    pub(super) fn close(&self) {
        let mut board = self.desk.lock();
        board.closed = true;
        self.desk.ring(&board);
    }

    /// The first thread works until fewer chunks than `most` are under way.
    fn work_until<'a>(&'a self, mut board: MutexGuard<'a, Board<R>>, most: u64) -> Result<(), WriteError> {
        while !self.desk.is_lost() && board.failed.is_none() && board.given - board.written >= most {
            board = match self.step(board, 0) {
                Ok(board) => board,
                Err(board) => self.desk.wait(board),
            };
        }
        board.failed.take().map_or(Ok(()), Err)
    }

    /// Writes or encodes a chunk; the error means that there is none.
    fn step<'a>(
        &'a self,
        mut board: MutexGuard<'a, Board<R>>,
        number: usize,
    ) -> Result<MutexGuard<'a, Board<R>>, MutexGuard<'a, Board<R>>> {
        if board.failed.is_some() {
            return Err(board);
        }
        let next = board.written;
        if !board.writing
            && let Some((rows, encoded)) = board.encoded.remove(&next)
        {
            board.writing = true;
            drop(board);
            let written = self.write(encoded);
            let mut board = self.desk.lock();
            board.writing = false;
            match written {
                Ok(text) => {
                    board.written += 1;
                    board.rows += rows;
                    if let Some((number, text)) = text
                        && let Some(texts) = board.texts.get_mut(number)
                    {
                        texts.push(text);
                    }
                }
                Err(source) => {
                    let row = board.rows + 1;
                    board.failed = Some(WriteError::Row { name: self.name.clone(), row, source });
                }
            }
            self.desk.ring(&board);
            return Ok(board);
        }
        let Some((chunk, first_row, mut rows)) = board.waiting.pop_front() else { return Err(board) };
        let text = board.texts.get_mut(number).and_then(Vec::pop).unwrap_or_default();
        drop(board);
        let mut count = 0;
        let encoded = self.encode(&rows, number, text, &mut count);
        rows.iter_mut().for_each(|(_, rows)| rows.clear());
        let mut board = self.desk.lock();
        board.spare.extend(rows.into_iter().map(|(_, rows)| rows));
        match encoded {
            Ok(encoded) => {
                board.encoded.insert(chunk, (count, encoded));
            }
            Err(source) => {
                let row = first_row + count;
                board.failed = Some(WriteError::Row { name: self.name.clone(), row, source });
            }
        }
        self.desk.ring(&board);
        Ok(board)
    }

    fn write(&self, encoded: Encoded) -> io::Result<Option<(usize, TextBuffer)>> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut **sink, encoded) {
            (Sink::Csv(output), Encoded::Text(number, text)) => {
                output.write_all(text.as_bytes()).map(|()| Some((number, text)))
            }
            (Sink::Parquet(writer), Encoded::Group(group)) => writer.append(group).map(|()| None),
            _ => Ok(None),
        }
    }

    fn encode(
        &self,
        chunk: &Chunk<R>,
        number: usize,
        mut text: TextBuffer,
        count: &mut u64,
    ) -> io::Result<Encoded> {
        // Every thread has its own.
        let Some(encoder) = self.encoders.get(number) else { return Ok(Encoded::Text(number, text)) };
        match &mut *encoder.lock().unwrap_or_else(PoisonError::into_inner) {
            Encoder::Csv(encoder) => {
                text.clear();
                self.each(chunk, count, |cells| encoder.line(cells, &mut text))?;
                Ok(Encoded::Text(number, text))
            }
            Encoder::Parquet(encoder) => {
                self.each(chunk, count, |cells| encoder.append(cells))?;
                encoder.finish().map(Encoded::Group)
            }
        }
    }

    fn each(
        &self,
        chunk: &Chunk<R>,
        count: &mut u64,
        mut tell: impl FnMut(&[Cell]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut row = Vec::new();
        chunk.iter().try_for_each(|(scenario, rows)| {
            rows.each(&mut |cells| {
                *count += 1;
                if !self.has_scenario {
                    return tell(cells);
                }
                row.clear();
                row.extend(cells.iter().chain([scenario]));
                tell(&row)
            })
        })
    }
}

//! Rows to a file, encoded by the chunk on several threads.
//!
//! In: rows, in order, from one thread. Out: the file that [`RowWriter`](super::RowWriter) would write, byte by byte:
//! chunks have the same borders for any number of threads and are written in their order. Who brings the rows encodes,
//! too, when it would have to wait. Memory: a chunk of rows a thread and two more; a chunk of Parquet is a row group.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write},
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    csv::{self, CsvEncoder},
    packet::{Cell, PacketRow},
    parquet::{self, GroupEncoder, GroupWriter},
    schema::{Column, Level, SCENARIO},
    sequence::WIDTH,
    write::{Format, WriteError},
};
use crate::{
    desk::{Desk, together},
    output::Output,
};

const CSV_CHUNK_ROWS: usize = 2048;

/// Rows that follow one another.
pub trait Rows: Send {
    /// Gives the cells of each row, in the order of the level's columns, to `tell`.
    ///
    /// # Errors
    /// What `tell` says; the rest is not told then.
    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()>;

    /// Without rows, its memory kept for others.
    fn clear(&mut self);
}

impl Rows for Vec<PacketRow> {
    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        self.iter().try_for_each(|row| tell(&row.cells()))
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Rows of the sequence level.
impl Rows for Vec<[f32; WIDTH]> {
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

impl<T: Table> Rows for Ranks<T> {
    fn each(&self, tell: &mut impl FnMut(&[Cell]) -> io::Result<()>) -> io::Result<()> {
        let Ranks(Some(table), ranks) = self else { return Ok(()) };
        ranks.clone().try_for_each(|rank| table.cells(rank, &mut *tell).unwrap_or(Ok(())))
    }

    fn clear(&mut self) {
        *self = Ranks(None, 0..0);
    }
}

/// Rows of one scenario each.
type Chunk<R> = Vec<(Cell, R)>;

/// Writes a level's rows by the chunk.
pub struct ChunkWriter {
    name: String,
    format: Format,
    columns: Vec<Column>,
    has_scenario: bool,
    rows: u64,
    sink: Sink,
}

enum Sink {
    Csv(Output),
    Parquet(Box<GroupWriter<Output>>),
}

enum Encoder {
    Csv(CsvEncoder),
    Parquet(Box<GroupEncoder>),
}

enum Encoded {
    /// Which thread has encoded it, and the lines.
    Text(usize, Vec<u8>),
    Group(parquet::Group),
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
                let mut feeder =
                    Feeder { room: &room, scenario: Cell::Empty, chunk: Vec::new(), rows: 0, chunk_rows };
                let result = front(&mut feeder).and_then(|result| {
                    feeder.finish()?;
                    Ok(result)
                });
                // Whatever happened, nobody waits any longer.
                let mut board = desk.lock();
                board.closed = true;
                desk.ring(&board);
                result
            },
            |number| room.help(number),
        );
        self.rows = desk.into_inner().rows;
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

/// Where the work stands.
struct Board<R> {
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
    texts: Vec<Vec<Vec<u8>>>,
}

impl<R> Board<R> {
    fn new(rows: u64, threads: usize) -> Board<R> {
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
            texts: vec![Vec::new(); threads],
        }
    }
}

struct Room<'a, R> {
    desk: &'a Desk<Board<R>>,
    encoders: Vec<Mutex<Encoder>>,
    /// Chunks under way at a time.
    most: u64,
    has_scenario: bool,
    name: String,
    sink: Mutex<&'a mut Sink>,
}

impl<R: Rows> Room<'_, R> {
    fn help(&self, number: usize) {
        let mut board = self.desk.lock();
        while !self.desk.is_lost() && !board.closed {
            board = match self.step(board, number) {
                Ok(board) => board,
                Err(board) => self.desk.wait(board),
            };
        }
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

    fn write(&self, encoded: Encoded) -> io::Result<Option<(usize, Vec<u8>)>> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut **sink, encoded) {
            (Sink::Csv(output), Encoded::Text(number, text)) => {
                output.write_all(&text).map(|()| Some((number, text)))
            }
            (Sink::Parquet(writer), Encoded::Group(group)) => writer.append(group).map(|()| None),
            _ => Ok(None),
        }
    }

    fn encode(
        &self,
        chunk: &Chunk<R>,
        number: usize,
        mut text: Vec<u8>,
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

/// Takes rows in their order.
pub struct Feeder<'a, R> {
    room: &'a Room<'a, R>,
    scenario: Cell,
    chunk: Chunk<R>,
    /// Rows in the chunk, and how many there may be.
    rows: usize,
    chunk_rows: usize,
}

impl<R: Rows> Feeder<'_, R> {
    fn begin(&mut self, rows: R) {
        self.chunk.push((self.scenario, rows));
    }

    fn count(&mut self, rows: usize) -> Result<(), WriteError> {
        self.rows += rows;
        if self.rows >= self.chunk_rows { self.give() } else { Ok(()) }
    }

    /// Hands the chunk over, and helps as long as there are too many.
    fn give(&mut self) -> Result<(), WriteError> {
        let rows = std::mem::take(&mut self.rows) as u64;
        let chunk = std::mem::take(&mut self.chunk);
        let mut board = self.room.desk.lock();
        if rows > 0 {
            let (number, first_row) = (board.given, board.rows_given);
            board.waiting.push_back((number, first_row, chunk));
            board.given += 1;
            board.rows_given += rows;
            self.room.desk.ring(&board);
        }
        self.room.work_until(board, self.room.most)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.give()?;
        self.room.work_until(self.room.desk.lock(), 1)
    }
}

impl<T> Feeder<'_, Vec<T>>
where
    Vec<T>: Rows,
{
    /// The scenario of the rows that follow, in a file that has the column; a name without comma, quote or line end.
    pub fn set_scenario(&mut self, name: &'static str) {
        self.scenario = Cell::Name(name);
        let rows = self.room.desk.lock().spare.pop().unwrap_or_default();
        self.begin(rows);
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A chunk could not be encoded or written.
    #[inline]
    pub fn add(&mut self, row: T) -> Result<(), WriteError> {
        if let Some((_, rows)) = self.chunk.last_mut() {
            rows.push(row);
        } else {
            let mut rows = self.room.desk.lock().spare.pop().unwrap_or_default();
            rows.push(row);
            self.begin(rows);
        }
        self.count(1)
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
            self.begin(Ranks(Some(table.clone()), from..to));
            self.count(to - from)?;
            from = to;
        }
        Ok(())
    }
}

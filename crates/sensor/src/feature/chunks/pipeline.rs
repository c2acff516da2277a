//! Encodes chunks on any thread and writes them in order.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use citronella_nn::parallel::{Guard, Monitor};

use super::rows::Rows;
use crate::{
    feature::{
        csv::{CsvEncoder, TextBuffer},
        packet::Cell,
        parquet::{self, GroupEncoder, GroupWriter},
        write::WriteError,
    },
    output::Output,
};

/// Runs of rows, each with its scenario.
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
    /// TextBuffer, and the thread that encoded them.
    Csv(usize, TextBuffer),
    Parquet(parquet::Group),
}

/// Chunks on their way from the feeder to the file.
pub(super) struct ChunkQueue<R> {
    /// Chunks to encode: number, number of the first row, rows.
    pending: VecDeque<(u64, u64, Chunk<R>)>,
    /// Encoded chunks by number, each with its count of rows.
    encoded: BTreeMap<u64, (u64, Encoded)>,
    chunks_submitted: u64,
    chunks_written: u64,
    rows_submitted: u64,
    rows_written: u64,
    is_writing: bool,
    is_closed: bool,
    error: Option<WriteError>,
    /// Cleared rows, for their memory.
    recycled_rows: Vec<R>,
    /// Line buffers of each thread, likely in its core's cache.
    recycled_lines: Vec<Vec<TextBuffer>>,
}

impl<R> ChunkQueue<R> {
    /// An empty queue behind `rows` rows already written.
    pub(super) fn new(rows: u64, threads: usize) -> ChunkQueue<R> {
        ChunkQueue {
            pending: VecDeque::new(),
            encoded: BTreeMap::new(),
            chunks_submitted: 0,
            chunks_written: 0,
            rows_submitted: rows,
            rows_written: rows,
            is_writing: false,
            is_closed: false,
            error: None,
            recycled_rows: Vec::new(),
            recycled_lines: (0..threads).map(|_| Vec::new()).collect(),
        }
    }

    pub(super) fn rows_written(&self) -> u64 {
        self.rows_written
    }

    /// Chunks that are submitted and not written yet.
    fn in_flight(&self) -> u64 {
        self.chunks_submitted - self.chunks_written
    }
}

/// The queue with everything that its threads share. Thread 0 is the feeder's.
pub(super) struct ChunkPipeline<'a, R> {
    pub(super) queue: &'a Monitor<ChunkQueue<R>>,
    /// One a thread.
    pub(super) encoders: Vec<Mutex<Encoder>>,
    pub(super) max_in_flight: u64,
    pub(super) has_scenario: bool,
    /// The file's, for errors.
    pub(super) name: String,
    pub(super) sink: Mutex<&'a mut Sink>,
}

/// Whether a thread found work, with the lock in either case.
type Step<'a, R> = Result<Guard<'a, ChunkQueue<R>>, Guard<'a, ChunkQueue<R>>>;

impl<R: Rows> ChunkPipeline<'_, R> {
    /// Encodes and writes chunks until the queue is closed.
    pub(super) fn run_worker(&self, thread: usize) {
        let mut queue = self.queue.lock();
        while !self.queue.has_panicked() && !queue.is_closed {
            queue = self.step(queue, thread).unwrap_or_else(Guard::wait);
        }
    }

    /// Rows without content, for their memory.
    pub(super) fn recycled_rows(&self) -> Option<R> {
        self.queue.lock().recycled_rows.pop()
    }

    /// Submits a chunk of `rows` rows, and works on chunks while too many are in flight.
    pub(super) fn submit(&self, chunk: Chunk<R>, rows: usize) -> Result<(), WriteError> {
        let mut queue = self.queue.lock();
        if rows > 0 {
            let (number, first_row) = (queue.chunks_submitted, queue.rows_submitted);
            queue.pending.push_back((number, first_row, chunk));
            queue.chunks_submitted += 1;
            queue.rows_submitted += rows as u64;
            queue.notify_all();
        }
        self.work_until_below(queue, self.max_in_flight)
    }

    /// Works on the feeder's thread until all chunks are written.
    pub(super) fn finish(&self) -> Result<(), WriteError> {
        self.work_until_below(self.queue.lock(), 1)
    }

    /// Ends the workers.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.notify_all();
    }

    /// Works on the feeder's thread until fewer than `limit` chunks are in flight.
    fn work_until_below<'a>(
        &'a self,
        mut queue: Guard<'a, ChunkQueue<R>>,
        limit: u64,
    ) -> Result<(), WriteError> {
        while !self.queue.has_panicked() && queue.error.is_none() && queue.in_flight() >= limit {
            queue = self.step(queue, 0).unwrap_or_else(Guard::wait);
        }
        queue.error.take().map_or(Ok(()), Err)
    }

    /// Writes the next chunk if it is encoded, else encodes one; `Err` if there is neither.
    fn step<'a>(&'a self, mut queue: Guard<'a, ChunkQueue<R>>, thread: usize) -> Step<'a, R> {
        if queue.error.is_some() {
            return Err(queue);
        }
        let next = queue.chunks_written;
        if !queue.is_writing
            && let Some((rows, encoded)) = queue.encoded.remove(&next)
        {
            return Ok(self.write_chunk(queue, rows, encoded));
        }
        let Some((number, first_row, mut rows)) = queue.pending.pop_front() else { return Err(queue) };
        let lines = queue.recycled_lines.get_mut(thread).and_then(Vec::pop).unwrap_or_default();
        drop(queue);
        let mut count = 0;
        let encoded = self.encode(&rows, thread, lines, &mut count);
        rows.iter_mut().for_each(|(_, rows)| rows.clear());
        let mut queue = self.queue.lock();
        queue.recycled_rows.extend(rows.into_iter().map(|(_, rows)| rows));
        match encoded {
            Ok(encoded) => {
                queue.encoded.insert(number, (count, encoded));
            }
            Err(source) => {
                let row = first_row + count;
                queue.error = Some(WriteError::Row { name: self.name.clone(), row, source });
            }
        }
        queue.notify_all();
        Ok(queue)
    }

    /// Writes an encoded chunk of `rows` rows, without the lock.
    fn write_chunk<'a>(
        &'a self,
        mut queue: Guard<'a, ChunkQueue<R>>,
        rows: u64,
        encoded: Encoded,
    ) -> Guard<'a, ChunkQueue<R>> {
        queue.is_writing = true;
        drop(queue);
        let written = self.write(encoded);
        let mut queue = self.queue.lock();
        queue.is_writing = false;
        match written {
            Ok(lines) => {
                queue.chunks_written += 1;
                queue.rows_written += rows;
                if let Some((thread, lines)) = lines
                    && let Some(recycled) = queue.recycled_lines.get_mut(thread)
                {
                    recycled.push(lines);
                }
            }
            Err(source) => {
                let row = queue.rows_written + 1;
                queue.error = Some(WriteError::Row { name: self.name.clone(), row, source });
            }
        }
        queue.notify_all();
        queue
    }

    /// Returns the lines of CSV, for their memory, with the thread that encoded them.
    fn write(&self, encoded: Encoded) -> io::Result<Option<(usize, TextBuffer)>> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut **sink, encoded) {
            (Sink::Csv(output), Encoded::Csv(thread, lines)) => {
                output.write_all(lines.as_bytes()).map(|()| Some((thread, lines)))
            }
            (Sink::Parquet(writer), Encoded::Parquet(group)) => writer.append(group).map(|()| None),
            _ => Ok(None),
        }
    }

    /// Encodes a chunk; `count` is the number of rows encoded, the one with an error included.
    fn encode(
        &self,
        chunk: &Chunk<R>,
        thread: usize,
        mut lines: TextBuffer,
        count: &mut u64,
    ) -> io::Result<Encoded> {
        let Some(encoder) = self.encoders.get(thread) else { return Ok(Encoded::Csv(thread, lines)) };
        match &mut *encoder.lock().unwrap_or_else(PoisonError::into_inner) {
            Encoder::Csv(encoder) => {
                lines.clear();
                self.for_each_row(chunk, count, |cells| encoder.line(cells, &mut lines))?;
                Ok(Encoded::Csv(thread, lines))
            }
            Encoder::Parquet(encoder) => {
                self.for_each_row(chunk, count, |cells| encoder.append(cells))?;
                encoder.finish().map(Encoded::Parquet)
            }
        }
    }

    fn for_each_row(
        &self,
        chunk: &Chunk<R>,
        count: &mut u64,
        mut encode: impl FnMut(&[Cell]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut row = Vec::new();
        chunk.iter().try_for_each(|(scenario, rows)| {
            rows.each(&mut |cells| {
                *count += 1;
                if !self.has_scenario {
                    return encode(cells);
                }
                row.clear();
                row.extend(cells.iter().chain([scenario]));
                encode(&row)
            })
        })
    }
}

//! One direction of a connection, in order, split into records: complete messages, or the part of one that was seen.
//!
//! In: chunks of any size ([`Stream::push`]), losses ([`Stream::gap`]), the end ([`Stream::finish`]). Out: a [`Record`]
//! when the last byte of a message arrives. A message that lies within one chunk is borrowed from it, not copied.
//! Memory: at most [`Limits::message_bytes`] of a message are buffered, whatever length it announces. Without losses,
//! the records do not depend on how the bytes are cut into chunks.

use super::framing::{Framer, Part, Resync, SyncState};
use super::{Decoded, FixedHeader, Limits, Message, Version, Violation, decode};
use crate::cursor::{after, first};

/// A message found in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its fixed header.
    pub header: FixedHeader,
    /// Its body, or the first bytes of it where `state` says so.
    pub body: &'a [u8],
    /// Whether the body is complete, and why not.
    pub state: RecordState,
    /// Offset of its fixed header in this direction, in bytes; lost bytes count.
    pub offset: u64,
}

/// Whether a record's body is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// The message as sent.
    Whole,
    /// Longer than the cap: the first [`Limits::message_bytes`] bytes.
    OverCap,
    /// Bytes were lost: those before the first loss.
    Gap,
    /// The stream ended within the message.
    Unfinished,
    /// A Remaining Length of more than four bytes: the body and everything after it cannot be located.
    BadLength,
}

impl<'a> Record<'a> {
    /// Bytes of the body that are not in `body`.
    pub fn missing(&self) -> u32 {
        self.header.remaining_length.saturating_sub(self.body.len() as u32)
    }

    /// Decodes the message. A field that is cut because bytes were not captured is not the sender's violation.
    pub fn decode(&self, version: Version, limits: &Limits) -> Decoded<Message<'a>> {
        let mut decoded = decode(&self.header, self.body, version, limits);
        match self.state {
            RecordState::Whole => {}
            RecordState::BadLength => {
                decoded.violations =
                    [Violation::RemainingLengthTooLong, Violation::MalformedTraffic].into_iter().collect();
            }
            RecordState::OverCap | RecordState::Gap | RecordState::Unfinished => {
                for not_the_senders in [
                    Violation::Truncated,
                    Violation::MalformedTraffic,
                    Violation::MissingMsgId,
                    Violation::PropertyLength,
                    Violation::NoTopics,
                ] {
                    decoded.violations.remove(not_the_senders);
                }
            }
        }
        decoded
    }
}

/// A message whose body is not complete yet.
#[derive(Clone, Copy, Debug)]
struct Incomplete {
    header: FixedHeader,
    offset: u64,
    /// Bytes were lost within it: no more are buffered.
    has_gap: bool,
}

/// Splits one direction of a connection into records.
#[derive(Clone, Debug)]
pub struct Stream {
    limits: Limits,
    framer: Framer,
    /// The message in progress, and the buffered bytes of its body.
    incomplete: Option<Incomplete>,
    buffer: Vec<u8>,
    offset: u64,
    skipped: u64,
    resyncs: u64,
}

/// A buffer with a larger capacity is freed after its message.
const REUSED_BUFFER_BYTES: usize = 4_096;

impl Stream {
    /// A stream seen from its first byte.
    pub fn new(limits: Limits) -> Self {
        Self::with_framer(limits, Framer::new())
    }

    /// A stream picked up in mid-stream: it looks for the first message boundary.
    pub fn mid_stream(limits: Limits) -> Self {
        Self::with_framer(limits, Framer::mid_stream())
    }

    fn with_framer(limits: Limits, framer: Framer) -> Self {
        Self { limits, framer, incomplete: None, buffer: Vec::new(), offset: 0, skipped: 0, resyncs: 0 }
    }

    /// Bytes of this direction so far; lost bytes count.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that belong to no record: skipped while out of sync or after an invalid length.
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped
    }

    /// How often a message boundary was found after a loss.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// Fixed header of the message whose body is not complete yet.
    pub fn incomplete(&self) -> Option<FixedHeader> {
        self.incomplete.map(|message| message.header)
    }

    /// Whether the bytes so far end with a complete message.
    pub fn is_at_boundary(&self) -> bool {
        self.framer.is_at_boundary()
    }

    /// Bytes of memory allocated for this direction.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes the next bytes; `sink` gets each record that ends in them.
    pub fn push(&mut self, mut chunk: &[u8], mut sink: impl FnMut(Record<'_>)) {
        while !chunk.is_empty() {
            chunk = match self.framer.state() {
                SyncState::InSync => self.read(chunk, &mut sink),
                SyncState::Lost => self.resync(chunk),
                SyncState::Broken => self.skip(chunk, chunk.len()),
            };
        }
    }

    /// Takes the loss of `len` bytes. A loss within a body keeps the stream in sync; after any other it looks for the
    /// next message boundary.
    pub fn gap(&mut self, len: u64, mut sink: impl FnMut(Record<'_>)) {
        if len == 0 {
            return;
        }
        self.offset += len;
        if self.framer.state() == SyncState::Broken {
            self.skipped += len;
            return;
        }
        self.framer.lose(len);
        if let Some(message) = &mut self.incomplete {
            message.has_gap = true;
            if self.framer.remaining() == 0 {
                self.emit(RecordState::Gap, &mut sink);
            }
        }
    }

    /// Ends the stream; an incomplete message becomes a record.
    pub fn finish(&mut self, mut sink: impl FnMut(Record<'_>)) {
        self.emit(RecordState::Unfinished, &mut sink);
    }

    fn skip<'c>(&mut self, chunk: &'c [u8], len: usize) -> &'c [u8] {
        self.skipped += len as u64;
        self.offset += len as u64;
        after(chunk, len)
    }

    fn resync<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        match self.framer.resync(chunk, Resync::Anywhere) {
            Some(at) => {
                self.resyncs += 1;
                self.skip(chunk, at)
            }
            None => self.skip(chunk, chunk.len()),
        }
    }

    #[inline]
    fn read<'c>(&mut self, chunk: &'c [u8], sink: &mut impl FnMut(Record<'_>)) -> &'c [u8] {
        let begin = self.offset;
        let part = self.framer.next(chunk);
        let rest = match part {
            Part::Header => &[],
            Part::Message { rest, .. } | Part::Body { rest, .. } | Part::BadLength { rest, .. } => rest,
        };
        self.offset += (chunk.len() - rest.len()) as u64;
        match part {
            Part::Header => {}
            Part::Message { header, earlier, body, .. } => {
                let offset = begin - earlier as u64;
                if self.framer.remaining() > 0 {
                    self.incomplete = Some(Incomplete { header, offset, has_gap: false });
                    self.buffer(body);
                } else {
                    let state = self.complete(&header);
                    sink(Record { header, body: first(body, self.cap()), state, offset });
                }
            }
            Part::Body { bytes, .. } => {
                self.buffer(bytes);
                if self.framer.remaining() == 0 {
                    self.emit(RecordState::Whole, sink);
                }
            }
            Part::BadLength { first, earlier, .. } => {
                let (kind, flags) = (first >> 4, first & 0x0f);
                let header = FixedHeader { kind, flags, remaining_length: 0, header_len: 5 };
                self.skipped += 5;
                let offset = begin - earlier as u64;
                sink(Record { header, body: &[], state: RecordState::BadLength, offset });
                // After a resynchronisation, a wrong boundary is likelier than a malformed length.
                if self.resyncs > 0 {
                    self.framer.lose_sync();
                }
            }
        }
        rest
    }

    fn cap(&self) -> usize {
        self.limits.message_bytes as usize
    }

    fn complete(&self, header: &FixedHeader) -> RecordState {
        let is_over = header.remaining_length > self.limits.message_bytes;
        if is_over { RecordState::OverCap } else { RecordState::Whole }
    }

    fn buffer(&mut self, bytes: &[u8]) {
        if self.incomplete.is_some_and(|message| !message.has_gap) {
            let free = self.cap().saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(first(bytes, free));
        }
    }

    /// Emits the incomplete message, if there is one.
    fn emit(&mut self, state: RecordState, sink: &mut impl FnMut(Record<'_>)) {
        let Some(Incomplete { header, offset, has_gap }) = self.incomplete.take() else { return };
        let state = match state {
            _ if has_gap => RecordState::Gap,
            RecordState::Whole => self.complete(&header),
            state => state,
        };
        sink(Record { header, body: &self.buffer, state, offset });
        self.buffer.clear();
        if self.buffer.capacity() > REUSED_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }
}

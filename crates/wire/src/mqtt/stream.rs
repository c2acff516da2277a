//! From the bytes of one direction of a connection, in order, to records: whole messages, or what is left of them.
//!
//! In: chunks of any size ([`Stream::push`]), losses ([`Stream::gap`]), the end ([`Stream::finish`]). Out: a
//! [`Record`] when a message's last byte passes. A message that lies whole in a chunk is handed out from there,
//! without a copy. At most [`Limits::message_bytes`] of a message are kept, whatever length it announces. Without
//! losses, any chunking of the same bytes gives the same records.

use super::recognise::find_step;
use super::{Decoded, FixedHeader, Limits, Message, Step, Version, Violation, decode, fixed_header};
use crate::cursor::{after, first};

/// A message found in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its fixed header.
    pub header: FixedHeader,
    /// Its body, or the first bytes of it where `state` says so.
    pub body: &'a [u8],
    /// Whether the body is whole, and why not.
    pub state: RecordState,
    /// Where its fixed header begins: bytes of this direction before it, lost ones included.
    pub offset: u64,
}

/// Whether a record's body is whole.
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
    /// A Remaining Length of more than four bytes: no body can be found, and nothing after it.
    BadLength,
}

impl<'a> Record<'a> {
    /// Bytes of the body that are not in `body`.
    pub fn missing(&self) -> u32 {
        self.header.remaining_length.saturating_sub(self.body.len() as u32)
    }

    /// Reads the message. Fields that end early because bytes are not here are no violation of the sender's.
    pub fn decode(&self, version: Version, limits: &Limits) -> Decoded<Message<'a>> {
        let mut decoded = decode(&self.header, self.body, version, limits);
        match self.state {
            RecordState::Whole => {}
            RecordState::BadLength => {
                decoded.violations =
                    [Violation::RemainingLengthTooLong, Violation::MalformedTraffic].into_iter().collect();
            }
            RecordState::OverCap | RecordState::Gap | RecordState::Unfinished => {
                for caused_by_us in [
                    Violation::Truncated,
                    Violation::MalformedTraffic,
                    Violation::MissingMsgId,
                    Violation::PropertyLength,
                    Violation::NoTopics,
                ] {
                    decoded.violations.remove(caused_by_us);
                }
            }
        }
        decoded
    }
}

/// A message that is not yet whole.
#[derive(Clone, Debug)]
struct Open {
    header: FixedHeader,
    offset: u64,
    /// Bytes of the body still to come.
    to_come: u32,
    /// Bytes were lost within it: no more are kept.
    holed: bool,
}

/// Where the stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Footing {
    /// At a message's begin, or within `open`.
    Firm,
    /// Bytes were lost: looking for a message's begin.
    Lost,
    /// A length that cannot be: the peer must close the connection (MQTT-4.8.0-1, MQTT-4.13.1-1).
    Broken,
}

/// Splits one direction of a connection into records.
#[derive(Clone, Debug)]
pub struct Stream {
    limits: Limits,
    footing: Footing,
    /// The footing was found in mid-stream, not from the begin.
    found_again: bool,
    /// A fixed header begun, or the kept bytes of `open`'s body.
    kept: Vec<u8>,
    open: Option<Open>,
    offset: u64,
    skipped: u64,
    resyncs: u64,
}

/// A buffer larger than this is given back once its message is out.
const KEPT_BUFFER: usize = 4_096;

impl Stream {
    /// A stream seen from its begin.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            footing: Footing::Firm,
            found_again: false,
            kept: Vec::new(),
            open: None,
            offset: 0,
            skipped: 0,
            resyncs: 0,
        }
    }

    /// A stream picked up in its midst: the first message's begin is looked for.
    pub fn mid_stream(limits: Limits) -> Self {
        Self { footing: Footing::Lost, ..Self::new(limits) }
    }

    /// Bytes of this direction so far, lost ones included.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that belong to no record: while looking for a footing, or after a length that cannot be.
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped
    }

    /// How often a footing was found again after a loss.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// The message that is not yet whole: its type and announced length.
    pub fn open(&self) -> Option<FixedHeader> {
        self.open.as_ref().map(|open| open.header)
    }

    /// Whether the bytes so far end with a whole message.
    pub fn is_at_boundary(&self) -> bool {
        self.footing == Footing::Firm && self.open.is_none() && self.kept.is_empty()
    }

    /// Bytes of memory held for this direction.
    pub fn memory_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Takes the next bytes; gives each record that ends in them.
    pub fn push(&mut self, mut chunk: &[u8], mut sink: impl FnMut(Record<'_>)) {
        while !chunk.is_empty() {
            chunk = match self.footing {
                Footing::Broken => self.skip(chunk, chunk.len()),
                Footing::Lost => self.look(chunk),
                Footing::Firm if self.open.is_some() => self.fill(chunk, &mut sink),
                Footing::Firm => self.begin(chunk, &mut sink),
            };
        }
    }

    /// Takes the loss of `len` bytes. A loss within a body keeps the footing; any other is looked after.
    pub fn gap(&mut self, len: u64, mut sink: impl FnMut(Record<'_>)) {
        if len == 0 {
            return;
        }
        self.offset += len;
        if self.footing == Footing::Broken {
            self.skipped += len;
            return;
        }
        if let Some(open) = &mut self.open {
            open.holed = true;
            match u32::try_from(len).ok().and_then(|len| open.to_come.checked_sub(len)) {
                Some(left) => {
                    open.to_come = left;
                    if left == 0 {
                        self.close(RecordState::Gap, &mut sink);
                    }
                    return;
                }
                None => self.close(RecordState::Gap, &mut sink),
            }
        }
        self.kept.clear();
        self.footing = Footing::Lost;
    }

    /// Ends the stream: gives the message that it ends within.
    pub fn finish(&mut self, mut sink: impl FnMut(Record<'_>)) {
        if self.open.is_some() {
            self.close(RecordState::Unfinished, &mut sink);
        }
    }

    fn skip<'c>(&mut self, chunk: &'c [u8], len: usize) -> &'c [u8] {
        self.skipped += len as u64;
        self.pass(chunk, len)
    }

    fn pass<'c>(&mut self, chunk: &'c [u8], len: usize) -> &'c [u8] {
        self.offset += len as u64;
        after(chunk, len)
    }

    fn look<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        match find_step(chunk) {
            Some(at) => {
                self.footing = Footing::Firm;
                self.found_again = true;
                self.resyncs += 1;
                self.skip(chunk, at)
            }
            None => self.skip(chunk, chunk.len()),
        }
    }

    /// At a message's begin, or within its fixed header.
    fn begin<'c>(&mut self, chunk: &'c [u8], sink: &mut impl FnMut(Record<'_>)) -> &'c [u8] {
        if self.kept.is_empty() {
            let step = fixed_header(chunk);
            if let Step::Done(header) = step {
                let body = after(chunk, header.header_len);
                let len = header.remaining_length as usize;
                if body.len() >= len {
                    let over = header.remaining_length > self.limits.message_bytes;
                    let kept = len.min(self.limits.message_bytes as usize);
                    let state = if over { RecordState::OverCap } else { RecordState::Whole };
                    sink(Record { header, body: first(body, kept), state, offset: self.offset });
                    return self.pass(chunk, header.header_len + len);
                }
            }
            return self.header(step, chunk, 0, sink);
        }
        // At most four bytes are kept here; the header ends within the next four.
        let before = self.kept.len();
        let mut joined = [0; 8];
        let bytes = self.kept.iter().chain(chunk);
        let len = joined.iter_mut().zip(bytes).map(|(slot, byte)| *slot = *byte).count();
        self.header(fixed_header(first(&joined, len)), chunk, before, sink)
    }

    /// Acts on a fixed header of which `before` bytes came in earlier chunks.
    fn header<'c>(
        &mut self,
        step: Step<FixedHeader>,
        chunk: &'c [u8],
        before: usize,
        sink: &mut impl FnMut(Record<'_>),
    ) -> &'c [u8] {
        let offset = self.offset - before as u64;
        match step {
            Step::Incomplete { .. } => {
                self.kept.extend_from_slice(chunk);
                self.pass(chunk, chunk.len())
            }
            Step::Done(header) => {
                self.kept.clear();
                self.open = Some(Open { header, offset, to_come: header.remaining_length, holed: false });
                let rest = self.pass(chunk, header.header_len - before);
                if header.remaining_length == 0 {
                    self.close(RecordState::Whole, sink);
                }
                rest
            }
            Step::Malformed(_) => {
                let first = self.kept.first().or(chunk.first()).copied().unwrap_or(0);
                self.kept.clear();
                let header =
                    FixedHeader { kind: first >> 4, flags: first & 0x0f, remaining_length: 0, header_len: 5 };
                sink(Record { header, body: &[], state: RecordState::BadLength, offset });
                // Out of step is likelier than broken where the footing was found in mid-stream.
                self.footing = if self.found_again { Footing::Lost } else { Footing::Broken };
                self.skipped += before as u64;
                self.skip(chunk, 5 - before)
            }
        }
    }

    fn fill<'c>(&mut self, chunk: &'c [u8], sink: &mut impl FnMut(Record<'_>)) -> &'c [u8] {
        let Some(open) = &mut self.open else { return chunk };
        let part = first(chunk, open.to_come as usize);
        open.to_come -= part.len() as u32;
        if !open.holed {
            let room = (self.limits.message_bytes as usize).saturating_sub(self.kept.len());
            self.kept.extend_from_slice(first(part, room));
        }
        let whole = open.to_come == 0;
        let rest = self.pass(chunk, part.len());
        if whole {
            self.close(RecordState::Whole, sink);
        }
        rest
    }

    /// Gives out the open message.
    fn close(&mut self, state: RecordState, sink: &mut impl FnMut(Record<'_>)) {
        let Some(open) = self.open.take() else { return };
        let state = match state {
            _ if open.holed => RecordState::Gap,
            RecordState::Whole if open.header.remaining_length > self.limits.message_bytes => {
                RecordState::OverCap
            }
            state => state,
        };
        sink(Record { header: open.header, body: &self.kept, state, offset: open.offset });
        self.kept.clear();
        if self.kept.capacity() > KEPT_BUFFER {
            self.kept = Vec::new();
        }
    }
}

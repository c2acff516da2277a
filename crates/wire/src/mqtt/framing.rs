//! Message boundaries in one direction of a connection, without a buffer: the state machine below [`super::Stream`].
//!
//! In: chunks of any size ([`Framer::next`]) and losses ([`Framer::lose`]). Out: where messages begin and which bytes
//! belong to their bodies ([`Part`]). What to do with bodies, and how to resynchronise after a loss, is the caller's
//! policy: [`super::Stream`] buffers bodies and searches for a message; a caller with constant memory reads the bytes
//! of the first chunk and resynchronises at the start of a segment. State: 12 bytes.

use super::recognise::{find_message, looks_like_mqtt};
use super::{FixedHeader, Step, fixed_header};
use crate::cursor::{after, first};

/// Position of a reader relative to message boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// At a message's first byte, within its fixed header or within its body.
    InSync,
    /// Bytes were lost: the next message boundary is unknown.
    Lost,
    /// An invalid Remaining Length: no later boundary can be known, and the receiver must close the connection
    /// (MQTT-4.8.0-1, MQTT-4.13.1-1).
    Broken,
}

/// Where a reader that lost bytes looks for a message boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// At the first byte of the chunk only: senders mostly begin a segment with a message.
    AtChunkStart,
    /// Anywhere in the chunk.
    Anywhere,
}

/// What the first bytes of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A fixed header that ends with the chunk or later; all bytes were consumed.
    Header,
    /// A message whose fixed header is complete.
    Message {
        /// Its fixed header.
        header: FixedHeader,
        /// Bytes of the fixed header that came in earlier chunks.
        earlier: usize,
        /// The body, or the part of it that is in this chunk.
        body: &'a [u8],
        /// Bytes after it.
        rest: &'a [u8],
    },
    /// The next bytes of a body that began in an earlier chunk.
    Body {
        /// These bytes.
        bytes: &'a [u8],
        /// Bytes after them.
        rest: &'a [u8],
    },
    /// A Remaining Length of more than four bytes; the framer is now [`SyncState::Broken`].
    BadLength {
        /// First byte of the fixed header.
        first: u8,
        /// Bytes of the fixed header that came in earlier chunks.
        earlier: usize,
        /// Bytes after the five that were read.
        rest: &'a [u8],
    },
}

/// Finds message boundaries in one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framer {
    state: SyncState,
    /// Bytes of an incomplete fixed header.
    head: [u8; 4],
    head_len: u8,
    /// Bytes of the current body that are still to come.
    remaining: u32,
}

impl Framer {
    /// A direction seen from its first byte.
    pub fn new() -> Self {
        Self { state: SyncState::InSync, head: [0; 4], head_len: 0, remaining: 0 }
    }

    /// A direction picked up in mid-stream.
    pub fn mid_stream() -> Self {
        Self { state: SyncState::Lost, ..Self::new() }
    }

    /// Whether message boundaries are known.
    #[inline]
    pub fn state(&self) -> SyncState {
        self.state
    }

    /// Bytes of the current body that are still to come.
    #[inline]
    pub fn remaining(&self) -> u32 {
        self.remaining
    }

    /// Whether the next byte is the first of a message.
    pub fn is_at_boundary(&self) -> bool {
        self.state == SyncState::InSync && self.remaining == 0 && self.head_len == 0
    }

    /// Splits off what the first bytes of a non-empty chunk are. To be called while in sync.
    #[inline]
    pub fn next<'a>(&mut self, chunk: &'a [u8]) -> Part<'a> {
        if self.remaining > 0 {
            let bytes = first(chunk, self.remaining as usize);
            self.remaining -= bytes.len() as u32;
            return Part::Body { bytes, rest: after(chunk, bytes.len()) };
        }
        if self.head_len == 0 {
            return self.header(fixed_header(chunk), chunk);
        }
        // At most four bytes are stored; the header ends within the next four.
        let mut joined = [0; 8];
        let bytes = first(&self.head, self.head_len.into()).iter().chain(chunk);
        let len = joined.iter_mut().zip(bytes).map(|(slot, byte)| *slot = *byte).count();
        self.header(fixed_header(first(&joined, len)), chunk)
    }

    #[inline]
    fn header<'a>(&mut self, step: Step<FixedHeader>, chunk: &'a [u8]) -> Part<'a> {
        let earlier = usize::from(self.head_len);
        match step {
            Step::Done(header) => {
                self.head_len = 0;
                let bytes = after(chunk, header.header_len - earlier);
                let len = header.remaining_length as usize;
                let (body, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
                self.remaining = (len - body.len()) as u32;
                Part::Message { header, earlier, body, rest }
            }
            Step::Incomplete { .. } => {
                let free = self.head.iter_mut().skip(earlier);
                let stored = free.zip(chunk).map(|(slot, byte)| *slot = *byte).count();
                self.head_len += stored as u8;
                Part::Header
            }
            Step::Malformed(_) => {
                let first = if earlier > 0 { self.head.first() } else { chunk.first() };
                let first = first.copied().unwrap_or(0);
                (self.state, self.head_len) = (SyncState::Broken, 0);
                Part::BadLength { first, earlier, rest: after(chunk, 5 - earlier) }
            }
        }
    }

    /// Records the loss of `len` bytes. A loss within a body that ends there keeps the boundaries; any other loses
    /// them.
    pub fn lose(&mut self, len: u64) {
        if len == 0 {
            return;
        }
        self.head_len = 0;
        if self.state == SyncState::InSync {
            match u32::try_from(len).ok().and_then(|len| self.remaining.checked_sub(len)) {
                Some(left) if self.remaining > 0 => self.remaining = left,
                _ => self.lose_sync(),
            }
        }
    }

    /// Forgets where messages begin: a caller that resynchronised by mistake looks again.
    pub fn lose_sync(&mut self) {
        *self = Self::mid_stream();
    }

    /// Looks for a message boundary while [`SyncState::Lost`]; returns its index in the chunk and is in sync there.
    pub fn resync(&mut self, chunk: &[u8], policy: Resync) -> Option<usize> {
        let at = match policy {
            Resync::AtChunkStart => looks_like_mqtt(chunk, true).then_some(0),
            Resync::Anywhere => find_message(chunk),
        }?;
        *self = Self::new();
        Some(at)
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

//! MQTT at the sequence level: what the messages of each segment are, in constant memory a connection.
//!
//! In: segments of both directions in capture order. Out: a summary of the messages that start in each
//! ([`SegmentMessages`]). `wire`'s [`Framer`] finds them. A message within one segment, as nearly all are, is decoded
//! whole; of a longer one the fixed header counts, with the fields of a CONNECT that its first segment holds.
//! Retransmitted bytes are read once. There is no reassembly: a segment ahead of its turn is a loss, after which the
//! reader resynchronises at the start of a segment. Training and detection depend on exactly this.

use std::hash::BuildHasher;

use citronella_wire::mqtt::{
    Direction, FixedHeader, Framer, Handshake, Limits, Message, OrderFault, Part, Resync, SyncState, Version,
    Violations, decode,
};

/// The messages that start in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SegmentMessages {
    /// How many.
    pub(super) messages: u32,
    /// Bit per control packet type.
    pub(super) kinds: u16,
    pub(super) publishes: u32,
    /// Remaining Length of the first.
    pub(super) remaining_length: u32,
    /// Highest QoS of a PUBLISH.
    pub(super) qos: u8,
    /// Code of a CONNACK.
    pub(super) connack: Option<u8>,
    /// Messages with violations, early ones included.
    pub(super) faulty: u32,
    /// Of those, messages whose only fault is that they preceded the CONNACK: allowed, and rare.
    pub(super) early: u32,
    /// A SUBSCRIBE to all topics, or to all of the broker's own.
    pub(super) wildcard: bool,
    /// Hashes of a CONNECT's client identifier, user name, and user name with password.
    pub(super) client: Option<u64>,
    pub(super) user: Option<u64>,
    pub(super) credential: Option<u64>,
}

impl SegmentMessages {
    pub(super) fn has(&self, kind: u8) -> bool {
        self.kinds & (1 << (kind & 15)) != 0
    }
}

/// Read position in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    /// `None` before the first segment.
    framer: Option<Framer>,
    /// Sequence number of the next byte.
    next: u32,
}

/// State of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    readers: [Reader; 2],
    /// The direction was seen from its SYN and in sync ever since.
    is_complete: [bool; 2],
    version: Option<Version>,
    /// Of the CONNECT, in seconds; 0 before it.
    pub(super) keep_alive_secs: u16,
    /// The CONNECT has a user name.
    pub(super) has_user: bool,
    pub(super) handshake: Handshake,
    /// A DISCONNECT was sent.
    pub(super) is_closed: bool,
    /// The client sent PUBLISH, SUBSCRIBE or UNSUBSCRIBE, or received a PUBLISH.
    pub(super) is_used: bool,
    /// A PUBLISH was sent either way: a client that only subscribes may be waiting for one, or holding the connection.
    pub(super) has_publish: bool,
}

/// A segment with payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// Sequence number of its first byte.
    pub(super) seq: u32,
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire, at least as many.
    pub(super) wire_len: usize,
}

impl Connection {
    /// Starts a direction (0 from the initiator); `seq` is the sequence number of its first byte.
    pub(super) fn start(&mut self, way: usize, seq: u32) {
        if let Some(reader) = self.readers.get_mut(way) {
            *reader = Reader { framer: Some(Framer::new()), next: seq };
        }
        if let Some(is_complete) = self.is_complete.get_mut(way) {
            *is_complete = true;
        }
    }

    /// Reads a segment of a direction. `hash` hashes names.
    pub(super) fn segment(
        &mut self,
        way: usize,
        segment: Segment<'_>,
        limits: &Limits,
        hash: &impl BuildHasher,
    ) -> SegmentMessages {
        let mut found = SegmentMessages::default();
        let Some(reader) = self.readers.get_mut(way) else { return found };
        let (mut framer, mut rest) = reader.take(&segment);
        if framer.state() == SyncState::Lost
            && let Some(is_complete) = self.is_complete.get_mut(way)
        {
            *is_complete = false;
        }
        let is_readable = match framer.state() {
            SyncState::InSync => true,
            SyncState::Lost => framer.resync(rest, Resync::AtChunkStart).is_some(),
            SyncState::Broken => false,
        };
        while is_readable && !rest.is_empty() {
            rest = match framer.next(rest) {
                Part::Header => break,
                Part::Body { rest, .. } => rest,
                Part::BadLength { .. } => {
                    found.messages += 1;
                    found.faulty += 1;
                    break;
                }
                Part::Message { header, body, rest, .. } => {
                    self.message(&mut found, way, (&header, body), limits, hash);
                    rest
                }
            };
        }
        if let Some(reader) = self.readers.get_mut(way) {
            reader.framer = Some(framer);
            reader.lose(segment.wire_len.saturating_sub(segment.bytes.len()) as u32);
        }
        found
    }

    /// Takes a message of which the bytes in the segment are `body`.
    fn message(
        &mut self,
        found: &mut SegmentMessages,
        way: usize,
        (header, body): (&FixedHeader, &[u8]),
        limits: &Limits,
        hash: &impl BuildHasher,
    ) {
        let (message, violations) = self.decode(header, body, limits);
        let is_whole = body.len() == header.remaining_length as usize;
        let mut is_faulty = is_whole && !violations.is_empty();
        let mut is_early = false;
        if self.is_complete == [true; 2] {
            let from = if way == 0 { Direction::ToServer } else { Direction::ToClient };
            let version = self.version.unwrap_or_default();
            is_faulty |= Direction::of(header.kind, version).is_some_and(|right| right != from);
            match self.handshake.check(from, header.kind) {
                Some(OrderFault::SecondConnect | OrderFault::BeforeConnect) => is_faulty = true,
                Some(OrderFault::ClientBeforeConnack) => is_early = true,
                // Not part of the columns' definition.
                Some(OrderFault::ServerBeforeConnack | OrderFault::AfterRefusal) | None => {}
            }
        }
        if found.messages == 0 {
            found.remaining_length = header.remaining_length;
        }
        found.messages += 1;
        found.kinds |= 1 << (header.kind & 15);
        found.faulty += u32::from(is_faulty || is_early);
        found.early += u32::from(is_early && !is_faulty);
        match message {
            Message::Connect(connect) => {
                if connect.header_read {
                    self.keep_alive_secs = connect.keep_alive;
                    self.has_user = connect.flags.username();
                    self.version = connect.version().or(self.version);
                }
                self.handshake.connect();
                found.client = Some(hash.hash_one(connect.client_id));
                found.user = connect.username.map(|name| hash.hash_one(name));
                let password = connect.password.map(|password| password.reveal());
                found.credential = password.map(|password| hash.hash_one((connect.username, password)));
            }
            Message::Connack(connack) => {
                found.connack = Some(connack.code);
                self.handshake.connack(connack.code);
            }
            Message::Publish(_) => {
                found.publishes += 1;
                found.qos = found.qos.max(header.qos());
                (self.is_used, self.has_publish) = (true, true);
            }
            Message::Subscribe(subscribe) => {
                self.is_used = true;
                let mut subscriptions = subscribe.subscriptions.iter();
                found.wildcard |= subscriptions.any(|subscription| is_everything(subscription.filter));
            }
            Message::Unsubscribe(_) => self.is_used = true,
            Message::Disconnect(_) => self.is_closed = true,
            _ => {}
        }
    }

    /// Decodes by the CONNECT's version; where none was seen, by the version that gives fewer violations.
    fn decode<'a>(&self, header: &FixedHeader, body: &'a [u8], limits: &Limits) -> (Message<'a>, Violations) {
        let by = |version| decode(header, body, version, limits);
        let first = by(self.version.unwrap_or_default());
        if self.version.is_some() || first.violations.is_empty() {
            return (first.message, first.violations);
        }
        let second = by(Version::V5);
        let better = if second.violations.len() < first.violations.len() { second } else { first };
        (better.message, better.violations)
    }
}

/// Whether a topic filter is `#`, or begins with `$SYS/` and has a wildcard.
fn is_everything(filter: &[u8]) -> bool {
    let has_wildcard = |filter: &[u8]| filter.iter().any(|byte| matches!(byte, b'#' | b'+'));
    filter == b"#" || (filter.starts_with(b"$SYS/") && has_wildcard(filter))
}

impl Reader {
    /// The framer, after the loss before the segment, and the segment's bytes that are new.
    fn take<'a>(&mut self, segment: &Segment<'a>) -> (Framer, &'a [u8]) {
        if self.framer.is_none() {
            *self = Reader { framer: Some(Framer::mid_stream()), next: segment.seq };
        }
        // Sequence numbers wrap (RFC 9293, 3.4): the sign of the difference says before or after.
        let ahead = segment.seq.wrapping_sub(self.next) as i32;
        let bytes = if ahead < 0 {
            segment.bytes.get(ahead.unsigned_abs() as usize..).unwrap_or_default()
        } else {
            self.lose(ahead as u32);
            segment.bytes
        };
        self.next = self.next.wrapping_add(bytes.len() as u32);
        (self.framer.unwrap_or_default(), bytes)
    }

    fn lose(&mut self, len: u32) {
        self.next = self.next.wrapping_add(len);
        if let Some(framer) = &mut self.framer {
            framer.lose(len.into());
        }
    }
}

#[cfg(test)]
mod tests;

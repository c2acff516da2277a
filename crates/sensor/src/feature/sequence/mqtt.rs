//! MQTT as the sequence level reads it: what each segment says, with constant memory a connection.
//!
//! In: the segments of both directions in capture order. Out: what the messages that begin in a segment say
//! ([`Said`]). A message that lies in one segment, as nearly all do, is decoded whole; of one that goes on in later
//! segments only the fixed header counts (of a CONNECT also what its first segment holds), and its body is passed
//! over. Bytes that come twice are read once; what comes out of order counts as lost and a footing is looked for.

use std::hash::BuildHasher;

use citronella_wire::mqtt::{
    Direction, FixedHeader, Limits, Message, Step, Version, Violation, Violations, decode, fixed_header,
    kind, looks_like_mqtt,
};

/// What a segment's messages say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Said {
    /// Messages that begin in it.
    pub(super) messages: u32,
    /// Bit per control packet type.
    pub(super) kinds: u16,
    pub(super) publishes: u32,
    /// Remaining Length of the first.
    pub(super) remaining_length: u32,
    /// Highest QoS of a PUBLISH.
    pub(super) qos: u8,
    /// CONNACK's code.
    pub(super) connack: Option<u8>,
    /// Messages with violations.
    pub(super) faulty: u32,
    /// A SUBSCRIBE to everything, or to all of the broker's own topics.
    pub(super) wildcard: bool,
    /// Of those, messages with no fault but that they did not wait for the answer to the CONNECT: allowed, and rare.
    pub(super) hasty: u32,
    /// Client identifier, user name, and user name with password of a CONNECT, hashed.
    pub(super) client: Option<u64>,
    pub(super) user: Option<u64>,
    pub(super) credential: Option<u64>,
}

impl Said {
    pub(super) fn has(&self, kind: u8) -> bool {
        self.kinds & (1 << (kind & 15)) != 0
    }
}

/// One direction's place in its bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    footing: Footing,
    /// Sequence number of the next byte.
    next: u32,
    /// Bytes of the present message still to come.
    to_come: u32,
    /// A fixed header begun.
    head: [u8; 4],
    head_len: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Footing {
    /// No segment yet.
    #[default]
    Unseen,
    /// At a message's begin, or within one.
    Firm,
    /// Bytes were lost: looking for a message's begin.
    Lost,
    /// A length that cannot be: nothing after it can be read.
    Broken,
}

/// A connection as far as it matters here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    readers: [Reader; 2],
    /// Both directions were seen from their begin, without a loss.
    complete: [bool; 2],
    version: Option<Version>,
    /// Seconds, of the CONNECT; 0 before it.
    pub(super) keep_alive_secs: u16,
    /// The CONNECT names a user.
    pub(super) has_user: bool,
    introduced: bool,
    /// A CONNACK came.
    pub(super) answered: bool,
    pub(super) accepted: bool,
    /// A DISCONNECT was sent.
    pub(super) closed: bool,
    /// PUBLISH, SUBSCRIBE or UNSUBSCRIBE of the client, or a PUBLISH to it.
    pub(super) used: bool,
    /// A PUBLISH, either way: who only subscribes may be waiting for one, or holding the connection.
    pub(super) published: bool,
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
    /// A direction (0 from the initiator) begins: its first byte has this sequence number.
    pub(super) fn begin(&mut self, way: usize, seq: u32) {
        if let Some(reader) = self.readers.get_mut(way) {
            *reader = Reader { footing: Footing::Firm, next: seq, ..Reader::default() };
        }
        if let Some(complete) = self.complete.get_mut(way) {
            *complete = true;
        }
    }

    /// Reads a segment of a direction. `hash` makes hashes of names.
    pub(super) fn segment(
        &mut self,
        way: usize,
        segment: Segment<'_>,
        limits: &Limits,
        hash: &impl BuildHasher,
    ) -> Said {
        let mut said = Said::default();
        let Some(mut reader) = self.readers.get(way).copied() else { return said };
        let mut rest = reader.take(&segment);
        if matches!(reader.footing, Footing::Lost)
            && let Some(complete) = self.complete.get_mut(way)
        {
            *complete = false;
        }
        let complete = self.complete == [true; 2];
        while !rest.is_empty() {
            rest = match reader.step(rest) {
                Found::Nothing => break,
                Found::Passed(rest) => rest,
                Found::Fault => {
                    said.messages += 1;
                    said.faulty += 1;
                    break;
                }
                Found::Message { header, body, whole, rest } => {
                    self.message(&mut said, way, &header, body, whole, complete, limits, hash);
                    rest
                }
            };
        }
        let missing = segment.wire_len.saturating_sub(segment.bytes.len());
        reader.lose(missing as u32);
        if let Some(place) = self.readers.get_mut(way) {
            *place = reader;
        }
        said
    }

    #[allow(clippy::too_many_arguments)]
    fn message(
        &mut self,
        said: &mut Said,
        way: usize,
        header: &FixedHeader,
        body: &[u8],
        whole: bool,
        complete: bool,
        limits: &Limits,
        hash: &impl BuildHasher,
    ) {
        let (message, mut found) = self.decode(header, body, limits);
        if !whole {
            found = Violations::NONE;
        }
        let mut faultless = false;
        if complete {
            let from = if way == 0 { Direction::ToServer } else { Direction::ToClient };
            let version = self.version.unwrap_or_default();
            let wrong = Direction::of(header.kind, version).is_some_and(|right| right != from);
            found.insert_if(wrong, Violation::WrongDirection);
            let twice = header.kind == kind::CONNECT && self.introduced;
            found.insert_if(twice, Violation::DoubleConnect);
            // MQTT-3.1.0-1: the first message is a CONNECT.
            let early = !self.introduced && header.kind != kind::CONNECT;
            found.insert_if(early, Violation::UnintroducedMessage);
            // Allowed (3.1.4), and rare: a client that does not wait for the answer to its CONNECT.
            let may_be_early = matches!(header.kind, kind::CONNECT | kind::AUTH | kind::DISCONNECT);
            faultless = found.is_empty();
            let hasty = way == 0 && self.introduced && !self.answered && !may_be_early;
            found.insert_if(hasty, Violation::EarlyMessage);
        }
        if said.messages == 0 {
            said.remaining_length = header.remaining_length;
        }
        said.messages += 1;
        said.kinds |= 1 << (header.kind & 15);
        said.faulty += u32::from(!found.is_empty());
        said.hasty += u32::from(faultless && !found.is_empty());
        match message {
            Message::Connect(connect) => {
                if connect.header_read {
                    self.keep_alive_secs = connect.keep_alive;
                    self.has_user = connect.flags.username();
                    self.version = connect.version().or(self.version);
                }
                self.introduced = true;
                said.client = Some(hash.hash_one(connect.client_id));
                said.user = connect.username.map(|name| hash.hash_one(name));
                let password = connect.password.map(|password| password.reveal());
                said.credential = password.map(|password| hash.hash_one((connect.username, password)));
            }
            Message::Connack(connack) => {
                said.connack = Some(connack.code);
                self.answered = true;
                self.accepted = connack.code == 0;
            }
            Message::Publish(_) => {
                said.publishes += 1;
                said.qos = said.qos.max(header.qos());
                (self.used, self.published) = (true, true);
            }
            Message::Subscribe(subscribe) => {
                self.used = true;
                said.wildcard |= subscribe.subscriptions.iter().any(|wish| is_everything(wish.filter));
            }
            Message::Unsubscribe(_) => self.used = true,
            Message::Disconnect(_) => self.closed = true,
            _ => {}
        }
    }

    /// By the CONNECT's version; without one, by the version that finds least wrong.
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

/// `#`, and `$SYS/#` or what has a wildcard below it.
fn is_everything(filter: &[u8]) -> bool {
    let wild = |filter: &[u8]| filter.iter().any(|byte| matches!(byte, b'#' | b'+'));
    filter == b"#" || (filter.starts_with(b"$SYS/") && wild(filter))
}

enum Found<'a> {
    Nothing,
    Passed(&'a [u8]),
    Fault,
    Message { header: FixedHeader, body: &'a [u8], whole: bool, rest: &'a [u8] },
}

impl Reader {
    /// The segment's bytes that are new, after what was lost before them.
    fn take<'a>(&mut self, segment: &Segment<'a>) -> &'a [u8] {
        if self.footing == Footing::Unseen {
            *self = Reader { footing: Footing::Lost, next: segment.seq, ..Reader::default() };
        }
        // RFC 9293, 3.4: numbers wrap; the sign of the difference says before or after.
        let ahead = segment.seq.wrapping_sub(self.next) as i32;
        let bytes = if ahead < 0 {
            segment.bytes.get(ahead.unsigned_abs() as usize..).unwrap_or_default()
        } else {
            self.lose(ahead as u32);
            segment.bytes
        };
        self.next = self.next.wrapping_add(bytes.len() as u32);
        bytes
    }

    fn lose(&mut self, len: u32) {
        if len == 0 {
            return;
        }
        self.next = self.next.wrapping_add(len);
        self.head_len = 0;
        if self.footing == Footing::Firm {
            match self.to_come.checked_sub(len) {
                Some(left) if self.to_come > 0 => self.to_come = left,
                _ => (self.to_come, self.footing) = (0, Footing::Lost),
            }
        }
    }

    fn step<'a>(&mut self, bytes: &'a [u8]) -> Found<'a> {
        match self.footing {
            Footing::Unseen | Footing::Broken => return Found::Nothing,
            Footing::Lost if looks_like_mqtt(bytes, true) => self.footing = Footing::Firm,
            Footing::Lost => return Found::Nothing,
            Footing::Firm => {}
        }
        if self.to_come > 0 {
            let passed = bytes.len().min(self.to_come as usize);
            self.to_come -= passed as u32;
            return Found::Passed(bytes.get(passed..).unwrap_or_default());
        }
        let before = usize::from(self.head_len);
        let mut joined = [0; 8];
        let head = self.head.iter().take(before).chain(bytes);
        let len = joined.iter_mut().zip(head).map(|(to, from)| *to = *from).count();
        match fixed_header(joined.get(..len).unwrap_or_default()) {
            Step::Incomplete { .. } => {
                self.head.iter_mut().zip(joined).for_each(|(to, from)| *to = from);
                self.head_len = len.min(4) as u8;
                Found::Nothing
            }
            Step::Malformed(_) => {
                self.footing = Footing::Broken;
                Found::Fault
            }
            Step::Done(header) => {
                self.head_len = 0;
                let after = bytes.get(header.header_len.saturating_sub(before)..).unwrap_or_default();
                let len = header.remaining_length as usize;
                let (body, rest) = after.split_at_checked(len).unwrap_or((after, &[]));
                self.to_come = (len - body.len()) as u32;
                Found::Message { header, body, whole: body.len() == len, rest }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! A message that continues in later segments: its first bytes, where it ends, and its fields.

use citronella_wire::mqtt::kind;

use super::MqttCells;
use crate::flow::tcp_seq::after;

/// Wireshark reads a variable byte integer of up to this many bytes; the standard allows four.
const MAX_VARINT_BYTES: usize = 10;
/// Type, the longest Remaining Length, and the two bytes of a CONNECT's protocol name length.
const PREFIX_BYTES: usize = 1 + MAX_VARINT_BYTES + 2;

/// A message's extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pdu {
    first: u8,
    header_len: usize,
    remaining_length: u64,
    /// Length of the whole message in bytes, modulo 2^32 as in Wireshark.
    pub(super) len: u32,
}

/// Reads a fixed header; `None` if the bytes end within it.
pub(super) fn pdu(bytes: &[u8]) -> Option<Pdu> {
    let (first, rest) = bytes.split_first()?;
    let mut remaining_length = 0_u64;
    for at in 0..MAX_VARINT_BYTES {
        let byte = *rest.get(at)?;
        remaining_length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(Pdu::new(*first, 2 + at, remaining_length));
        }
    }
    // Unterminated after ten bytes: Wireshark uses the value so far and a length field of no bytes.
    Some(Pdu::new(*first, 1, remaining_length))
}

impl Pdu {
    fn new(first: u8, header_len: usize, remaining_length: u64) -> Pdu {
        let len = remaining_length.wrapping_add(header_len as u64) as u32;
        Pdu { first, header_len, remaining_length, len }
    }

    /// Offset of CONNECT's flags within the message, which starts with `bytes`; `None` for other types, or if the
    /// offset lies beyond the message's end.
    pub(super) fn connect_flags_at(&self, bytes: &[u8]) -> Option<usize> {
        if self.first >> 4 != kind::CONNECT {
            return None;
        }
        let high = *bytes.get(self.header_len)?;
        let low = *bytes.get(self.header_len + 1)?;
        // Name length, name, level.
        let at = self.header_len + 2 + usize::from(u16::from_be_bytes([high, low])) + 1;
        (at < self.len as usize).then_some(at)
    }

    /// The message's fields. Lengths beyond 32 bits are clamped.
    pub(super) fn cells(&self, connect_flags: Option<u8>) -> MqttCells {
        MqttCells {
            kind: self.first >> 4,
            remaining_length: u32::try_from(self.remaining_length).unwrap_or(u32::MAX),
            connect_flags,
        }
    }
}

/// The first bytes of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    len: u8,
}

impl Prefix {
    pub(super) fn of(bytes: &[u8]) -> Prefix {
        let mut prefix = Prefix::default();
        prefix.add(bytes);
        prefix
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn add(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        let taken = free.len().min(bytes.len());
        free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len += taken as u8;
    }
}

/// An incomplete message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Sequence number of its first byte.
    pub(super) seq: u32,
    /// Sequence number of its end; if `needs_segment`, of the least that it needs.
    pub(super) next: u32,
    /// Its length is unknown: the whole next segment belongs to it.
    pub(super) needs_segment: bool,
    pub(super) prefix: Prefix,
    /// The Protocol column of the segment that completes it.
    pub(super) name: &'static str,
    connect_flags: Option<u8>,
    /// All bytes before this sequence number were seen.
    have: u32,
    /// Bytes seen after a hole: from, to.
    island: Option<(u32, u32)>,
}

impl Pending {
    pub(super) fn new(
        seq: u32,
        next: u32,
        needs_segment: bool,
        prefix: Prefix,
        name: &'static str,
    ) -> Pending {
        Pending { seq, next, needs_segment, prefix, name, connect_flags: None, have: seq, island: None }
    }

    /// Whether a segment that starts at `seq` continues it.
    pub(super) fn covers(&self, seq: u32) -> bool {
        !after(self.seq, seq) && after(self.next, seq)
    }

    /// Adds a part of `wire_len` bytes that starts at `seq`, of which `bytes` were captured; returns whether the
    /// message is complete.
    pub(super) fn add(&mut self, seq: u32, bytes: &[u8], wire_len: usize) -> bool {
        let end = seq.wrapping_add(wire_len as u32);
        if after(seq, self.have) {
            self.island = Some(match self.island {
                Some((from, to)) if to == seq => (from, end),
                Some((from, to)) if from == end => (seq, to),
                _ => (seq, end),
            });
        } else if after(end, self.have) {
            let at = self.have.wrapping_sub(self.seq) as usize;
            let known = usize::from(self.prefix.len);
            let fresh = bytes.get(self.have.wrapping_sub(seq) as usize..).unwrap_or_default();
            // Appended only without a hole: the prefix holds consecutive bytes.
            if known == at {
                self.prefix.add(fresh);
            }
            self.have = end;
            if let Some((from, to)) = self.island
                && !after(from, end)
            {
                self.have = if after(to, end) { to } else { end };
                self.island = None;
            }
        }
        self.read_connect_flags(seq, bytes);
        !after(self.next, self.have)
    }

    fn read_connect_flags(&mut self, seq: u32, bytes: &[u8]) {
        let known = self.prefix.bytes();
        let flags_at = pdu(known).and_then(|found| found.connect_flags_at(known));
        if let Some(at) = flags_at {
            let from = seq.wrapping_sub(self.seq) as usize;
            if let Some(byte) = at.checked_sub(from).and_then(|at| bytes.get(at)) {
                self.connect_flags = Some(*byte);
            }
        }
    }

    /// The fields of the complete message.
    pub(super) fn message(&self) -> Option<MqttCells> {
        pdu(self.prefix.bytes()).map(|found| found.cells(self.connect_flags))
    }
}

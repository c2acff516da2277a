//! A message that waits for more segments: its first bytes, where it ends, and what it will show then.

use citronella_wire::mqtt::kind;

use super::tcp_analysis::after;
use crate::feature::packet::MqttCells;

/// Wireshark reads a variable byte integer of up to this many bytes; the standard has four.
const MAX_VARINT_BYTES: usize = 10;
/// Type, the longest length, and the two bytes of a CONNECT's name length.
const BEGINNING_BYTES: usize = 1 + MAX_VARINT_BYTES + 2;

/// A message's extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pdu {
    first: u8,
    header_len: usize,
    remaining_length: u64,
    /// Bytes of the whole message, by the low 32 bits as Wireshark has it.
    pub(super) len: u32,
}

/// Reads a fixed header; `None` where the bytes end within it.
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
    // No end in ten bytes: a length of no bytes, with what was added up.
    Some(Pdu::new(*first, 1, remaining_length))
}

impl Pdu {
    fn new(first: u8, header_len: usize, remaining_length: u64) -> Pdu {
        let len = remaining_length.wrapping_add(header_len as u64) as u32;
        Pdu { first, header_len, remaining_length, len }
    }

    /// Where CONNECT's flags stand within the message, which begins with `bytes`; `None` for other types, or where
    /// they would lie behind its end.
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

    /// What the message shows. Lengths beyond 32 bits show as the largest.
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
pub(super) struct Beginning {
    bytes: [u8; BEGINNING_BYTES],
    len: u8,
}

impl Beginning {
    pub(super) fn of(bytes: &[u8]) -> Beginning {
        let mut beginning = Beginning::default();
        beginning.add(bytes);
        beginning
    }

    pub(super) fn known(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn add(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        let taken = free.len().min(bytes.len());
        free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len += taken as u8;
    }
}

/// A message of which some bytes are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Where it begins.
    pub(super) seq: u32,
    /// Where it ends, or, where `entire`, the least that it needs.
    pub(super) next: u32,
    /// Its length is not known: the whole of the next segment belongs to it.
    pub(super) entire: bool,
    pub(super) beginning: Beginning,
    /// What the Protocol column says when it is whole.
    pub(super) name: &'static str,
    connect_flags: Option<u8>,
    /// Up to where all bytes were seen.
    have: u32,
    /// Bytes seen behind a hole: from, to.
    island: Option<(u32, u32)>,
}

impl Pending {
    pub(super) fn new(
        seq: u32,
        next: u32,
        entire: bool,
        beginning: Beginning,
        name: &'static str,
    ) -> Pending {
        Pending { seq, next, entire, beginning, name, connect_flags: None, have: seq, island: None }
    }

    /// Whether a segment that begins at `seq` continues it.
    pub(super) fn covers(&self, seq: u32) -> bool {
        !after(self.seq, seq) && after(self.next, seq)
    }

    /// Adds a part of `wire_len` bytes that begins at `seq`, of which `bytes` were recorded; whether all is there now.
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
            let known = usize::from(self.beginning.len);
            let fresh = bytes.get(self.have.wrapping_sub(seq) as usize..).unwrap_or_default();
            // The beginning is complete or ends where this part begins: it holds the first bytes without a hole.
            if known == at {
                self.beginning.add(fresh);
            }
            self.have = end;
            if let Some((from, to)) = self.island
                && !after(from, end)
            {
                self.have = if after(to, end) { to } else { end };
                self.island = None;
            }
        }
        self.look_for_flags(seq, bytes);
        !after(self.next, self.have)
    }

    fn look_for_flags(&mut self, seq: u32, bytes: &[u8]) {
        let known = self.beginning.known();
        let flags_at = pdu(known).and_then(|found| found.connect_flags_at(known));
        if let Some(at) = flags_at {
            let from = seq.wrapping_sub(self.seq) as usize;
            if let Some(byte) = at.checked_sub(from).and_then(|at| bytes.get(at)) {
                self.connect_flags = Some(*byte);
            }
        }
    }

    /// What it shows once it is whole.
    pub(super) fn message(&self) -> Option<MqttCells> {
        pdu(self.beginning.known()).map(|found| found.cells(self.connect_flags))
    }
}

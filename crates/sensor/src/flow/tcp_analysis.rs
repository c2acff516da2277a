//! What a TCP segment is to its connection, by the rules of Wireshark's sequence analysis: new, sent again, a
//! keep-alive, out of order.
//!
//! In: the segments of both directions in capture order. Out: a [`Kind`] each. Constant memory a connection. The
//! rules are those of Wireshark 4.0 in one pass with default preferences, because the packet level is compared with
//! it; [`super::reassembly`] has no such rules.

use citronella_wire::{Tcp, TcpFlags};

use super::key::Direction;

/// Before a first round trip is known, a segment this close behind a later one is out of order, not sent again.
const REORDER_NANOS: i64 = 3_000_000;
/// A fast retransmission follows its duplicate acknowledgments within this time.
const FAST_NANOS: i64 = 20_000_000;

/// What a segment is to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its bytes are to be read: new ones, those after a gap, a zero-window probe, a fast retransmission.
    Read,
    /// Bytes that were there already, or a keep-alive: not to be read.
    Repeated,
    /// Bytes from before the latest, late by no more than a round trip.
    OutOfOrder,
}

/// One direction's numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// First sequence number of a SYN seen.
    base: Option<u32>,
    /// Highest end of a segment, SYN and FIN counted, and when it was set.
    next: Option<u32>,
    next_at: i64,
    last_ack: Option<u32>,
    last_ack_at: i64,
    duplicate_acks: u32,
    window: u16,
}

/// A connection's sequence analysis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    sides: [Side; 2],
    /// When the last SYN was seen.
    syn_at: Option<i64>,
    /// From that SYN to the first acknowledgment without one.
    first_round_trip: Option<i64>,
}

impl Connection {
    /// Whether the segment is a SYN that begins another connection with the same ends.
    pub fn is_reuse(&self, direction: Direction, tcp: &Tcp) -> bool {
        let base = self.sides.get(index(direction)).and_then(|side| side.base);
        tcp.flags.syn() && !tcp.flags.ack() && base.is_some_and(|base| base != tcp.seq)
    }

    /// What a segment with `len` bytes of payload is, which then becomes part of the connection's past.
    #[inline]
    pub fn add(&mut self, time_nanos: i64, direction: Direction, tcp: &Tcp, len: u32) -> Kind {
        let [low, high] = &mut self.sides;
        let (own, other) = if direction == Direction::FromLow { (low, high) } else { (high, low) };
        let flags = tcp.flags;
        let reorder_nanos = self.first_round_trip.unwrap_or(REORDER_NANOS);
        let (kind, probe) = own.classify(other, time_nanos, tcp, len, reorder_nanos);
        own.remember(time_nanos, tcp, len, probe);
        if flags.syn() {
            own.base.get_or_insert(tcp.seq);
            if !flags.ack() {
                self.syn_at = Some(time_nanos);
            }
        } else if flags.ack() && self.first_round_trip.is_none() {
            self.first_round_trip =
                self.syn_at.map(|at| time_nanos.saturating_sub(at)).filter(|nanos| *nanos > 0);
        }
        kind
    }

    /// The highest sequence number seen to be acknowledged or sent in a direction; `None` before its first segment.
    pub fn next(&self, direction: Direction) -> Option<u32> {
        self.sides.get(index(direction)).and_then(|side| side.next)
    }
}

impl Side {
    /// The segment's kind, and whether it is a zero-window probe.
    #[inline]
    fn classify(
        &mut self,
        other: &Side,
        time_nanos: i64,
        tcp: &Tcp,
        len: u32,
        reorder_nanos: i64,
    ) -> (Kind, bool) {
        let Some(next) = self.next else { return (Kind::Read, false) };
        let (seq, flags) = (tcp.seq, tcp.flags);
        let end = seq.wrapping_add(len);
        let probe = len == 1 && seq == next && other.window == 0 && other.last_ack.is_some();
        let quiet = flags.0 & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) == 0;
        if len == 0 {
            let same = tcp.window != 0 && tcp.window == self.window && self.last_ack == Some(tcp.ack);
            if same && seq == next && quiet {
                self.duplicate_acks += 1;
            }
            return (Kind::Read, false);
        }
        if probe {
            return (Kind::Read, true);
        }
        if len == 1 && seq == next.wrapping_sub(1) && quiet {
            return (Kind::Repeated, false);
        }
        if other.last_ack.is_some_and(|ack| !after(end, ack)) {
            return (Kind::Repeated, false);
        }
        // A longer segment from one byte back carries on after a probe of that byte.
        let goes_back = after(next, seq) && !(len > 1 && seq == next.wrapping_sub(1));
        if !goes_back {
            return (Kind::Read, false);
        }
        let since_ack = time_nanos.saturating_sub(other.last_ack_at);
        if other.duplicate_acks >= 2 && other.last_ack == Some(seq) && since_ack < FAST_NANOS {
            return (Kind::Read, false);
        }
        if time_nanos.saturating_sub(self.next_at) < reorder_nanos && end != next {
            return (Kind::OutOfOrder, false);
        }
        (Kind::Repeated, false)
    }

    #[inline]
    fn remember(&mut self, time_nanos: i64, tcp: &Tcp, len: u32, probe: bool) {
        let extra = u32::from(tcp.flags.syn() || tcp.flags.fin());
        let end = tcp.seq.wrapping_add(len).wrapping_add(extra);
        if !probe && self.next.is_none_or(|next| after(end, next)) {
            self.next = Some(end);
            self.next_at = time_nanos;
        }
        if tcp.flags.ack() {
            if self.last_ack != Some(tcp.ack) {
                self.duplicate_acks = 0;
            }
            self.last_ack = Some(tcp.ack);
            self.last_ack_at = time_nanos;
        }
        self.window = tcp.window;
    }
}

/// Whether sequence number `a` comes after `b` (RFC 9293, 3.4).
#[inline]
pub(super) fn after(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) < 0
}

fn index(direction: Direction) -> usize {
    usize::from(direction == Direction::FromHigh)
}

//! Wireshark's TCP sequence analysis: whether a segment is new, retransmitted, a keep-alive or out of order.
//!
//! In: the segments of both directions in capture order. Out: a [`Kind`] each. Constant memory per connection.

use citronella_wire::{Tcp, TcpFlags};

use crate::flow::{key::Direction, tcp_seq::after};

/// Until the first round-trip time is known, a segment that arrives within this time after a later one is out of
/// order, not retransmitted.
const REORDER_NANOS: i64 = 3_000_000;
/// A fast retransmission follows its duplicate acknowledgments within this time.
const FAST_RETRANSMISSION_NANOS: i64 = 20_000_000;

/// How Wireshark classifies a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Dissected: new bytes, bytes after a gap, a zero-window probe, a fast retransmission.
    Read,
    /// A retransmission or a keep-alive: not dissected.
    Repeated,
    /// Older than the newest segment, by no more than a round-trip time.
    OutOfOrder,
}

/// Sequence state of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// Sequence number of the first SYN.
    base: Option<u32>,
    /// Highest end of a segment, SYN and FIN included, and the time at which it was set.
    next: Option<u32>,
    next_at: i64,
    last_ack: Option<u32>,
    last_ack_at: i64,
    duplicate_acks: u32,
    window: u16,
}

/// A connection's sequence analysis.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    sides: [Side; 2],
    /// Time of the last SYN.
    syn_at: Option<i64>,
    /// Nanoseconds from that SYN to the first acknowledgment without SYN.
    first_round_trip: Option<i64>,
}

impl Connection {
    /// Whether the segment is a SYN that opens another connection between the same endpoints.
    pub(super) fn is_reuse(&self, direction: Direction, tcp: &Tcp) -> bool {
        let base = self.sides.get(index(direction)).and_then(|side| side.base);
        tcp.flags.syn() && !tcp.flags.ack() && base.is_some_and(|base| base != tcp.seq)
    }

    /// Classifies a segment with `len` bytes of payload and updates the connection with it.
    #[inline]
    pub(super) fn add(&mut self, time_nanos: i64, direction: Direction, tcp: &Tcp, len: u32) -> Kind {
        let [low, high] = &mut self.sides;
        let (own, other) = if direction == Direction::FromLow { (low, high) } else { (high, low) };
        let flags = tcp.flags;
        let reorder_nanos = self.first_round_trip.unwrap_or(REORDER_NANOS);
        let (kind, probe) = own.classify(other, time_nanos, tcp, len, reorder_nanos);
        own.update(time_nanos, tcp, len, probe);
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
        let is_plain = flags.0 & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) == 0;
        if len == 0 {
            let same = tcp.window != 0 && tcp.window == self.window && self.last_ack == Some(tcp.ack);
            if same && seq == next && is_plain {
                self.duplicate_acks += 1;
            }
            return (Kind::Read, false);
        }
        if probe {
            return (Kind::Read, true);
        }
        if len == 1 && seq == next.wrapping_sub(1) && is_plain {
            return (Kind::Repeated, false);
        }
        if other.last_ack.is_some_and(|ack| !after(end, ack)) {
            return (Kind::Repeated, false);
        }
        // A longer segment that starts one byte back continues after a probe of that byte.
        let goes_back = after(next, seq) && !(len > 1 && seq == next.wrapping_sub(1));
        if !goes_back {
            return (Kind::Read, false);
        }
        let since_ack = time_nanos.saturating_sub(other.last_ack_at);
        if other.duplicate_acks >= 2 && other.last_ack == Some(seq) && since_ack < FAST_RETRANSMISSION_NANOS {
            return (Kind::Read, false);
        }
        if time_nanos.saturating_sub(self.next_at) < reorder_nanos && end != next {
            return (Kind::OutOfOrder, false);
        }
        (Kind::Repeated, false)
    }

    #[inline]
    fn update(&mut self, time_nanos: i64, tcp: &Tcp, len: u32, probe: bool) {
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

fn index(direction: Direction) -> usize {
    usize::from(direction == Direction::FromHigh)
}

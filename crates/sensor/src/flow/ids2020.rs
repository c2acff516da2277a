//! Policy `ids2020`: flows as in MQTT-IoT-IDS2020, one per 5-tuple over a whole capture.
//!
//! In: packets in capture order. Out, at the capture's end: statistics of each direction, ordered by first packet. No
//! timeout, no split at FIN or RST; IPv4 TCP and UDP only; lengths are those of IP datagrams; inter-arrival times are
//! those of the sorted arrival times.
//!
//! Sums are integers of nanoseconds and bytes, so results are exact up to the final rounding. Memory: about 400 bytes
//! per conversation (capped; packets beyond the cap are counted) and a window of recent packets in which arrival times
//! are sorted before they are summed. [`Conversations::of_capture`] runs on several threads.

mod arrivals;
mod finished;
mod shard;
mod uniflow;

use std::sync::atomic::{AtomicUsize, Ordering};

use citronella_wire::{Frame, Transport, decode_datagram, decode_frame};

use self::{
    arrivals::{Arrivals, BatchTiming},
    shard::Shard,
};
use super::{
    key::{Direction, FlowKey, HashSeed},
    sharded::{ShardedWork, run_sharded},
};
use crate::capture::{Capture, CaptureError, Packet};

pub use finished::{DirectedFlow, Finished};
pub use uniflow::{Gaps, Uniflow};

/// Packets whose arrival times are sorted together.
const BATCH_PACKETS: usize = 1024;

/// Bounds of the policy's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Cap of conversations (both directions of a 5-tuple); packets of further ones are dropped and counted.
    pub max_conversations: usize,
    /// Size of the sort window in packets of the capture: how far out of order a packet may arrive and still be sorted in.
    pub sort_window_packets: usize,
}

impl Default for Limits {
    /// 16,777,216 conversations; a window of 65,536 packets (1.5 MiB).
    fn default() -> Limits {
        Limits { max_conversations: 1 << 24, sort_window_packets: 1 << 16 }
    }
}

/// Packets that were not counted, or not exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets of conversations beyond [`Limits::max_conversations`].
    pub packets_over_cap: u64,
    /// Packets that arrived after their sort window: they count as simultaneous with their flow's latest packet.
    pub packets_too_late: u64,
}

/// The fields of a packet that the policy uses.
#[derive(Clone, Copy)]
struct Item {
    key: FlowKey,
    time_nanos: i64,
    /// Bytes of the IP datagram.
    len: u32,
    /// Index in the batch.
    index: u32,
    /// The lower eight of TCP's flags.
    flags: u8,
    direction: Direction,
}

impl Item {
    /// `None` if the policy ignores the packet.
    #[inline]
    fn of_frame(time_nanos: i64, frame: &Frame<'_>, index: u32) -> Option<Item> {
        let ip = frame.ip.as_ref().filter(|ip| ip.src.is_ipv4())?;
        let transport = match frame.transport {
            Some(transport) => transport,
            // The first fragment has the ports.
            None if ip.is_fragment() && ip.fragment_offset == 0 => {
                decode_datagram(*ip, frame.payload, frame.payload_len).transport?
            }
            None => return None,
        };
        let flags = match &transport {
            Transport::Tcp(tcp) => tcp.flags.0 as u8,
            Transport::Udp(_) => 0,
            Transport::Icmp(_) => return None,
        };
        let (key, direction) = FlowKey::of_headers(ip, &transport);
        Some(Item { key, time_nanos, len: ip.total_len, index, flags, direction })
    }
}

/// State shared by all shards of a capture's conversations.
struct Policy {
    max_conversations: usize,
    seed: HashSeed,
    /// Conversations of all shards.
    conversations: AtomicUsize,
}

impl Policy {
    fn new(limits: Limits) -> Policy {
        // A direction's index has 31 bits for the conversation and one for the direction.
        let max_conversations = limits.max_conversations.min(1 << 31);
        Policy { max_conversations, seed: HashSeed::new(), conversations: AtomicUsize::new(0) }
    }

    /// Counts another conversation; returns `false` at the cap.
    fn admit(&self) -> bool {
        let more = |count| (count < self.max_conversations).then_some(count + 1);
        self.conversations.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// The conversations of one capture.
pub struct Conversations {
    policy: Policy,
    shard: Shard,
    arrivals: Arrivals,
    /// Packet times of the current batch.
    times: Vec<i64>,
    /// The direction index of each of its packets, or `None` if the packet was not counted.
    indices: Vec<Option<u32>>,
}

impl Conversations {
    /// An empty table.
    pub fn new(limits: Limits) -> Conversations {
        Conversations {
            policy: Policy::new(limits),
            shard: Shard::default(),
            arrivals: Arrivals::new(limits.sort_window_packets),
            times: Vec::with_capacity(BATCH_PACKETS),
            indices: Vec::with_capacity(BATCH_PACKETS),
        }
    }

    /// Counts a whole capture on `threads` threads, including the caller's; the result does not depend on their number.
    /// Also returns the error that ended the capture, if any; the packets before it are counted. `progress` is called
    /// from time to time with the number of packets read.
    pub fn of_capture(
        capture: &mut Capture,
        limits: Limits,
        threads: usize,
        progress: impl FnMut(u64),
    ) -> (Finished, Result<(), CaptureError>) {
        let policy = Policy::new(limits);
        let shards = (0..threads.max(1)).map(|_| Shard::default()).collect();
        let arrivals = Arrivals::new(limits.sort_window_packets);
        let (shards, ended) = run_sharded(&policy, capture, (shards, arrivals), threads, progress);
        (Finished::of_shards(shards), ended)
    }

    /// Counts a packet; returns `false` if the policy ignores it (not IPv4 TCP or UDP, or over the cap).
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.add_frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes))
    }

    /// Counts a decoded packet.
    #[inline]
    pub fn add_frame(&mut self, time_nanos: i64, frame: &Frame<'_>) -> bool {
        let Some(item) = Item::of_frame(time_nanos, frame, self.times.len() as u32) else { return false };
        let index = self.shard.count(&self.policy, &item, self.arrivals.seen());
        self.times.push(time_nanos);
        self.indices.push(index);
        if self.times.len() == BATCH_PACKETS {
            self.end_batch();
        }
        index.is_some()
    }

    fn end_batch(&mut self) {
        let times = std::mem::replace(&mut self.times, Vec::with_capacity(BATCH_PACKETS));
        let timing = self.arrivals.batch(times);
        for (packet, (index, time_nanos)) in (0..).zip(self.indices.drain(..).zip(self.arrivals.newest())) {
            if let Some(index) = index {
                self.shard.arrive(index, *time_nanos, timing.late(packet));
            }
        }
        self.shard.settle(timing.settled);
    }

    /// Number of conversations.
    pub fn len(&self) -> usize {
        self.shard.len()
    }

    /// Whether there is no conversation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packets that were not counted, or not exactly; complete after [`Conversations::finish`].
    pub fn counters(&self) -> Counters {
        self.shard.counters()
    }

    /// The statistics, at the capture's end.
    pub fn finish(mut self) -> Finished {
        self.end_batch();
        Finished::of_shards(vec![self.shard])
    }
}

impl ShardedWork for Policy {
    type Item = Item;
    type Shard = Shard;
    type Sequencer = Arrivals;
    type Note = BatchTiming;

    #[inline]
    fn item(&self, packet: &Packet<'_>, index: u32) -> Option<(u64, Item)> {
        let item = Item::of_frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes), index)?;
        Some((self.seed.flow(&item.key), item))
    }

    fn sequence(&self, arrivals: &mut Arrivals, times: Vec<i64>) -> BatchTiming {
        arrivals.batch(times)
    }

    fn process(&self, shard: &mut Shard, items: &[Item], timing: &BatchTiming) {
        for item in items {
            if let Some(index) = shard.count(self, item, timing.before) {
                shard.arrive(index, item.time_nanos, timing.late(item.index));
            }
        }
    }

    fn end_batch(&self, shard: &mut Shard, timing: &BatchTiming) {
        shard.settle(timing.settled);
    }

    fn unordered_capacity(&self) -> usize {
        match self.max_conversations - self.conversations.load(Ordering::Relaxed) {
            // At the cap every new conversation is dropped, in any order.
            0 => usize::MAX,
            free => free,
        }
    }

    fn index(item: &Item) -> u32 {
        item.index
    }
}

//! Policy `ids2020`: flows as MQTT-IoT-IDS2020 cut them, one per 5-tuple over a whole capture.
//!
//! In: packets in capture order. Out: the [`Direction`]s' statistics at the capture's end, in the order in which they
//! were first seen. No time-out, no split at FIN or RST; IPv4 TCP and UDP only; lengths are the IP datagram's;
//! inter-arrival times are those of the sorted arrival times.
//!
//! Sums are kept as integers of nanoseconds and bytes, so results are exact to the last rounding however long a flow
//! lasts. Memory: about 400 bytes a conversation (capped, the rest counted) and one window of recent packets in which
//! arrival times are sorted before they are summed. Several threads may share the flows: [`Conversations::of_capture`].

mod arrivals;
mod finished;
mod shard;
mod uniflow;

use std::sync::atomic::{AtomicUsize, Ordering};

use citronella_wire::{Frame, Transport, decode_datagram, decode_frame};

use self::{
    arrivals::{Arrivals, Note},
    shard::Shard,
};
use super::{
    key::{Direction, FlowKey, HashSeed},
    sharded::{ShardedWork, run_sharded},
};
use crate::capture::{Capture, CaptureError, Packet};

pub use finished::{Finished, Seen};
pub use uniflow::{Gaps, Uniflow};

/// Packets whose arrivals are looked at together.
const BATCH_PACKETS: usize = 1024;

/// Bounds of the policy's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Conversations (both directions of a 5-tuple); packets of further ones are counted and dropped.
    pub max_conversations: usize,
    /// How many packets a late one may lie behind its place in time, over the whole capture, and still be sorted in.
    pub sort_window_packets: usize,
}

impl Default for Limits {
    /// 16,777,216 conversations; a window of 65,536 packets (1.5 MiB).
    fn default() -> Limits {
        Limits { max_conversations: 1 << 24, sort_window_packets: 1 << 16 }
    }
}

/// What was not counted, or not exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Packets of conversations beyond [`Limits::max_conversations`].
    pub packets_over_cap: u64,
    /// Packets so late that the sort window had passed: taken as arriving together with their flow's latest packet.
    pub packets_too_late: u64,
}

/// What the policy wants to know of a packet.
#[derive(Clone, Copy)]
struct Item {
    key: FlowKey,
    time_nanos: i64,
    /// Bytes of the IP datagram.
    len: u32,
    /// Its place among those of its batch.
    index: u32,
    /// The lower eight of TCP's flags.
    flags: u8,
    direction: Direction,
}

impl Item {
    /// `None` if the policy leaves the packet out.
    #[inline]
    fn of_frame(time_nanos: i64, frame: &Frame<'_>, index: u32) -> Option<Item> {
        let ip = frame.ip.as_ref().filter(|ip| ip.src.is_ipv4())?;
        let transport = match frame.transport {
            Some(transport) => transport,
            // A first fragment carries the ports.
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

/// What all shards of a capture's conversations have in common.
struct Policy {
    max_conversations: usize,
    seed: HashSeed,
    /// Conversations of all shards.
    conversations: AtomicUsize,
}

impl Policy {
    fn new(limits: Limits) -> Policy {
        // A place has 31 bits, and one says which direction.
        let max_conversations = limits.max_conversations.min(1 << 31);
        Policy { max_conversations, seed: HashSeed::new(), conversations: AtomicUsize::new(0) }
    }

    /// Counts another conversation, if there is room for it.
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
    /// The batch so far: each packet's time, and its place if it was counted.
    times: Vec<i64>,
    places: Vec<Option<u32>>,
}

impl Conversations {
    /// None yet.
    pub fn new(limits: Limits) -> Conversations {
        Conversations {
            policy: Policy::new(limits),
            shard: Shard::default(),
            arrivals: Arrivals::new(limits.sort_window_packets),
            times: Vec::with_capacity(BATCH_PACKETS),
            places: Vec::with_capacity(BATCH_PACKETS),
        }
    }

    /// The conversations of a capture, shared out to so many threads, the caller's included: the same as of one. Also what
    /// ended the capture; the packets before a fault are counted. `told` hears now and then how many were read.
    pub fn of_capture(
        capture: &mut Capture,
        limits: Limits,
        threads: usize,
        told: impl FnMut(u64),
    ) -> (Finished, Result<(), CaptureError>) {
        let policy = Policy::new(limits);
        let shards = (0..threads.max(1)).map(|_| Shard::default()).collect();
        let arrivals = Arrivals::new(limits.sort_window_packets);
        let (shards, ended) = run_sharded(&policy, capture, (shards, arrivals), threads, told);
        (Finished::of_shards(shards), ended)
    }

    /// Counts a packet; `false` if the policy leaves it out (not IPv4 TCP or UDP, or over the cap).
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.add_frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes))
    }

    /// Counts a packet that is decoded already.
    #[inline]
    pub fn add_frame(&mut self, time_nanos: i64, frame: &Frame<'_>) -> bool {
        let Some(item) = Item::of_frame(time_nanos, frame, self.times.len() as u32) else { return false };
        let place = self.shard.count(&self.policy, &item, self.arrivals.seen());
        self.times.push(time_nanos);
        self.places.push(place);
        if self.times.len() == BATCH_PACKETS {
            self.end_batch();
        }
        place.is_some()
    }

    fn end_batch(&mut self) {
        let times = std::mem::replace(&mut self.times, Vec::with_capacity(BATCH_PACKETS));
        let note = self.arrivals.batch(times);
        for (index, (place, time_nanos)) in (0..).zip(self.places.drain(..).zip(self.arrivals.newest())) {
            if let Some(place) = place {
                self.shard.arrive(place, *time_nanos, note.late(index));
            }
        }
        self.shard.settle(note.settled);
    }

    /// Conversations so far.
    pub fn len(&self) -> usize {
        self.shard.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was not counted, or not exactly; complete after [`Conversations::finish`].
    pub fn losses(&self) -> Losses {
        self.shard.losses()
    }

    /// Ends the capture.
    pub fn finish(mut self) -> Finished {
        self.end_batch();
        Finished::of_shards(vec![self.shard])
    }
}

impl ShardedWork for Policy {
    type Item = Item;
    type Shard = Shard;
    type Sequencer = Arrivals;
    type Note = Note;

    #[inline]
    fn item(&self, packet: &Packet<'_>, index: u32) -> Option<(u64, Item)> {
        let item = Item::of_frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes), index)?;
        Some((self.seed.flow(&item.key), item))
    }

    fn sequence(&self, arrivals: &mut Arrivals, times: Vec<i64>) -> Note {
        arrivals.batch(times)
    }

    fn process(&self, shard: &mut Shard, items: &[Item], note: &Note) {
        for item in items {
            if let Some(place) = shard.count(self, item, note.before) {
                shard.arrive(place, item.time_nanos, note.late(item.index));
            }
        }
    }

    fn end_batch(&self, shard: &mut Shard, note: &Note) {
        shard.settle(note.settled);
    }

    fn unordered_capacity(&self) -> usize {
        match self.max_conversations - self.conversations.load(Ordering::Relaxed) {
            // None is let in any more, in whatever order they come.
            0 => usize::MAX,
            room => room,
        }
    }

    fn index(item: &Item) -> u32 {
        item.index
    }
}

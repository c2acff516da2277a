//! Policy `ids2020`: flows as MQTT-IoT-IDS2020 cut them, one per 5-tuple over a whole capture.
//!
//! In: packets in capture order. Out: the [`Direction`]s' statistics at the capture's end, in the order in which they
//! were first seen. No time-out, no split at FIN or RST; IPv4 TCP and UDP only; lengths are the IP datagram's;
//! inter-arrival times are those of the sorted arrival times.
//!
//! Sums are kept as integers of nanoseconds and bytes, so results are exact to the last rounding however long a flow
//! lasts. Memory: about 400 bytes a conversation (capped, the rest counted) and one window of recent packets in which
//! arrival times are sorted before they are summed.

use std::collections::VecDeque;

use citronella_wire::{Frame, Transport, decode_datagram, decode_frame};
use hashbrown::HashTable;

use super::key::{Direction, FlowKey, HashSeed};
use crate::capture::Packet;

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

/// One direction's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uniflow {
    /// Rank among all directions by first packet, from 0.
    order: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes of IP datagrams.
    pub bytes: u64,
    square_bytes: u128,
    /// Shortest and longest datagram in bytes.
    pub min_len: u32,
    /// See `min_len`.
    pub max_len: u32,
    /// Segments with PSH.
    pub psh: u64,
    /// Segments with RST.
    pub rst: u64,
    /// Segments with URG.
    pub urg: u64,
    times: Times,
}

/// Arrival times, summed in order: whole nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    count: u64,
    first: i64,
    last: i64,
    min_gap: u64,
    max_gap: u64,
    square_gaps: u128,
    /// Sum of the times since `first`.
    offsets: u128,
}

impl Times {
    /// Adds an arrival; `false` if it is earlier than one before it.
    #[inline]
    fn add(&mut self, at: i64) -> bool {
        if self.count == 0 {
            *self = Times { count: 1, first: at, last: at, min_gap: u64::MAX, ..Times::default() };
            return true;
        }
        let in_order = at >= self.last;
        let at = at.max(self.last);
        let gap = at.abs_diff(self.last);
        self.count += 1;
        self.last = at;
        self.min_gap = self.min_gap.min(gap);
        self.max_gap = self.max_gap.max(gap);
        self.square_gaps = self.square_gaps.saturating_add(u128::from(gap) * u128::from(gap));
        self.offsets += u128::from(at.abs_diff(self.first));
        in_order
    }
}

/// A flow's inter-arrival times in seconds; zeros for a single packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gaps {
    /// Arithmetic mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// Shortest.
    pub min: f64,
    /// Longest.
    pub max: f64,
    /// Mean time from the first packet to each later one.
    pub mean_offset: f64,
}

impl Uniflow {
    /// Inter-arrival times in seconds.
    pub fn gaps(&self) -> Gaps {
        let times = &self.times;
        let Some(gaps) = times.count.checked_sub(1).filter(|gaps| *gaps > 0) else { return Gaps::default() };
        let sum = times.last.abs_diff(times.first);
        let n = gaps as f64 * 1e9;
        Gaps {
            mean: sum as f64 / n,
            std: deviation(gaps, u128::from(sum), times.square_gaps) / 1e9,
            min: times.min_gap as f64 / 1e9,
            max: times.max_gap as f64 / 1e9,
            mean_offset: times.offsets as f64 / n,
        }
    }

    /// Mean datagram length in bytes.
    pub fn mean_len(&self) -> f64 {
        self.bytes as f64 / self.packets.max(1) as f64
    }

    /// Population standard deviation of the datagrams' lengths in bytes.
    pub fn std_len(&self) -> f64 {
        deviation(self.packets, u128::from(self.bytes), self.square_bytes)
    }

    #[inline]
    fn add(&mut self, len: u32, flags: u16) {
        if self.packets == 0 {
            self.min_len = len;
        }
        self.packets += 1;
        self.bytes += u64::from(len);
        self.square_bytes += u128::from(len) * u128::from(len);
        self.min_len = self.min_len.min(len);
        self.max_len = self.max_len.max(len);
        self.psh += u64::from(flags >> 3 & 1);
        self.rst += u64::from(flags >> 2 & 1);
        self.urg += u64::from(flags >> 5 & 1);
    }
}

/// Population standard deviation of `n` whole numbers from their sum and their sum of squares. The difference is
/// taken between integers: nothing cancels.
fn deviation(n: u64, sum: u128, squares: u128) -> f64 {
    let n_wide = u128::from(n.max(1));
    let n = n.max(1) as f64;
    match (squares.checked_mul(n_wide), sum.checked_mul(sum)) {
        (Some(scaled), Some(square)) => (scaled.saturating_sub(square) as f64).sqrt() / n,
        // Gaps of decades: rounding no longer matters beside them.
        _ => (squares as f64 / n - (sum as f64 / n).powi(2)).max(0.0).sqrt(),
    }
}

/// Both directions of a 5-tuple.
#[derive(Clone, Copy, Debug)]
struct Conversation {
    key: FlowKey,
    /// From the low end, from the high end.
    ways: [Uniflow; 2],
}

/// A direction that has packets, with its place and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The conversation.
    pub key: &'a FlowKey,
    /// Which way these packets went.
    pub direction: Direction,
    /// Its statistics.
    pub flow: &'a Uniflow,
    /// The other direction's, if it has packets. A flow from an end to itself answers itself.
    pub reply: Option<&'a Uniflow>,
}

impl Seen<'_> {
    /// Whether this direction was seen before its reply, or has none.
    pub fn is_forward(&self) -> bool {
        self.reply.is_none_or(|reply| self.flow.order <= reply.order)
    }
}

/// An arrival that waits in the sort window.
#[derive(Clone, Copy)]
struct Arrival {
    time_nanos: i64,
    conversation: u32,
    way: u8,
}

/// The conversations of one capture.
pub struct Conversations {
    limits: Limits,
    seed: HashSeed,
    index: HashTable<u32>,
    all: Vec<Conversation>,
    directions: u64,
    window: VecDeque<Arrival>,
    losses: Losses,
}

impl Conversations {
    /// None yet.
    pub fn new(limits: Limits) -> Conversations {
        Conversations {
            limits,
            seed: HashSeed::new(),
            index: HashTable::new(),
            all: Vec::new(),
            directions: 0,
            window: VecDeque::new(),
            losses: Losses::default(),
        }
    }

    /// Counts a packet; `false` if the policy leaves it out (not IPv4 TCP or UDP, or over the cap).
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.add_frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes))
    }

    /// Counts a packet that is decoded already.
    #[inline]
    pub fn add_frame(&mut self, time_nanos: i64, frame: &Frame<'_>) -> bool {
        let Some(ip) = frame.ip.as_ref().filter(|ip| ip.src.is_ipv4()) else { return false };
        let transport = match frame.transport {
            Some(transport) => Some(transport),
            // A first fragment carries the ports.
            None if ip.is_fragment() && ip.fragment_offset == 0 => {
                decode_datagram(*ip, frame.payload, frame.payload_len).transport
            }
            None => None,
        };
        let (flags, transport) = match transport {
            Some(transport @ Transport::Tcp(tcp)) => (tcp.flags.0, transport),
            Some(transport @ Transport::Udp(_)) => (0, transport),
            _ => return false,
        };
        let (key, direction) = FlowKey::of_headers(ip, &transport);
        let Some(at) = self.find(&key) else {
            self.losses.packets_over_cap += 1;
            return false;
        };
        let way = usize::from(direction == Direction::FromHigh);
        let Some(flow) = self.all.get_mut(at).and_then(|found| found.ways.get_mut(way)) else { return false };
        if flow.packets == 0 {
            flow.order = self.directions;
            self.directions += 1;
        }
        flow.add(ip.total_len, flags);
        self.arrive(Arrival { time_nanos, conversation: at as u32, way: way as u8 });
        true
    }

    /// The place of the key's conversation; `None` if it is new and there is no more room.
    #[inline]
    fn find(&mut self, key: &FlowKey) -> Option<usize> {
        let Conversations { seed, index, all, limits, .. } = self;
        let hash = seed.flow(key);
        let same = |at: &u32| all.get(*at as usize).is_some_and(|known| known.key == *key);
        if let Some(at) = index.find(hash, same) {
            return Some(*at as usize);
        }
        let at = all.len();
        if at >= limits.max_conversations.min(u32::MAX as usize) {
            return None;
        }
        let rehash = |at: &u32| all.get(*at as usize).map_or(0, |known| seed.flow(&known.key));
        index.insert_unique(hash, at as u32, rehash);
        all.push(Conversation { key: *key, ways: [Uniflow::default(); 2] });
        Some(at)
    }

    /// Lets an arrival into the window at its place in time, and the earliest out of a full one.
    #[inline]
    fn arrive(&mut self, arrival: Arrival) {
        if self.window.len() >= self.limits.sort_window_packets.max(1)
            && let Some(earliest) = self.window.pop_front()
        {
            self.settle(earliest);
        }
        match self.window.back() {
            Some(latest) if latest.time_nanos > arrival.time_nanos => {
                let at = self.window.partition_point(|other| other.time_nanos <= arrival.time_nanos);
                self.window.insert(at, arrival);
            }
            _ => self.window.push_back(arrival),
        }
    }

    #[inline]
    fn settle(&mut self, arrival: Arrival) {
        let conversation = self.all.get_mut(arrival.conversation as usize);
        if let Some(flow) = conversation.and_then(|found| found.ways.get_mut(usize::from(arrival.way)))
            && !flow.times.add(arrival.time_nanos)
        {
            self.losses.packets_too_late += 1;
        }
    }

    /// Conversations so far.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What was not counted, or not exactly; complete after [`Conversations::finish`].
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Ends the capture.
    pub fn finish(mut self) -> Finished {
        while let Some(arrival) = self.window.pop_front() {
            self.settle(arrival);
        }
        let mut order: Vec<(u64, u32, Direction)> = Vec::with_capacity(self.directions as usize);
        for (at, conversation) in self.all.iter().enumerate() {
            for (flow, direction) in conversation.ways.iter().zip([Direction::FromLow, Direction::FromHigh]) {
                if flow.packets > 0 {
                    order.push((flow.order, at as u32, direction));
                }
            }
        }
        order.sort_unstable_by_key(|(order, ..)| *order);
        let order = order.into_iter().map(|(_, at, direction)| (at, direction)).collect();
        Finished { all: self.all, order, losses: self.losses }
    }
}

/// The conversations of a whole capture.
pub struct Finished {
    all: Vec<Conversation>,
    order: Vec<(u32, Direction)>,
    losses: Losses,
}

impl Finished {
    /// Directions with packets.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The direction of this rank by first packet, from 0.
    pub fn get(&self, rank: usize) -> Option<Seen<'_>> {
        let (at, direction) = *self.order.get(rank)?;
        let Conversation { key, ways: [low, high] } = self.all.get(at as usize)?;
        let (flow, reply) = if direction == Direction::FromLow { (low, high) } else { (high, low) };
        let reply = if key.is_loop() { Some(flow) } else { Some(reply).filter(|reply| reply.packets > 0) };
        Some(Seen { key, direction, flow, reply })
    }

    /// All directions in the order of their first packets.
    pub fn iter(&self) -> impl Iterator<Item = Seen<'_>> {
        (0..self.order.len()).filter_map(|rank| self.get(rank))
    }

    /// What was not counted, or not exactly.
    pub fn losses(&self) -> Losses {
        self.losses
    }
}

//! The flow table of the policy `live`: bidirectional 5-tuples and ICMP exchanges, with timeouts and a cap.
//!
//! In: [`FlowPacket`]s in capture order. Out: [`FlowEvent`]s: a flow starts, has a packet, ends. A flow has one slot, an
//! index below the cap, from its first event to its last, so that callers can hold per-flow state in arrays. O(1) per
//! packet; all time is packet time. Memory: 308 bytes per flow, capped; a full table evicts the longest idle of up to 16
//! candidates.

use std::time::Duration;

use hashbrown::HashTable;

use super::clock::Clock;
use super::key::{HashSeed, TCP, UDP};
use super::record::{Flow, FlowPacket, Phase};
use super::timers::Timers;

/// Memory per flow: the flow, its timer's links, its entry in the index (buckets of 5 bytes, fewer than 16 for 7 flows)
/// and in the list of free slots.
pub const BYTES_PER_FLOW: usize = size_of::<Flow>() + 12 + 12 + 4;

const TICK_NANOS: u64 = 500_000_000;
/// Timers that are checked with one packet at most.
const MAX_CHECKED_PER_PACKET: usize = 4096;
/// Flows that are compared to find one to evict.
const CANDIDATES: usize = 16;

/// Timeouts and cap of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Cap of flows in the table.
    pub max_flows: usize,
    /// Idle timeout of a TCP connection on which only one endpoint has sent packets.
    pub tcp_unanswered: Duration,
    /// Idle timeout of an open TCP connection.
    pub tcp_open: Duration,
    /// Idle timeout of a TCP connection after FIN or RST, for packets still in flight.
    pub tcp_over: Duration,
    /// Idle timeout of a UDP flow.
    pub udp: Duration,
    /// Idle timeout of an ICMP exchange.
    pub icmp: Duration,
    /// Active timeout: the age at which a flow ends; its next packet starts a new flow.
    pub active: Duration,
}

impl Default for Limits {
    /// 1,048,576 flows; idle 60 s unanswered, 600 s open, 10 s over, 120 s UDP, 30 s ICMP; active 1,800 s.
    fn default() -> Limits {
        Limits {
            max_flows: 1 << 20,
            tcp_unanswered: Duration::from_secs(60),
            tcp_open: Duration::from_secs(600),
            tcp_over: Duration::from_secs(10),
            udp: Duration::from_secs(120),
            icmp: Duration::from_secs(30),
            active: Duration::from_secs(1800),
        }
    }
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Both endpoints had sent FIN.
    Finished,
    /// An endpoint had sent RST.
    Reset,
    /// The idle timeout of [`Limits`] expired.
    Idle,
    /// The active timeout of [`Limits`] expired.
    Active,
    /// The table was full.
    Evicted,
    /// The capture ended.
    Capture,
}

impl EndReason {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::Finished => "finished",
            EndReason::Reset => "reset",
            EndReason::Idle => "idle",
            EndReason::Active => "active",
            EndReason::Evicted => "evicted",
            EndReason::Capture => "capture",
        }
    }
}

/// An event of a flow. `slot` is below [`Limits::max_flows`] and belongs to the flow until it has ended.
#[derive(Clone, Copy, Debug)]
pub enum FlowEvent<'a> {
    /// The flow started; its first packet follows as an event of its own.
    New {
        /// The flow's slot.
        slot: u32,
        /// The flow, without any packet.
        flow: &'a Flow,
    },
    /// The flow had a packet.
    Packet {
        /// The flow's slot.
        slot: u32,
        /// The flow, including the packet.
        flow: &'a Flow,
        /// Whether the initiator sent it.
        from_initiator: bool,
    },
    /// The flow ended.
    Ended {
        /// The flow's slot, which is now free.
        slot: u32,
        /// The flow's final state.
        flow: &'a Flow,
        /// Why it ended.
        reason: EndReason,
    },
}

/// Counters of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets counted.
    pub packets: u64,
    /// Flows started.
    pub started: u64,
    /// Flows ended, for any reason.
    pub ended: u64,
    /// Flows evicted from a full table.
    pub evicted: u64,
    /// How often packet time stepped back by more than a minute.
    pub clock_steps_back: u64,
}

/// The table.
pub struct FlowTable {
    limits: Limits,
    seed: HashSeed,
    index: HashTable<u32>,
    flows: Vec<Flow>,
    free: Vec<u32>,
    timers: Timers,
    clock: Clock,
    counters: Counters,
}

impl FlowTable {
    /// An empty table. The cap is at least 1 and below 2^32.
    pub fn new(limits: Limits) -> FlowTable {
        let max_flows = limits.max_flows.clamp(1, u32::MAX as usize - 1);
        FlowTable {
            limits: Limits { max_flows, ..limits },
            seed: HashSeed::new(),
            index: HashTable::new(),
            flows: Vec::with_capacity(max_flows),
            free: Vec::new(),
            timers: Timers::new(TICK_NANOS, max_flows),
            clock: Clock::default(),
            counters: Counters::default(),
        }
    }

    /// Counts a packet and returns the slot of its flow. Emits the flows that end first, then the packet's own events.
    #[inline]
    pub fn add(&mut self, packet: &FlowPacket, mut emit: impl FnMut(FlowEvent<'_>)) -> u32 {
        let now = self.clock.at(packet.time_nanos);
        self.counters.packets += 1;
        self.end_due(now, &mut emit);
        let hash = self.seed.flow(&packet.key);
        let FlowTable { index, flows, .. } = self;
        let same = |slot: &u32| flows.get(*slot as usize).is_some_and(|flow| flow.key == packet.key);
        let known = index.find(hash, same).copied();
        let slot = match known {
            Some(slot) => match self.end_reason(slot, packet, now) {
                None => slot,
                Some(reason) => {
                    self.end(slot, reason, &mut emit);
                    self.start(hash, packet, now, &mut emit)
                }
            },
            None => self.start(hash, packet, now, &mut emit),
        };
        let Some(flow) = self.flows.get_mut(slot as usize) else { return slot };
        if flow.add(packet, now) && flow.phase.is_over() {
            // The deadline moves forward only here. A deadline that moves back is checked when the timer expires.
            self.timers.set(slot, deadline(&self.limits, flow));
        }
        let flow = &*flow;
        emit(FlowEvent::Packet { slot, flow, from_initiator: packet.direction == flow.initiator });
        slot
    }

    /// Advances the clock without a packet and ends the flows that have timed out.
    pub fn tick(&mut self, now_nanos: i64, mut emit: impl FnMut(FlowEvent<'_>)) {
        let now = self.clock.at(now_nanos);
        self.end_due(now, &mut emit);
    }

    /// Ends all flows, in the order of their slots.
    pub fn finish(&mut self, mut emit: impl FnMut(FlowEvent<'_>)) {
        let mut slots: Vec<u32> = self.index.iter().copied().collect();
        slots.sort_unstable();
        for slot in slots {
            let phase = self.flows.get(slot as usize).map(|flow| flow.phase);
            self.end(slot, reason(phase, EndReason::Capture), &mut emit);
        }
    }

    /// Ends up to `most` flows from the slot `from` on, in the order of their slots; returns the slot to continue from, or
    /// `None` at the end of the table.
    pub fn finish_some(
        &mut self,
        from: u32,
        most: usize,
        mut emit: impl FnMut(FlowEvent<'_>),
    ) -> Option<u32> {
        let before = self.counters.ended;
        for slot in from..self.flows.len() as u32 {
            if self.counters.ended - before >= most as u64 {
                return Some(slot);
            }
            let phase = self.flows.get(slot as usize).map(|flow| flow.phase);
            self.end(slot, reason(phase, EndReason::Capture), &mut emit);
        }
        None
    }

    /// The flow in a slot; for a free slot the flow that ended there.
    pub fn get(&self, slot: u32) -> Option<&Flow> {
        self.flows.get(slot as usize)
    }

    /// Number of flows that have not ended.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether all flows have ended.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The table's counters.
    pub fn counters(&self) -> Counters {
        Counters { clock_steps_back: self.clock.steps_back, ..self.counters }
    }

    /// Ends flows that have timed out. Their number per call is bounded, so that a million simultaneous timeouts neither
    /// delay a packet nor fill the receiver's memory; the rest ends with later packets.
    #[inline]
    fn end_due(&mut self, now: u64, emit: &mut impl FnMut(FlowEvent<'_>)) {
        for _ in 0..MAX_CHECKED_PER_PACKET {
            let Some(slot) = self.timers.pop_due(now) else { return };
            self.check_deadline(slot, now, emit);
        }
    }

    /// Why the flow in this slot ends before this packet of its key; `None` if it continues.
    #[inline]
    fn end_reason(&self, slot: u32, packet: &FlowPacket, now: u64) -> Option<EndReason> {
        let flow = self.flows.get(slot as usize)?;
        let fresh_syn = packet.tcp.is_some_and(|flags| flags.syn() && !flags.ack() && !flags.rst());
        if flow.phase.is_over() && fresh_syn {
            return Some(reason(Some(flow.phase), EndReason::Finished));
        }
        (now >= deadline(&self.limits, flow)).then(|| timed_out(&self.limits, flow, now))
    }

    /// Ends the flow of an expired timer, or sets the timer again if the flow's deadline has moved.
    fn check_deadline(&mut self, slot: u32, now: u64, emit: &mut impl FnMut(FlowEvent<'_>)) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let due = deadline(&self.limits, flow);
        if due > now {
            self.timers.set(slot, due);
        } else {
            let reason = timed_out(&self.limits, flow, now);
            self.end(slot, reason, emit);
        }
    }

    fn start(
        &mut self,
        hash: u64,
        packet: &FlowPacket,
        now: u64,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) -> u32 {
        if self.index.len() >= self.limits.max_flows {
            self.evict_idlest(emit);
        }
        let new = Flow::new(self.counters.started, packet, now);
        self.counters.started += 1;
        let due = deadline(&self.limits, &new);
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(flow) = self.flows.get_mut(slot as usize) {
                    *flow = new;
                }
                slot
            }
            None => {
                self.flows.push(new);
                self.flows.len() as u32 - 1
            }
        };
        let FlowTable { index, flows, seed, .. } = self;
        let rehash = |slot: &u32| flows.get(*slot as usize).map_or(0, |flow| seed.flow(&flow.key));
        index.insert_unique(hash, slot, rehash);
        self.timers.set(slot, due);
        emit(FlowEvent::New { slot, flow: &new });
        slot
    }

    /// Evicts the idlest of the flows that are due next.
    fn evict_idlest(&mut self, emit: &mut impl FnMut(FlowEvent<'_>)) {
        let mut idlest: Option<(u64, u32)> = None;
        for _ in 0..CANDIDATES {
            let Some((slot, expires)) = self.timers.pop_earliest() else { break };
            let Some(flow) = self.flows.get(slot as usize) else { continue };
            let (last, due) = (flow.last_clock, deadline(&self.limits, flow));
            let is_exact = due < expires;
            match idlest {
                Some((other, _)) if other <= last => self.timers.set(slot, due),
                _ => {
                    if let Some((_, other)) = idlest.replace((last, slot))
                        && let Some(flow) = self.flows.get(other as usize)
                    {
                        self.timers.set(other, deadline(&self.limits, flow));
                    }
                }
            }
            if is_exact {
                // No packet since its deadline was set: no idler flow is due before it.
                break;
            }
        }
        if let Some((_, slot)) = idlest {
            self.counters.evicted += 1;
            self.end(slot, EndReason::Evicted, emit);
        }
    }

    fn end(&mut self, slot: u32, reason: EndReason, emit: &mut impl FnMut(FlowEvent<'_>)) {
        self.timers.clear(slot);
        let FlowTable { index, flows, seed, free, .. } = self;
        let Some(flow) = flows.get(slot as usize) else { return };
        if let Ok(entry) = index.find_entry(seed.flow(&flow.key), |other| *other == slot) {
            entry.remove();
            free.push(slot);
            self.counters.ended += 1;
            emit(FlowEvent::Ended { slot, flow, reason });
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The flow's idle timeout in nanoseconds.
#[inline]
fn idle_timeout(limits: &Limits, flow: &Flow) -> u64 {
    nanos(match (flow.key.protocol(), flow.phase) {
        (TCP, Phase::Unanswered) => limits.tcp_unanswered,
        (TCP, Phase::Answered) => limits.tcp_open,
        (TCP, Phase::Finished | Phase::Reset) => limits.tcp_over,
        (UDP, _) => limits.udp,
        _ => limits.icmp,
    })
}

/// The time, by the table's clock, at which a flow ends without a further packet.
#[inline]
fn deadline(limits: &Limits, flow: &Flow) -> u64 {
    let active = flow.first_clock.saturating_add(nanos(limits.active));
    flow.last_clock.saturating_add(idle_timeout(limits, flow)).min(active)
}

/// The reason for which a flow past its deadline ended.
fn timed_out(limits: &Limits, flow: &Flow, now: u64) -> EndReason {
    let idle = flow.last_clock.saturating_add(idle_timeout(limits, flow)) <= now;
    reason(Some(flow.phase), if idle { EndReason::Idle } else { EndReason::Active })
}

/// The reason by the flow's phase if the connection was over, else `otherwise`.
fn reason(phase: Option<Phase>, otherwise: EndReason) -> EndReason {
    match phase {
        Some(Phase::Finished) => EndReason::Finished,
        Some(Phase::Reset) => EndReason::Reset,
        _ => otherwise,
    }
}

//! The conversations of the policy `live`: bidirectional 5-tuples and ICMP exchanges, with time-outs and a cap.
//!
//! In: [`FlowPacket`]s in capture order. Out: [`FlowEvent`]s: a flow is new, has a packet, has ended and why. A flow
//! keeps its slot, a small number below the cap, from its first event to its last, so that others can keep state in
//! arrays beside the table. O(1) a packet; all time is packet time. Memory: 308 bytes a flow, capped; where the
//! table is full, the flow that has been idle longest goes (of up to 16 that are looked at).

use std::time::Duration;

use hashbrown::HashTable;

use super::clock::Clock;
use super::key::HashSeed;
use super::record::{Flow, FlowPacket, Phase};
use super::timers::Timers;

/// Memory a flow: the flow, its timer's links, its place in the index (buckets of 5 bytes, fewer than 16 for 7 flows) and
/// among those that are free.
pub const BYTES_PER_FLOW: usize = size_of::<Flow>() + 12 + 12 + 4;

const TICK_NANOS: u64 = 500_000_000;
/// Flows that are looked at with one packet because their time may be up.
const MOST_AT_ONCE: usize = 4096;
/// Flows that are looked at to find one that has been idle long.
const CANDIDATES: usize = 16;

/// When flows end, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows at a time.
    pub max_flows: usize,
    /// Idle time after which a TCP connection ends that only one side has sent on.
    pub tcp_unanswered: Duration,
    /// Idle time after which an open TCP connection ends.
    pub tcp_open: Duration,
    /// How long a connection stays after FIN or RST, for what is still under way.
    pub tcp_over: Duration,
    /// Idle time after which a UDP flow ends.
    pub udp: Duration,
    /// Idle time after which an ICMP exchange ends.
    pub icmp: Duration,
    /// Age at which a flow ends and another begins with the next packet.
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
    /// Both ends had sent FIN.
    Finished,
    /// An end had sent RST.
    Reset,
    /// No packet for as long as [`Limits`] says.
    Idle,
    /// As old as a flow may become.
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

/// What happened to a flow. `slot` is below [`Limits::max_flows`] and the flow's own until it has ended.
#[derive(Clone, Copy, Debug)]
pub enum FlowEvent<'a> {
    /// It began; its first packet follows as an event of its own.
    New {
        /// Its place.
        slot: u32,
        /// The flow, without any packet.
        flow: &'a Flow,
    },
    /// It had a packet.
    Packet {
        /// Its place.
        slot: u32,
        /// The flow, the packet counted.
        flow: &'a Flow,
        /// Whether the initiator sent it.
        from_initiator: bool,
    },
    /// It ended.
    Ended {
        /// Its place, free from now on.
        slot: u32,
        /// The flow as it ended.
        flow: &'a Flow,
        /// Why.
        reason: EndReason,
    },
}

/// What the table did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets counted.
    pub packets: u64,
    /// Flows begun.
    pub begun: u64,
    /// Flows ended, all reasons together.
    pub ended: u64,
    /// Of those, the ones that had to make room.
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

    /// Counts a packet; `tell` learns what happens: first which flows end, then the packet's own. Returns the slot of
    /// the packet's flow.
    #[inline]
    pub fn add(&mut self, packet: &FlowPacket, mut tell: impl FnMut(FlowEvent<'_>)) -> u32 {
        let now = self.clock.at(packet.time_nanos);
        self.counters.packets += 1;
        self.end_due(now, &mut tell);
        let hash = self.seed.flow(&packet.key);
        let FlowTable { index, flows, .. } = self;
        let same = |slot: &u32| flows.get(*slot as usize).is_some_and(|flow| flow.key == packet.key);
        let known = index.find(hash, same).copied();
        let slot = match known {
            Some(slot) => match self.over(slot, packet, now) {
                None => slot,
                Some(reason) => {
                    self.end(slot, reason, &mut tell);
                    self.begin(hash, packet, now, &mut tell)
                }
            },
            None => self.begin(hash, packet, now, &mut tell),
        };
        let Some(flow) = self.flows.get_mut(slot as usize) else { return slot };
        if flow.add(packet, now) && flow.phase.is_over() {
            // Due earlier than thought. Every other change makes it due later, which is found out in time.
            self.timers.set(slot, deadline(&self.limits, flow));
        }
        let flow = &*flow;
        tell(FlowEvent::Packet { slot, flow, from_initiator: packet.direction == flow.initiator });
        slot
    }

    /// No packet has come until now: ends the flows whose time is up.
    pub fn tick(&mut self, now_nanos: i64, mut tell: impl FnMut(FlowEvent<'_>)) {
        let now = self.clock.at(now_nanos);
        self.end_due(now, &mut tell);
    }

    /// Ends all flows, in the order of their slots.
    pub fn finish(&mut self, mut tell: impl FnMut(FlowEvent<'_>)) {
        let mut slots: Vec<u32> = self.index.iter().copied().collect();
        slots.sort_unstable();
        for slot in slots {
            let phase = self.flows.get(slot as usize).map(|flow| flow.phase);
            self.end(slot, reason(phase, EndReason::Capture), &mut tell);
        }
    }

    /// Ends up to `most` flows from the slot `from` on, in the order of their slots; the slot to go on from, or `None` when
    /// all have been looked at.
    pub fn finish_some(
        &mut self,
        from: u32,
        most: usize,
        mut tell: impl FnMut(FlowEvent<'_>),
    ) -> Option<u32> {
        let before = self.counters.ended;
        for slot in from..self.flows.len() as u32 {
            if self.counters.ended - before >= most as u64 {
                return Some(slot);
            }
            let phase = self.flows.get(slot as usize).map(|flow| flow.phase);
            self.end(slot, reason(phase, EndReason::Capture), &mut tell);
        }
        None
    }

    /// The flow in a slot; what stands in a free slot is the flow that ended there.
    pub fn get(&self, slot: u32) -> Option<&Flow> {
        self.flows.get(slot as usize)
    }

    /// Flows that have not ended.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether all flows have ended.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What the table did so far.
    pub fn counters(&self) -> Counters {
        Counters { clock_steps_back: self.clock.steps_back, ..self.counters }
    }

    /// Ends flows whose time is up, so many at most: where a million time out at once, packets wait for a few, and so
    /// does the memory of those who hear of it. A flow that is left over ends with a later packet, or with its own.
    #[inline]
    fn end_due(&mut self, now: u64, tell: &mut impl FnMut(FlowEvent<'_>)) {
        for _ in 0..MOST_AT_ONCE {
            let Some(slot) = self.timers.pop_due(now) else { return };
            self.look_at(slot, now, tell);
        }
    }

    /// Why a known flow is over now that this packet comes; `None` while it is not.
    #[inline]
    fn over(&self, slot: u32, packet: &FlowPacket, now: u64) -> Option<EndReason> {
        let flow = self.flows.get(slot as usize)?;
        let fresh_syn = packet.tcp.is_some_and(|flags| flags.syn() && !flags.ack() && !flags.rst());
        if flow.phase.is_over() && fresh_syn {
            return Some(reason(Some(flow.phase), EndReason::Finished));
        }
        (now >= deadline(&self.limits, flow)).then(|| timed_out(&self.limits, flow, now))
    }

    /// A flow whose deadline seemed to have passed: it has ended, or its deadline is a later one by now.
    fn look_at(&mut self, slot: u32, now: u64, tell: &mut impl FnMut(FlowEvent<'_>)) {
        let Some(flow) = self.flows.get(slot as usize) else { return };
        let due = deadline(&self.limits, flow);
        if due > now {
            self.timers.set(slot, due);
        } else {
            let reason = timed_out(&self.limits, flow, now);
            self.end(slot, reason, tell);
        }
    }

    fn begin(
        &mut self,
        hash: u64,
        packet: &FlowPacket,
        now: u64,
        tell: &mut impl FnMut(FlowEvent<'_>),
    ) -> u32 {
        if self.index.len() >= self.limits.max_flows {
            self.make_room(tell);
        }
        let new = Flow::new(self.counters.begun, packet, now);
        self.counters.begun += 1;
        let due = deadline(&self.limits, &new);
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.flows.get_mut(slot as usize) {
                    *place = new;
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
        tell(FlowEvent::New { slot, flow: &new });
        slot
    }

    /// Ends the idlest of the flows that are due next.
    fn make_room(&mut self, tell: &mut impl FnMut(FlowEvent<'_>)) {
        let mut idlest: Option<(u64, u32)> = None;
        for _ in 0..CANDIDATES {
            let Some((slot, passes)) = self.timers.pop_earliest() else { break };
            let Some(flow) = self.flows.get(slot as usize) else { continue };
            let (touched, due) = (flow.touched, deadline(&self.limits, flow));
            let is_true = due < passes;
            match idlest {
                Some((other, _)) if other <= touched => self.timers.set(slot, due),
                _ => {
                    if let Some((_, other)) = idlest.replace((touched, slot))
                        && let Some(flow) = self.flows.get(other as usize)
                    {
                        self.timers.set(other, deadline(&self.limits, flow));
                    }
                }
            }
            if is_true {
                // No packet since its deadline was set: nothing idler is due before it.
                break;
            }
        }
        if let Some((_, slot)) = idlest {
            self.counters.evicted += 1;
            self.end(slot, EndReason::Evicted, tell);
        }
    }

    fn end(&mut self, slot: u32, reason: EndReason, tell: &mut impl FnMut(FlowEvent<'_>)) {
        self.timers.clear(slot);
        let FlowTable { index, flows, seed, free, .. } = self;
        let Some(flow) = flows.get(slot as usize) else { return };
        if let Ok(entry) = index.find_entry(seed.flow(&flow.key), |other| *other == slot) {
            entry.remove();
            free.push(slot);
            self.counters.ended += 1;
            tell(FlowEvent::Ended { slot, flow, reason });
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long a flow may be idle.
#[inline]
fn patience(limits: &Limits, flow: &Flow) -> u64 {
    nanos(match (flow.key.protocol(), flow.phase) {
        (6, Phase::Unanswered) => limits.tcp_unanswered,
        (6, Phase::Answered) => limits.tcp_open,
        (6, Phase::Finished | Phase::Reset) => limits.tcp_over,
        (17, _) => limits.udp,
        _ => limits.icmp,
    })
}

/// When a flow ends if no packet comes, by the table's clock.
#[inline]
fn deadline(limits: &Limits, flow: &Flow) -> u64 {
    let old = flow.begun.saturating_add(nanos(limits.active));
    flow.touched.saturating_add(patience(limits, flow)).min(old)
}

/// Why a flow whose deadline has passed ended.
fn timed_out(limits: &Limits, flow: &Flow, now: u64) -> EndReason {
    let idle = flow.touched.saturating_add(patience(limits, flow)) <= now;
    reason(Some(flow.phase), if idle { EndReason::Idle } else { EndReason::Active })
}

/// `otherwise`, unless the connection was over.
fn reason(phase: Option<Phase>, otherwise: EndReason) -> EndReason {
    match phase {
        Some(Phase::Finished) => EndReason::Finished,
        Some(Phase::Reset) => EndReason::Reset,
        _ => otherwise,
    }
}

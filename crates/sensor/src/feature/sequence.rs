//! The sequence level: a vector of numbers for each packet of a conversation, as it arrives.
//!
//! In: packets in capture order. Out: a [`SequenceRow`] each: the conversation it belongs to (policy `live`) and
//! [`WIDTH`] numbers between 0 and 1, and the conversations that ended before it. Addresses, ports and absolute time
//! are not among the numbers: they only find what is counted. Training and detection run this code.
//!
//! Memory: [`Config`] caps flows, hosts and service ends; 112 bytes a flow beside the table's own. O(1) a packet.

mod columns;
mod counts;
mod ends;
mod facts;
mod live;
mod mqtt;
mod service;
pub mod unknown;
pub mod verdict;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use citronella_wire::{Frame, Transport, decode_frame};

pub use columns::{SEQUENCE, WIDTH};
use counts::{count, tell, write_host};
use ends::Responders;
pub use facts::PacketFacts;
use live::LiveFlow;

use crate::capture::Packet;
use crate::flow::fragments::{self, Fragments};
use crate::flow::initiator::{self, Initiators};
use crate::flow::table::{self, EndReason};
use crate::flow::{Flow, FlowEvent, FlowPacket, FlowTable};

/// Caps and seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Datagrams in fragments.
    pub fragments: fragments::Limits,
    /// The table of flows.
    pub flows: table::Limits,
    /// The hosts' behaviour.
    pub hosts: initiator::Limits,
    /// Responders that are remembered: ends (address and port) with their service, and as many hosts.
    pub max_service_ends: usize,
    /// Of the hashes. The same seed gives the same rows.
    pub seed: u64,
}

impl Default for Config {
    /// The tables' defaults, 65,536 service ends, seed 42.
    fn default() -> Config {
        Config {
            fragments: fragments::Limits::default(),
            flows: table::Limits::default(),
            hosts: initiator::Limits::default(),
            max_service_ends: 1 << 16,
            seed: 42,
        }
    }
}

/// A packet as the model reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceRow {
    /// The flow's place, its own until it has ended; below [`table::Limits::max_flows`].
    pub slot: u32,
    /// Rank of the flow among all flows.
    pub flow: u64,
    /// Whether the flow begins with this packet: its slot may have been another's.
    pub is_new: bool,
    /// In the order of [`SEQUENCE`].
    pub features: [f32; WIDTH],
}

/// A flow that has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedFlow {
    /// The place it had.
    pub slot: u32,
    /// As [`SequenceLevel::actor`].
    pub actor: IpAddr,
    /// The flow: its 5-tuple, initiator first, its times and statistics.
    pub flow: Flow,
    /// Why it ended.
    pub reason: EndReason,
}

/// What did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Flows that had to make room.
    pub flows: u64,
    /// Hosts whose behaviour was forgotten.
    pub hosts: u64,
    /// Responders that were forgotten.
    pub endpoints: u64,
    /// Datagrams in fragments that had to make room.
    pub datagrams: u64,
}

/// What shards know together: what hosts did of late, who serves what, and what came to nothing there.
#[derive(Clone)]
pub struct Shared {
    /// The hosts' behaviour.
    pub hosts: Arc<Initiators>,
    responders: Arc<Mutex<Responders>>,
}

impl Shared {
    /// Nothing is known yet.
    pub fn new(config: &Config) -> Shared {
        Shared::with_hosts(config, Arc::new(Initiators::new(config.hosts, config.seed)))
    }

    /// These hosts are known.
    pub fn with_hosts(config: &Config, hosts: Arc<Initiators>) -> Shared {
        Shared {
            hosts,
            responders: Arc::new(Mutex::new(Responders::new(config.max_service_ends, config.seed))),
        }
    }

    /// Asked when a flow begins, is answered or refused, or its service is recognised, not for every packet.
    fn responders(&self) -> MutexGuard<'_, Responders> {
        self.responders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the rows.
pub struct SequenceLevel {
    fragments: Fragments,
    table: FlowTable,
    flows: Vec<LiveFlow>,
    shared: Shared,
    ended: Vec<EndedFlow>,
    /// How far [`SequenceLevel::finish_some`] has come.
    finished: u32,
    facts: Option<PacketFacts>,
    mqtt_limits: citronella_wire::mqtt::Limits,
    hash: foldhash::fast::FixedState,
}

impl SequenceLevel {
    /// Memory a flow, in the table and beside it.
    pub const BYTES_PER_FLOW: usize = table::BYTES_PER_FLOW + size_of::<LiveFlow>();

    /// With hosts of its own.
    pub fn new(config: Config) -> SequenceLevel {
        SequenceLevel::with_shared(config, Shared::new(&config))
    }

    /// With hosts that other shards count too.
    pub fn with_hosts(config: Config, hosts: Arc<Initiators>) -> SequenceLevel {
        SequenceLevel::with_shared(config, Shared::with_hosts(&config, hosts))
    }

    /// Knowing what other shards know.
    pub fn with_shared(config: Config, shared: Shared) -> SequenceLevel {
        SequenceLevel {
            fragments: Fragments::new(config.fragments),
            table: FlowTable::new(config.flows),
            flows: Vec::new(),
            shared,
            ended: Vec::new(),
            finished: 0,
            facts: None,
            mqtt_limits: citronella_wire::mqtt::Limits::default(),
            hash: foldhash::fast::FixedState::with_seed(config.seed),
        }
    }

    /// Takes a packet. `None` where it has no TCP, UDP or ICMP header. [`SequenceLevel::ended`] has the flows that
    /// ended before it: look there first, their slots may be others' now.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) -> Option<SequenceRow> {
        self.frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes))
    }

    /// Takes a packet that is decoded already; nanoseconds since 1970-01-01 UTC. A datagram in fragments is the packet
    /// that completes it; the others give no row.
    #[inline]
    pub fn frame(&mut self, time_nanos: i64, frame: &Frame<'_>) -> Option<SequenceRow> {
        if frame.is_fragment() {
            return self.fragment(time_nanos, *frame);
        }
        self.datagram(time_nanos, frame)
    }

    #[cold]
    fn fragment(&mut self, time_nanos: i64, frame: Frame<'_>) -> Option<SequenceRow> {
        let mut fragments = std::mem::take(&mut self.fragments);
        let row = self.datagram(time_nanos, &fragments.frame(time_nanos, frame, |_| ()));
        self.fragments = fragments;
        row
    }

    fn datagram(&mut self, time_nanos: i64, frame: &Frame<'_>) -> Option<SequenceRow> {
        self.ended.clear();
        self.facts = None;
        let packet = FlowPacket::of_frame(time_nanos, frame)?;
        let transport = frame.transport.as_ref()?;
        let SequenceLevel { table, ended, .. } = self;
        let (mut begun, mut from_initiator) = (false, true);
        let slot = table.add(&packet, |event| match event {
            FlowEvent::New { .. } => begun = true,
            FlowEvent::Packet { from_initiator: is, .. } => from_initiator = is,
            FlowEvent::Ended { slot, flow, reason } => {
                ended.push(EndedFlow { slot, actor: flow.src().0, flow: *flow, reason })
            }
        });
        self.release_ended();
        let flow = self.table.get(slot)?;
        if slot as usize >= self.flows.len() {
            self.flows.resize(slot as usize + 1, LiveFlow::default());
        }
        let live = self.flows.get_mut(slot as usize)?;
        if begun {
            let (expected, refused) = self.shared.responders().end(flow.dst(), time_nanos);
            // An ICMP error is its doing that sent what it answers.
            let of_responder = matches!(transport, Transport::Icmp(icmp) if icmp.is_error());
            *live = LiveFlow::new(time_nanos, &packet, of_responder, expected);
            live.end_refused = refused;
        }
        let way = usize::from(!from_initiator);
        let happened = live.packet(&packet, frame, way, begun, &self.mqtt_limits, &self.hash);
        if happened.tells_of_responder() {
            tell(&mut self.shared.responders(), &happened, live, flow.dst(), time_nanos);
        }
        let mut features = [0.0; WIDTH];
        let dst = flow.dst();
        let actor = live.actor(flow);
        self.shared.hosts.with(actor, time_nanos, |behaviour, secs| {
            count(behaviour, &happened, live, dst, &self.hash);
            write_host(behaviour, secs, &mut features);
            self.facts = PacketFacts::of(behaviour, &happened, live, actor);
        });
        live.write(&happened, &packet, way, flow, &mut features);
        live.passed(time_nanos);
        Some(SequenceRow { slot, flow: flow.id, is_new: begun, features })
    }

    /// Flows that ended before the last packet, in order.
    pub fn ended(&self) -> &[EndedFlow] {
        &self.ended
    }

    /// What the last packet brought that rules look at.
    pub fn facts(&self) -> Option<&PacketFacts> {
        self.facts.as_ref()
    }

    /// Whose behaviour the flow in a slot belongs to: its initiator's; of an ICMP error, the host's that sent what it
    /// answers.
    pub fn actor(&self, slot: u32) -> Option<IpAddr> {
        Some(self.flows.get(slot as usize)?.actor(self.table.get(slot)?))
    }

    /// The flow in a slot.
    pub fn flow(&self, slot: u32) -> Option<&Flow> {
        self.table.get(slot)
    }

    /// No packet has come until now (nanoseconds since 1970-01-01 UTC): ends the flows whose time is up.
    pub fn tick(&mut self, now_nanos: i64) -> &[EndedFlow] {
        self.ended.clear();
        let SequenceLevel { table, ended, .. } = self;
        table.tick(now_nanos, |event| {
            if let FlowEvent::Ended { slot, flow, reason } = event {
                ended.push(EndedFlow { slot, actor: flow.src().0, flow: *flow, reason });
            }
        });
        self.release_ended();
        &self.ended
    }

    /// Ends all flows, in the order of their slots.
    pub fn finish(&mut self) -> &[EndedFlow] {
        self.ended.clear();
        let SequenceLevel { table, ended, .. } = self;
        table.finish(|event| {
            if let FlowEvent::Ended { slot, flow, reason } = event {
                ended.push(EndedFlow { slot, actor: flow.src().0, flow: *flow, reason });
            }
        });
        self.release_ended();
        &self.ended
    }

    /// Ends up to `most` flows, in the order of their slots: to be called until none comes.
    pub fn finish_some(&mut self, most: usize) -> &[EndedFlow] {
        self.ended.clear();
        let SequenceLevel { table, ended, finished, .. } = self;
        let next = table.finish_some(*finished, most, |event| {
            if let FlowEvent::Ended { slot, flow, reason } = event {
                ended.push(EndedFlow { slot, actor: flow.src().0, flow: *flow, reason });
            }
        });
        *finished = next.unwrap_or(0);
        self.release_ended();
        &self.ended
    }

    /// Flows that have not ended.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether all flows have ended.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What did not fit.
    pub fn evictions(&self) -> Evictions {
        Evictions {
            flows: self.table.counters().evicted,
            hosts: self.shared.hosts.evicted(),
            endpoints: self.shared.responders().forgotten(),
            datagrams: self.fragments.counters().evicted,
        }
    }

    /// What a flow still held of its host is given back.
    fn release_ended(&mut self) {
        for ended in &mut self.ended {
            let Some(live) = self.flows.get_mut(ended.slot as usize) else { continue };
            ended.actor = live.actor(&ended.flow);
            let (held, idle) = live.let_go();
            if held || idle {
                self.shared.hosts.with(ended.actor, ended.flow.last_nanos, |host, _| {
                    host.held = host.held.saturating_sub(held.into());
                    host.idle = host.idle.saturating_sub(idle.into());
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;

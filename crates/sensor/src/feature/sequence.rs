//! The sequence level: one feature vector for each packet of a conversation, as it arrives.
//!
//! In: packets in capture order. Out: for each a [`SequenceRow`]: its conversation (policy `live`) and [`WIDTH`]
//! features between 0 and 1; and the conversations that ended before it. Addresses, ports and absolute time are keys
//! of counts and never features. Training and detection run this code.
//!
//! Memory: [`Config`] caps flows, hosts and service endpoints; 112 bytes a flow on top of the flow table's. O(1) a
//! packet.

mod columns;
mod counts;
mod facts;
mod live;
mod mqtt;
mod responders;
mod service;
pub mod unknown;
pub mod verdict;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use citronella_wire::{Frame, Transport, decode_frame};

pub use columns::{SEQUENCE, WIDTH};
use counts::{count_host, count_responder, write_host};
pub use facts::PacketFacts;
use live::LiveFlow;
use responders::Responders;

use crate::capture::Packet;
use crate::flow::fragments::{self, Fragments};
use crate::flow::initiator::{self, Initiators};
use crate::flow::table::{self, EndReason};
use crate::flow::{Flow, FlowEvent, FlowPacket, FlowTable};

/// Caps and hash seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Caps of IP reassembly.
    pub fragments: fragments::Limits,
    /// Caps and timeouts of the flow table.
    pub flows: table::Limits,
    /// Caps of the hosts' behaviour.
    pub hosts: initiator::Limits,
    /// Cap of responders: of endpoints (address and port) with their service, and of hosts.
    pub max_service_endpoints: usize,
    /// Seed of the hashes. The same seed gives the same rows.
    pub seed: u64,
}

impl Default for Config {
    /// The tables' defaults, 65,536 service endpoints, seed 42.
    fn default() -> Config {
        Config {
            fragments: fragments::Limits::default(),
            flows: table::Limits::default(),
            hosts: initiator::Limits::default(),
            max_service_endpoints: 1 << 16,
            seed: 42,
        }
    }
}

/// A packet as input of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceRow {
    /// Slot of the flow until it has ended; below [`table::Limits::max_flows`].
    pub slot: u32,
    /// Number of the flow among all flows, in order of their starts.
    pub flow: u64,
    /// Whether the flow starts with this packet; its slot may have been another flow's.
    pub is_new: bool,
    /// Features, in the order of [`SEQUENCE`].
    pub features: [f32; WIDTH],
}

/// A flow that has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedFlow {
    /// The slot it had.
    pub slot: u32,
    /// As [`SequenceLevel::actor`].
    pub actor: IpAddr,
    /// The flow: 5-tuple, initiator first, times and statistics.
    pub flow: Flow,
    /// Why it ended.
    pub reason: EndReason,
}

/// Entries evicted because a table was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Flows.
    pub flows: u64,
    /// Hosts, with their behaviour.
    pub hosts: u64,
    /// Endpoints and hosts of responders.
    pub endpoints: u64,
    /// Incomplete datagrams of IP reassembly.
    pub datagrams: u64,
}

/// State that shards share: recent behaviour of hosts, and services, refusals and failures of responders.
#[derive(Clone)]
pub struct Shared {
    /// The hosts' behaviour.
    pub hosts: Arc<Initiators>,
    responders: Arc<Mutex<Responders>>,
}

impl Shared {
    /// Empty state.
    pub fn new(config: &Config) -> Shared {
        Shared::with_hosts(config, Arc::new(Initiators::new(config.hosts, config.seed)))
    }

    /// Shared tables with the behaviour of these hosts.
    pub fn with_hosts(config: &Config, hosts: Arc<Initiators>) -> Shared {
        Shared {
            hosts,
            responders: Arc::new(Mutex::new(Responders::new(config.max_service_endpoints, config.seed))),
        }
    }

    /// Locked when a flow starts, is answered or refused, or its service is recognised; not for every packet.
    fn responders(&self) -> MutexGuard<'_, Responders> {
        self.responders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes the rows.
pub struct SequenceLevel {
    fragments: Fragments,
    table: FlowTable,
    flows: Vec<LiveFlow>,
    shared: Shared,
    ended: Vec<EndedFlow>,
    /// First slot that [`SequenceLevel::finish_some`] has not ended.
    finished: u32,
    facts: Option<PacketFacts>,
    mqtt_limits: citronella_wire::mqtt::Limits,
    hash: foldhash::fast::FixedState,
}

impl SequenceLevel {
    /// Bytes of memory a flow: the table's and this level's.
    pub const BYTES_PER_FLOW: usize = table::BYTES_PER_FLOW + size_of::<LiveFlow>();

    /// A level with its own shared state.
    pub fn new(config: Config) -> SequenceLevel {
        SequenceLevel::with_shared(config, Shared::new(&config))
    }

    /// A level that shares hosts with others.
    pub fn with_hosts(config: Config, hosts: Arc<Initiators>) -> SequenceLevel {
        SequenceLevel::with_shared(config, Shared::with_hosts(&config, hosts))
    }

    /// A level that shares all state with others.
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

    /// Takes a packet; `None` if it has no TCP, UDP or ICMP header. The flows that ended before it are in
    /// [`SequenceLevel::ended`]: handle them first, their slots may be reused.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) -> Option<SequenceRow> {
        self.frame(packet.time_nanos, &decode_frame(packet.link, packet.bytes))
    }

    /// Takes a decoded packet; time in nanoseconds since 1970-01-01 UTC. A fragmented datagram gives one row, with the
    /// fragment that completes it.
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
        let (mut is_new, mut from_initiator) = (false, true);
        let slot = table.add(&packet, |event| match event {
            FlowEvent::New { .. } => is_new = true,
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
        if is_new {
            let (expected, refused) = self.shared.responders().endpoint(flow.dst(), time_nanos);
            // An ICMP error counts for the host that sent what it answers.
            let is_of_responder = matches!(transport, Transport::Icmp(icmp) if icmp.is_error());
            *live = LiveFlow::new(time_nanos, &packet, is_of_responder, expected);
            live.endpoint_refused = refused;
        }
        let way = usize::from(!from_initiator);
        let events = live.packet(&packet, frame, way, is_new, &self.mqtt_limits, &self.hash);
        if events.changes_responder() {
            count_responder(&mut self.shared.responders(), &events, live, flow.dst(), time_nanos);
        }
        let mut features = [0.0; WIDTH];
        let dst = flow.dst();
        let actor = live.actor(flow);
        self.shared.hosts.with(actor, time_nanos, |behaviour, secs| {
            count_host(behaviour, &events, live, dst, &self.hash);
            write_host(behaviour, secs, &mut features);
            self.facts = PacketFacts::of(behaviour, &events, live, actor);
        });
        live.write(&events, &packet, way, flow, &mut features);
        live.set_last(time_nanos);
        Some(SequenceRow { slot, flow: flow.id, is_new, features })
    }

    /// Flows that ended before the last packet, in order.
    pub fn ended(&self) -> &[EndedFlow] {
        &self.ended
    }

    /// The facts of the last packet, if a rule applies to it.
    pub fn facts(&self) -> Option<&PacketFacts> {
        self.facts.as_ref()
    }

    /// The host whose behaviour the flow in a slot belongs to: its initiator; of an ICMP error, the host that sent
    /// what it answers.
    pub fn actor(&self, slot: u32) -> Option<IpAddr> {
        Some(self.flows.get(slot as usize)?.actor(self.table.get(slot)?))
    }

    /// The flow in a slot.
    pub fn flow(&self, slot: u32) -> Option<&Flow> {
        self.table.get(slot)
    }

    /// Ends the flows that have timed out by `now_nanos`, nanoseconds since 1970-01-01 UTC; no packet came since the
    /// last.
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

    /// Ends up to `most` flows, in the order of their slots; call it until it returns none.
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

    /// Entries evicted so far.
    pub fn evictions(&self) -> Evictions {
        Evictions {
            flows: self.table.counters().evicted,
            hosts: self.shared.hosts.evicted(),
            endpoints: self.shared.responders().evicted(),
            datagrams: self.fragments.counters().evicted,
        }
    }

    /// Subtracts ended flows from their hosts' held and idle connections.
    fn release_ended(&mut self) {
        for ended in &mut self.ended {
            let Some(live) = self.flows.get_mut(ended.slot as usize) else { continue };
            ended.actor = live.actor(&ended.flow);
            let (held, idle) = live.take_held();
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

//! From packets to MQTT messages: flows, both directions of each TCP connection in order, one session a connection.
//!
//! In: packets in capture order. Out: [`SessionEvent`]s: messages with their violations and exchange, bytes that are
//! missing or contradict each other, a client's TLS hello, flows that ended. Fragments are put together first. A connection is recognised by its bytes,
//! with the port as a hint; MQTT over WebSocket by its handshake; a tunnel is looked into one level deep. A password
//! leaves only through the message itself ([`citronella_wire::mqtt::Password::reveal`]).
//!
//! All time is packet time. Memory is bounded by [`Limits`]; what did not fit is in [`Counters`]. A connection whose
//! bytes are nobody's costs as much as its flow, and one without payload, too.

mod connection;
mod event;
mod recognise;

use std::time::Duration;

use citronella_wire::{Frame, Tcp, TcpFlags, Transport, decode_frame, mqtt};

use super::fragments::{self, Fragments};
use super::reassembly::{self, Reassembly, Segment};
use super::table::{self, EndReason, FlowEvent, FlowTable};
use super::{Flow, FlowPacket};
use crate::capture::Packet;
use connection::Connection;
pub use event::{Application, BadFragment, FlowEnd, Place, SessionEvent};

/// Bounds of everything that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of flows.
    pub flows: table::Limits,
    /// Of datagrams in fragments, outside of tunnels and again within them.
    pub fragments: fragments::Limits,
    /// Of TCP reassembly.
    pub reassembly: reassembly::Limits,
    /// Of MQTT, for each connection.
    pub mqtt: mqtt::Limits,
    /// Connections that are read at a time; others are counted as flows only.
    pub connections: usize,
    /// Bytes kept of messages and heads that are not whole, in all connections together.
    pub bytes_in_all: usize,
}

impl Default for Limits {
    /// 65,536 connections at a time and 256 MiB of unfinished messages. Flows end after an hour of silence and never
    /// for their age: an MQTT session may be long, and quiet for its keep-alive.
    fn default() -> Limits {
        Limits {
            flows: table::Limits {
                tcp_open: Duration::from_secs(3_600),
                active: Duration::MAX,
                ..table::Limits::default()
            },
            fragments: fragments::Limits::default(),
            reassembly: reassembly::Limits::default(),
            mqtt: mqtt::Limits { subscriptions: 64, topics: 16, aliases: 32, ..mqtt::Limits::default() },
            connections: 65_536,
            bytes_in_all: 256 << 20,
        }
    }
}

/// What was done, and what did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets without a TCP, UDP or ICMP header; fragments that wait for others are among them.
    pub packets_without_flow: u64,
    /// Packets that were read within a tunnel.
    pub tunnelled_packets: u64,
    /// MQTT messages.
    pub messages: u64,
    /// Connections that were not read because [`Limits::connections`] was reached.
    pub connections_over_cap: u64,
    /// Connections given up because [`Limits::bytes_in_all`] was reached.
    pub connections_given_up: u64,
    /// Bytes of unfinished messages and heads kept now.
    pub kept_bytes: usize,
    /// Connections that are read now.
    pub connections: usize,
    /// Of flows.
    pub flows: table::Counters,
    /// Of TCP reassembly.
    pub reassembly: reassembly::Counters,
    /// Of fragments outside of tunnels, and within them.
    pub fragments: [fragments::Counters; 2],
}

/// What is known of a flow beside the table's own.
#[derive(Default)]
struct Track {
    wire_bytes: [u64; 2],
    tcp_flags: [TcpFlags; 2],
    icmp: Option<(u8, u8)>,
    syns: [Option<u32>; 2],
    application: Application,
    follow: Follow,
}

/// Whether a flow's bytes are read.
#[derive(Default)]
enum Follow {
    /// No payload so far.
    #[default]
    NotYet,
    Read(Box<Connection>),
    PassedOver,
}

/// Where a frame stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    Inner,
}

/// Follows flows and the MQTT sessions in them.
pub struct Sessions {
    /// Outside of tunnels, and within them.
    fragments: [Fragments; 2],
    table: FlowTable,
    tracks: Vec<Track>,
    shared: Shared,
}

/// Bounds and counters that connections share.
struct Shared {
    limits: Limits,
    reassembly: Reassembly,
    counters: Counters,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions::new(Limits::default())
    }
}

impl Sessions {
    /// No flow yet.
    pub fn new(limits: Limits) -> Sessions {
        Sessions {
            fragments: [limits.fragments; 2].map(Fragments::new),
            table: FlowTable::new(limits.flows),
            tracks: Vec::new(),
            shared: Shared {
                limits,
                reassembly: Reassembly::new(limits.reassembly),
                counters: Counters::default(),
            },
        }
    }

    /// Takes the next packet; `tell` learns what is seen: first of flows that end, then of the packet's own.
    pub fn packet(&mut self, packet: &Packet<'_>, mut tell: impl FnMut(SessionEvent<'_>)) {
        self.part(Level::Outer, packet, decode_frame(packet.link, packet.bytes), &mut tell);
    }

    /// Takes a frame that may be a part of a datagram.
    fn part(
        &mut self,
        level: Level,
        packet: &Packet<'_>,
        frame: Frame<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        if !frame.is_fragment() {
            return self.datagram(level, packet, &frame, tell);
        }
        let Some(place) = self.fragments.get_mut(level as usize) else { return };
        let mut fragments = std::mem::take(place);
        let ends = frame.ip.map(|ip| (ip.src, ip.dst, ip.protocol));
        let whole = fragments.frame(packet.time_nanos, frame, |fault| {
            if let Some((src, dst, protocol)) = ends {
                let (time_nanos, packet) = (packet.time_nanos, packet.number);
                tell(SessionEvent::BadFragment(BadFragment {
                    fault,
                    time_nanos,
                    packet,
                    src,
                    dst,
                    protocol,
                }));
            }
        });
        self.datagram(level, packet, &whole, tell);
        if let Some(place) = self.fragments.get_mut(level as usize) {
            *place = fragments;
        }
    }

    fn datagram(
        &mut self,
        level: Level,
        packet: &Packet<'_>,
        frame: &Frame<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let inner = if level == Level::Outer { frame.inner() } else { None };
        match inner.filter(|inner| inner.transport.is_some() || inner.is_fragment()) {
            Some(inner) => {
                self.shared.counters.tunnelled_packets += 1;
                self.part(Level::Inner, packet, inner, tell);
            }
            None => self.frame(packet, frame, tell),
        }
    }

    /// Ends all flows.
    pub fn finish(&mut self, mut tell: impl FnMut(SessionEvent<'_>)) {
        let Sessions { table, tracks, shared, .. } = self;
        table.finish(|event| {
            if let FlowEvent::Ended { slot, flow, reason } = event {
                shared.end(tracks, slot, flow, reason, &mut tell);
            }
        });
    }

    /// What was done so far, and what did not fit.
    pub fn counters(&self) -> Counters {
        Counters {
            flows: self.table.counters(),
            reassembly: self.shared.reassembly.counters(),
            fragments: self.fragments.each_ref().map(Fragments::counters),
            ..self.shared.counters
        }
    }

    fn frame(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        let Sessions { table, tracks, shared, .. } = self;
        let Some(counted) = FlowPacket::of_frame(packet.time_nanos, frame) else {
            shared.counters.packets_without_flow += 1;
            return;
        };
        let slot = table.add(&counted, |event| match event {
            FlowEvent::New { slot, .. } => {
                if tracks.len() <= slot as usize {
                    tracks.resize_with(slot as usize + 1, Track::default);
                }
            }
            FlowEvent::Packet { .. } => {}
            FlowEvent::Ended { slot, flow, reason } => shared.end(tracks, slot, flow, reason, tell),
        });
        let (Some(flow), Some(track)) = (table.get(slot), tracks.get_mut(slot as usize)) else { return };
        let side = usize::from(counted.direction != flow.initiator);
        if let Some(bytes) = track.wire_bytes.get_mut(side) {
            *bytes += u64::from(packet.wire_len);
        }
        let place = Place { flow, time_nanos: packet.time_nanos, packet: Some(packet.number) };
        match &frame.transport {
            Some(Transport::Tcp(tcp)) => {
                if let Some(flags) = track.tcp_flags.get_mut(side) {
                    flags.0 |= tcp.flags.0;
                }
                if !counted.key.is_loop() {
                    shared.segment(track, side, tcp, frame, place, tell);
                }
            }
            Some(Transport::Icmp(icmp)) => {
                track.icmp.get_or_insert((icmp.kind, icmp.code));
            }
            _ => {}
        }
    }
}

impl Shared {
    fn segment(
        &mut self,
        track: &mut Track,
        side: usize,
        tcp: &Tcp,
        frame: &Frame<'_>,
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        if tcp.flags.rst() {
            return;
        }
        if tcp.flags.syn()
            && let Some(syn) = track.syns.get_mut(side)
            && syn.replace(tcp.seq).is_some_and(|before| before != tcp.seq)
        {
            // The same ends, another connection, and nobody saw the first one's end.
            self.leave(track, place, tell);
            track.follow = Follow::NotYet;
        }
        if matches!(track.follow, Follow::NotYet) && frame.payload_len > 0 {
            track.follow = self.begin(track.syns);
        }
        let Follow::Read(connection) = &mut track.follow else { return };
        let before = connection.kept_bytes();
        let segment = Segment {
            seq: tcp.seq,
            syn: tcp.flags.syn(),
            fin: tcp.flags.fin(),
            bytes: frame.payload,
            wire_len: frame.payload_len,
        };
        let ack = tcp.flags.ack().then_some(tcp.ack);
        let messages = &mut self.counters.messages;
        connection.segment(&mut self.reassembly, side, ack, segment, place, &mut |event| {
            *messages += u64::from(matches!(event, SessionEvent::Message { .. }));
            tell(event);
        });
        if connection.application() != Application::Unknown {
            track.application = connection.application();
        }
        self.counters.kept_bytes =
            (self.counters.kept_bytes + connection.kept_bytes()).saturating_sub(before);
        let over = self.counters.kept_bytes > self.limits.bytes_in_all;
        self.counters.connections_given_up += u64::from(over);
        if over || connection.is_of_no_interest() {
            self.leave(track, place, tell);
        }
    }

    fn begin(&mut self, syns: [Option<u32>; 2]) -> Follow {
        if self.counters.connections >= self.limits.connections {
            self.counters.connections_over_cap += 1;
            return Follow::PassedOver;
        }
        self.counters.connections += 1;
        Follow::Read(Box::new(Connection::new(self.limits.mqtt, syns, &mut self.reassembly)))
    }

    /// Reads a connection no further; what it kept is told.
    fn leave(&mut self, track: &mut Track, place: Place<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        let follow = std::mem::replace(&mut track.follow, Follow::PassedOver);
        let Follow::Read(mut connection) = follow else { return };
        self.counters.kept_bytes = self.counters.kept_bytes.saturating_sub(connection.kept_bytes());
        self.counters.connections -= 1;
        let messages = &mut self.counters.messages;
        connection.finish(&mut self.reassembly, place, &mut |event| {
            *messages += u64::from(matches!(event, SessionEvent::Message { .. }));
            tell(event);
        });
    }

    fn end(
        &mut self,
        tracks: &mut [Track],
        slot: u32,
        flow: &Flow,
        reason: EndReason,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Some(track) = tracks.get_mut(slot as usize) else { return };
        let mut track = std::mem::take(track);
        let place = Place { flow, time_nanos: flow.last_nanos, packet: None };
        self.leave(&mut track, place, tell);
        let Track { wire_bytes, tcp_flags, icmp, application, .. } = track;
        tell(SessionEvent::FlowEnded(FlowEnd { flow, reason, application, wire_bytes, tcp_flags, icmp }));
    }
}

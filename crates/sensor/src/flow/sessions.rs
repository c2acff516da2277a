//! Sessions: from packets to flows, TCP streams and MQTT messages; one MQTT session a connection.
//!
//! In: packets in capture order, decoded or not. Out: [`SessionEvent`]s: messages with their violations and exchange,
//! missing or contradictory bytes, TLS ClientHellos, ended flows. Fragments are reassembled first; one level of
//! tunnel is decapsulated. A connection is recognised by its bytes, with the port as a hint; MQTT over WebSocket by
//! its handshake. A password is readable only through the message itself
//! ([`citronella_wire::mqtt::Password::reveal`]).
//!
//! All time is packet time. Memory is bounded by [`Limits`]; [`Counters`] count what did not fit. A connection without
//! payload, or of another protocol, costs as much as its flow.

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
pub use event::{Application, BadFragment, EventContext, FlowEnd, SessionEvent};

/// Bounds of all state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limits of the flow table.
    pub flows: table::Limits,
    /// Limits of IP reassembly: outside of tunnels, and again within them.
    pub fragments: fragments::Limits,
    /// Limits of TCP reassembly.
    pub reassembly: reassembly::Limits,
    /// Limits of MQTT, per connection.
    pub mqtt: mqtt::Limits,
    /// Connections read at a time; further ones are counted as flows only.
    pub connections: usize,
    /// Buffered bytes of incomplete messages and WebSocket handshakes, in all connections together.
    pub total_bytes: usize,
}

impl Default for Limits {
    /// 65,536 connections at a time and 256 MiB of incomplete messages. An open flow ends after an idle hour and
    /// never for its age: an MQTT session may be long, and idle for its keep-alive.
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
            total_bytes: 256 << 20,
        }
    }
}

/// Totals, and what did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets without a TCP, UDP or ICMP header, incomplete datagrams included.
    pub packets_without_flow: u64,
    /// Decapsulated packets.
    pub tunnelled_packets: u64,
    /// MQTT messages.
    pub messages: u64,
    /// Connections that were not read because [`Limits::connections`] was reached.
    pub connections_over_cap: u64,
    /// Connections abandoned because [`Limits::total_bytes`] was reached.
    pub connections_abandoned: u64,
    /// Bytes buffered now, of incomplete messages and WebSocket handshakes.
    pub buffered_bytes: usize,
    /// Connections read now.
    pub connections: usize,
    /// Counters of the flow table.
    pub flows: table::Counters,
    /// Counters of TCP reassembly.
    pub reassembly: reassembly::Counters,
    /// Counters of IP reassembly outside of tunnels, and within them.
    pub fragments: [fragments::Counters; 2],
}

/// State of a flow beyond the table's.
#[derive(Default)]
struct Track {
    wire_bytes: [u64; 2],
    tcp_flags: [TcpFlags; 2],
    icmp: Option<(u8, u8)>,
    syns: [Option<u32>; 2],
    application: Application,
    reading: Reading,
}

/// Whether a flow's payload is read.
#[derive(Default)]
enum Reading {
    /// No payload so far.
    #[default]
    Idle,
    Active(Box<Connection>),
    Stopped,
}

/// Encapsulation of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    /// Within a tunnel.
    Inner,
}

/// Tracks flows and reads the MQTT sessions in them.
pub struct Sessions {
    /// By [`Level`].
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
    /// A tracker without flows.
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

    /// Takes the next packet; `emit` receives the end events of flows that timed out, then the packet's own events.
    pub fn packet(&mut self, packet: &Packet<'_>, emit: impl FnMut(SessionEvent<'_>)) {
        self.frame(packet, &decode_frame(packet.link, packet.bytes), emit);
    }

    /// [`Sessions::packet`] for a packet that was decoded already: `frame` is its frame.
    #[inline]
    pub fn frame(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, mut emit: impl FnMut(SessionEvent<'_>)) {
        self.fragment_or_datagram(Level::Outer, packet, frame, &mut emit);
    }

    fn fragment_or_datagram(
        &mut self,
        level: Level,
        packet: &Packet<'_>,
        frame: &Frame<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        if !frame.is_fragment() {
            return self.datagram(level, packet, frame, emit);
        }
        let Some(fragments) = self.fragments.get_mut(level as usize) else { return };
        let mut fragments = std::mem::take(fragments);
        let header = frame.ip.map(|ip| (ip.src, ip.dst, ip.protocol));
        let whole = fragments.frame(packet.time_nanos, *frame, |fault| {
            if let Some((src, dst, protocol)) = header {
                let (time_nanos, packet) = (packet.time_nanos, packet.number);
                emit(SessionEvent::BadFragment(BadFragment {
                    fault,
                    time_nanos,
                    packet,
                    src,
                    dst,
                    protocol,
                }));
            }
        });
        self.datagram(level, packet, &whole, emit);
        if let Some(taken) = self.fragments.get_mut(level as usize) {
            *taken = fragments;
        }
    }

    fn datagram(
        &mut self,
        level: Level,
        packet: &Packet<'_>,
        frame: &Frame<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let inner = if level == Level::Outer { frame.inner() } else { None };
        match inner.filter(|inner| inner.transport.is_some() || inner.is_fragment()) {
            Some(inner) => {
                self.shared.counters.tunnelled_packets += 1;
                self.fragment_or_datagram(Level::Inner, packet, &inner, emit);
            }
            None => self.track(packet, frame, emit),
        }
    }

    /// Ends all flows.
    pub fn finish(&mut self, mut emit: impl FnMut(SessionEvent<'_>)) {
        let Sessions { table, tracks, shared, .. } = self;
        table.finish(|event| {
            if let FlowEvent::Ended { slot, flow, reason } = event {
                shared.end(tracks, slot, flow, reason, &mut emit);
            }
        });
    }

    /// Totals so far, and what did not fit.
    pub fn counters(&self) -> Counters {
        Counters {
            flows: self.table.counters(),
            reassembly: self.shared.reassembly.counters(),
            fragments: self.fragments.each_ref().map(Fragments::counters),
            ..self.shared.counters
        }
    }

    /// Counts a datagram in its flow and reads its segment.
    fn track(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, emit: &mut impl FnMut(SessionEvent<'_>)) {
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
            FlowEvent::Ended { slot, flow, reason } => shared.end(tracks, slot, flow, reason, emit),
        });
        let (Some(flow), Some(track)) = (table.get(slot), tracks.get_mut(slot as usize)) else { return };
        let side = usize::from(counted.direction != flow.initiator);
        if let Some(bytes) = track.wire_bytes.get_mut(side) {
            *bytes += u64::from(packet.wire_len);
        }
        let context = EventContext { flow, time_nanos: packet.time_nanos, packet: Some(packet.number) };
        match &frame.transport {
            Some(Transport::Tcp(tcp)) => {
                if let Some(flags) = track.tcp_flags.get_mut(side) {
                    flags.0 |= tcp.flags.0;
                }
                if !counted.key.is_loop() {
                    shared.segment(track, side, tcp, frame, context, emit);
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
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        if tcp.flags.rst() {
            return;
        }
        if tcp.flags.syn()
            && let Some(syn) = track.syns.get_mut(side)
            && syn.replace(tcp.seq).is_some_and(|before| before != tcp.seq)
        {
            // A new connection between the same endpoints; the end of the previous one was not captured.
            self.stop(track, context, emit);
            track.reading = Reading::Idle;
        }
        if matches!(track.reading, Reading::Idle) && frame.payload_len > 0 {
            track.reading = self.start_reading(track.syns);
        }
        let Reading::Active(connection) = &mut track.reading else { return };
        let before = connection.buffered_bytes();
        let segment = Segment {
            seq: tcp.seq,
            syn: tcp.flags.syn(),
            fin: tcp.flags.fin(),
            bytes: frame.payload,
            wire_len: frame.payload_len,
        };
        let ack = tcp.flags.ack().then_some(tcp.ack);
        let messages = &mut self.counters.messages;
        connection.segment(&mut self.reassembly, side, ack, segment, context, &mut |event| {
            *messages += u64::from(matches!(event, SessionEvent::Message { .. }));
            emit(event);
        });
        if connection.application() != Application::Unknown {
            track.application = connection.application();
        }
        self.counters.buffered_bytes =
            (self.counters.buffered_bytes + connection.buffered_bytes()).saturating_sub(before);
        let is_over = self.counters.buffered_bytes > self.limits.total_bytes;
        self.counters.connections_abandoned += u64::from(is_over);
        if is_over || connection.is_other() {
            self.stop(track, context, emit);
        }
    }

    fn start_reading(&mut self, syns: [Option<u32>; 2]) -> Reading {
        if self.counters.connections >= self.limits.connections {
            self.counters.connections_over_cap += 1;
            return Reading::Stopped;
        }
        self.counters.connections += 1;
        Reading::Active(Box::new(Connection::new(self.limits.mqtt, syns, &mut self.reassembly)))
    }

    /// Stops reading a connection; buffered bytes are flushed as events.
    fn stop(
        &mut self,
        track: &mut Track,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let reading = std::mem::replace(&mut track.reading, Reading::Stopped);
        let Reading::Active(mut connection) = reading else { return };
        self.counters.buffered_bytes =
            self.counters.buffered_bytes.saturating_sub(connection.buffered_bytes());
        self.counters.connections -= 1;
        let messages = &mut self.counters.messages;
        connection.finish(&mut self.reassembly, context, &mut |event| {
            *messages += u64::from(matches!(event, SessionEvent::Message { .. }));
            emit(event);
        });
    }

    fn end(
        &mut self,
        tracks: &mut [Track],
        slot: u32,
        flow: &Flow,
        reason: EndReason,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Some(track) = tracks.get_mut(slot as usize) else { return };
        let mut track = std::mem::take(track);
        let context = EventContext { flow, time_nanos: flow.last_nanos, packet: None };
        self.stop(&mut track, context, emit);
        let Track { wire_bytes, tcp_flags, icmp, application, .. } = track;
        emit(SessionEvent::FlowEnded(FlowEnd { flow, reason, application, wire_bytes, tcp_flags, icmp }));
    }
}

//! Which MQTT messages end in a TCP segment, as Wireshark dissects it.
//!
//! In: TCP segments in capture order. Out: a [`SegmentView`] each: whether Wireshark dissects the payload, the first
//! message that ends in it, and the Protocol column for MQTT, SSH, HTTP, WebSocket and TLS. The rules are those of
//! `tcp_dissect_pdus` with desegmentation on and out-of-order reassembly off, including its quirks: a Remaining Length
//! of up to ten bytes; a message that announces 256 MB hides everything after it in its direction; a length cut off by
//! the segment's end drops the rest of the segment.
//!
//! Memory: the first bytes and CONNECT's flags of an incomplete message. Connections are capped; the longest idle are
//! evicted first.

use citronella_wire::{Ip, Tcp, mqtt};
use hashbrown::HashMap;

use super::MqttCells;
use super::mqtt_pending::{Pending, Prefix, pdu};
use super::services::{Extent, Service, SshState, begins_http, header_end, http};
use super::tcp_analysis::{Connection, Kind};
use super::tls_framing::{TlsState, is_web_socket_upgrade, web_socket};
use crate::flow::{
    key::{Direction, FlowKey, TCP},
    tcp_seq::after,
};

/// Cap of the connection table; at least the most recent half of it stays.
const MAX_CONNECTIONS: usize = 1 << 18;

type Random = foldhash::fast::RandomState;

/// How Wireshark dissects a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentView {
    /// Whether the payload is dissected; not if it is a retransmission, a keep-alive, out of order, or part of a RST.
    pub dissect: bool,
    /// Type and length of the first MQTT message that ends in the segment, and the flags of the first CONNECT.
    pub first_message: Option<MqttCells>,
    /// The Protocol column if the connection is MQTT, SSH, HTTP or TLS, or if the payload is not dissected; `None` if
    /// the payload alone decides.
    pub protocol: Option<&'static str>,
    /// Whether the Protocol column is MQTT.
    pub shows_mqtt: bool,
    /// Whether the segment ends within a message.
    pub is_incomplete: bool,
}

#[derive(Debug, Default)]
struct State {
    analysis: Connection,
    /// A CONNECT was seen on a port of no other service (Wireshark looks for MQTT on its own port only).
    is_mqtt: bool,
    /// The incomplete message of each direction, low endpoint first; boxed because it is rare and half of the state.
    pending: [Option<Box<Pending>>; 2],
    /// The receiver of a SYN, the sender of a SYN-ACK.
    server_port: Option<u16>,
    ssh: SshState,
    /// An HTTP message was seen, on its port or another.
    is_http: bool,
    /// The last request was HEAD.
    is_head_request: bool,
    /// HTTP was upgraded to WebSocket.
    is_web_socket: bool,
    tls: TlsState,
}

/// The TCP connections of a capture.
#[derive(Default)]
pub struct PacketStreams {
    /// Connections with a segment in the current generation.
    young: HashMap<FlowKey, State, Random>,
    /// Connections of the previous generation.
    old: HashMap<FlowKey, State, Random>,
    evicted: u64,
}

impl PacketStreams {
    /// An empty table.
    pub fn new() -> PacketStreams {
        PacketStreams::default()
    }

    /// Connections evicted because of the cap.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Dissects the next segment. `payload_len` is the payload's length on the wire, at least `payload.len()`.
    pub fn segment(
        &mut self,
        time_nanos: i64,
        ip: &Ip,
        tcp: &Tcp,
        payload: &[u8],
        payload_len: usize,
    ) -> SegmentView {
        let (key, direction) = FlowKey::new((ip.src, tcp.src_port), (ip.dst, tcp.dst_port), TCP);
        let state = self.state(&key);
        if state.analysis.is_reuse(direction, tcp) {
            *state = State::default();
        }
        if tcp.flags.syn() {
            state.server_port = Some(if tcp.flags.ack() { tcp.src_port } else { tcp.dst_port });
        }
        let kind = state.analysis.add(time_nanos, direction, tcp, payload_len as u32);
        let mut view = SegmentView::default();
        if payload.is_empty() || tcp.flags.rst() || kind == Kind::Repeated {
            view.protocol = Some("TCP");
            return view;
        }
        view.dissect = kind == Kind::Read;
        let mut service = Service::of(state.server_port, tcp.src_port, tcp.dst_port);
        if service == Service::Other {
            state.is_mqtt |= view.dissect && begins_with_connect(payload);
            state.is_http |= view.dissect && !state.is_mqtt && begins_http(payload);
            service = match state {
                State { is_mqtt: true, .. } => Service::Mqtt,
                State { is_http: true, .. } => Service::Http,
                _ if state.tls.recognise(if view.dissect { payload } else { &[] }) => Service::Tls,
                _ => Service::Other,
            };
        }
        if service == Service::Http && state.is_web_socket {
            service = Service::WebSocket;
        }
        if service != Service::Other {
            let seq = tcp.seq.wrapping_add(u32::from(tcp.flags.syn()));
            let segment = Segment { seq, bytes: payload, wire_len: payload_len };
            let way = usize::from(direction == Direction::FromHigh);
            let is_client = Service::of(None, tcp.dst_port, tcp.dst_port) == Service::Ssh;
            let view = &mut view;
            Reader { state, way, is_client, service, view, column_is_fixed: false }.segment(segment, kind);
        }
        if service != Service::Other || !view.dissect {
            view.protocol = view.protocol.or(Some("TCP"));
        }
        view.shows_mqtt = view.protocol == Some("MQTT");
        view
    }

    #[inline]
    fn state(&mut self, key: &FlowKey) -> &mut State {
        if self.young.len() >= MAX_CONNECTIONS / 2 && !self.young.contains_key(key) {
            self.evicted += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        let PacketStreams { young, old, .. } = self;
        young.entry(*key).or_insert_with(|| {
            if old.is_empty() { State::default() } else { old.remove(key).unwrap_or_default() }
        })
    }
}

/// Whether a segment starts with a CONNECT, recognised by its protocol name.
fn begins_with_connect(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first >> 4 == mqtt::kind::CONNECT)
        && mqtt::looks_like_mqtt(payload, false)
}

#[derive(Clone, Copy)]
struct Segment<'a> {
    seq: u32,
    bytes: &'a [u8],
    wire_len: usize,
}

impl<'a> Segment<'a> {
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.wire_len as u32)
    }

    /// Without its first bytes.
    fn skip(&self, bytes: usize) -> Segment<'a> {
        Segment {
            seq: self.seq.wrapping_add(bytes as u32),
            bytes: self.bytes.get(bytes..).unwrap_or_default(),
            wire_len: self.wire_len.saturating_sub(bytes),
        }
    }
}

/// Reads one segment of one direction.
struct Reader<'a> {
    state: &'a mut State,
    /// 0 from the low endpoint, 1 from the high endpoint.
    way: usize,
    /// Whether the segment goes to SSH's port.
    is_client: bool,
    service: Service,
    view: &'a mut SegmentView,
    /// The column is TCP, whatever is read after it.
    column_is_fixed: bool,
}

impl Reader<'_> {
    fn segment(&mut self, segment: Segment<'_>, kind: Kind) {
        let mut rest = (segment, kind);
        // Terminates: each step completes a pending message, and a new one only starts at the segment's end.
        while let Some(next) = self.step(rest.0, rest.1) {
            rest = (next, Kind::Read);
        }
    }

    /// Reads the bytes of the pending message, or all bytes if there is none; returns the unread rest.
    fn step<'s>(&mut self, segment: Segment<'s>, kind: Kind) -> Option<Segment<'s>> {
        let pending = self.pending().filter(|pending| pending.covers(segment.seq));
        let Some(mut pending) = pending else {
            if kind == Kind::Read {
                self.fresh(segment);
            }
            return None;
        };
        self.column_is_fixed |= kind == Kind::OutOfOrder;
        if pending.seq == segment.seq && !after(segment.end(), pending.next) {
            // The first part, retransmitted.
            return None;
        }
        if pending.needs_segment {
            self.extend_by_segment(pending, segment);
            return None;
        }
        let wanted = pending.next.wrapping_sub(segment.seq) as usize;
        let taken = wanted.min(segment.wire_len);
        let whole = pending.add(segment.seq, segment.bytes.get(..taken).unwrap_or(segment.bytes), taken);
        if after(pending.next, segment.end()) || (!whole && wanted == segment.wire_len) {
            // Out-of-order segments may still fill the hole.
            self.set_pending(pending);
            return None;
        }
        *self.pending_mut() = None;
        if whole {
            self.complete(pending);
        } else {
            // A message with a hole never completes; the bytes after it are read, the column stays.
            self.column_is_fixed = true;
        }
        (segment.wire_len > wanted).then(|| segment.skip(wanted))
    }

    /// Adds this whole segment to a message of unknown length.
    fn extend_by_segment(&mut self, mut pending: Pending, segment: Segment<'_>) {
        *self.pending_mut() = None;
        match self.service {
            Service::Mqtt | Service::Tls | Service::WebSocket => {
                // Less than a header was read, and the prefix holds all of it.
                let known = pending.prefix.bytes();
                let wire_len = segment.wire_len + known.len();
                let joined = [known, segment.bytes].concat();
                self.fresh(Segment { seq: pending.seq, bytes: &joined, wire_len });
            }
            Service::Ssh if segment.bytes.contains(&b'\n') => {
                pending.add(segment.seq, segment.bytes, segment.wire_len);
                self.show(self.state.ssh.name());
                self.state.ssh.banner(self.way, self.is_client, pending.prefix.bytes());
            }
            Service::Http if header_end(segment.bytes).is_some() => self.show("HTTP"),
            _ => {
                pending.next = segment.end().wrapping_add(1);
                self.set_pending(pending);
            }
        }
    }

    /// Reads a pending message whose bytes are complete.
    fn complete(&mut self, pending: Pending) {
        let known = pending.prefix.bytes();
        match self.service {
            Service::Mqtt => {
                if let Some(cells) = pending.message() {
                    self.message(cells);
                }
            }
            Service::Ssh => match self.state.ssh.extent(self.way, self.is_client, known) {
                // These four bytes give the packet's length.
                Extent::Needs(more) if known.len() == 4 => {
                    let mut longer = pending;
                    longer.next = pending.next.wrapping_add(more);
                    self.set_pending(longer);
                }
                _ => {
                    self.show(self.state.ssh.name());
                    self.state.ssh.packet(self.way, known);
                }
            },
            _ => self.show(pending.name),
        }
    }

    /// Reads messages from the segment's first byte on.
    fn fresh(&mut self, segment: Segment<'_>) {
        let mut rest = segment;
        // Wireshark sets SSH's column before it reads the bytes.
        let ssh_name = self.state.ssh.name();
        while rest.wire_len > 0 {
            let (extent, name) = match self.service {
                Service::Mqtt => match mqtt_extent(&rest) {
                    Some(extent) => (extent, "MQTT"),
                    None => return,
                },
                Service::Ssh => (self.state.ssh.extent(self.way, self.is_client, rest.bytes), ssh_name),
                Service::Tls => self.state.tls.record(rest.bytes),
                Service::WebSocket => (web_socket(rest.bytes), "WebSocket"),
                Service::Http | Service::Other => match http(rest.bytes, self.state.is_head_request) {
                    Some(found) => found,
                    None if self.state.is_http => (Extent::Whole(rest.wire_len), "HTTP"),
                    None => return,
                },
            };
            let (next, needs_segment) = match extent {
                Extent::Whole(len) => {
                    self.whole(&rest, len, name);
                    rest = rest.skip(len.max(1));
                    continue;
                }
                Extent::Needs(more) => (rest.end().wrapping_add(more), false),
                Extent::NeedsSegment => (rest.end().wrapping_add(1), true),
            };
            self.view.is_incomplete = true;
            // A packet cut by the snap length cannot be reassembled.
            if rest.bytes.len() == rest.wire_len {
                let mut pending = Pending::new(rest.seq, next, needs_segment, Prefix::of(rest.bytes), name);
                pending.add(rest.seq, rest.bytes, rest.wire_len);
                self.set_pending(pending);
            }
            return;
        }
    }

    fn whole(&mut self, rest: &Segment<'_>, len: usize, name: &'static str) {
        let bytes = rest.bytes.get(..len).unwrap_or(rest.bytes);
        match self.service {
            Service::Mqtt => {
                if let Some(found) = pdu(bytes) {
                    let flags = found.connect_flags_at(bytes).and_then(|at| bytes.get(at)).copied();
                    self.message(found.cells(flags));
                }
            }
            Service::Http => {
                self.state.is_http = true;
                self.state.is_web_socket |= is_web_socket_upgrade(bytes);
                if !bytes.starts_with(b"HTTP/") {
                    self.state.is_head_request = bytes.starts_with(b"HEAD ");
                }
                self.show(name);
            }
            _ => self.show(name),
        }
    }

    fn message(&mut self, cells: MqttCells) {
        self.show("MQTT");
        let first = self.view.first_message.get_or_insert(cells);
        first.connect_flags = first.connect_flags.or(cells.connect_flags);
    }

    fn show(&mut self, name: &'static str) {
        if !self.column_is_fixed {
            self.view.protocol.get_or_insert(name);
        }
    }

    fn set_pending(&mut self, pending: Pending) {
        self.view.is_incomplete = true;
        match self.pending_mut() {
            Some(current) => **current = pending,
            empty => *empty = Some(Box::new(pending)),
        }
    }

    fn pending(&self) -> Option<Pending> {
        let [low, high] = &self.state.pending;
        if self.way == 0 { low } else { high }.as_deref().copied()
    }

    fn pending_mut(&mut self) -> &mut Option<Box<Pending>> {
        let [low, high] = &mut self.state.pending;
        if self.way == 0 { low } else { high }
    }
}

/// The extent of the next MQTT message; `None` if its length field is cut off or impossible: the rest of the segment
/// is then dropped.
fn mqtt_extent(rest: &Segment<'_>) -> Option<Extent> {
    if rest.wire_len == 1 {
        return Some(Extent::NeedsSegment);
    }
    let len = pdu(rest.bytes).map(|found| found.len).filter(|len| *len >= 2)?;
    Some(match (len as usize).checked_sub(rest.wire_len) {
        None | Some(0) => Extent::Whole(len as usize),
        Some(_) => Extent::Needs(len.wrapping_sub(rest.wire_len as u32)),
    })
}

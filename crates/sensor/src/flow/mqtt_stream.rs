//! Which MQTT messages end in a TCP segment, exactly as Wireshark shows them.
//!
//! In: TCP segments in capture order. Out: for each a [`SegmentView`]: whether its bytes are read at all, the first
//! message that ends in it, and what the Protocol column says of MQTT, SSH, HTTP, WebSocket and TLS. The rules are those of Wireshark
//! 4.0's `tcp_dissect_pdus` in one pass with default preferences (desegmentation on, out-of-order reassembly off), quirks
//! included: a Remaining Length of up to ten bytes, a message that announces 256 MB hides all that follows it in its
//! direction, a length that is cut off by the segment's end drops the rest of the segment.
//!
//! Memory: of a message that waits for more bytes only its beginning and CONNECT's flags are kept; connections are
//! capped, and those longest without a segment are forgotten first.

use citronella_wire::{Ip, Tcp, mqtt};
use hashbrown::HashMap;

use super::key::{Direction, FlowKey};
use super::mqtt_pending::{Beginning, Pending, pdu};
use super::records::{TlsState, upgrades, web_socket};
use super::services::{Extent, Service, SshState, begins_http, header_end, http};
use super::tcp_analysis::{Connection, Kind, after};
use crate::feature::packet::MqttCells;

const TCP: u8 = 6;
/// Connections that are remembered: at least half as many as this, at most this.
const MAX_CONNECTIONS: usize = 1 << 18;

type Random = foldhash::fast::RandomState;

/// How Wireshark shows a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentView {
    /// Whether the payload is read: not where it was there before (a retransmission, a keep-alive), came out of
    /// order, or belongs to a RST.
    pub dissect: bool,
    /// Type and length of the first MQTT message that ends in the segment, and the flags of the first CONNECT.
    pub first_message: Option<MqttCells>,
    /// The Protocol column, where the connection is known to be MQTT's, SSH's, HTTP's or TLS's, or the payload is not
    /// read; `None` where the payload alone decides.
    pub protocol: Option<&'static str>,
    /// Whether that column says MQTT.
    pub shows_mqtt: bool,
    /// Whether the segment ends within a message.
    pub waits: bool,
}

#[derive(Debug, Default)]
struct State {
    analysis: Connection,
    /// A CONNECT was seen on a port of no other service (Wireshark looks for MQTT on its own port only).
    is_mqtt: bool,
    /// What waits for more bytes, from the low end and from the high end: seldom anything, and half of the bytes.
    pending: [Option<Box<Pending>>; 2],
    /// The receiver of a SYN, the sender of a SYN-ACK.
    server_port: Option<u16>,
    ssh: SshState,
    /// An HTTP message was seen, on its port or another.
    is_http: bool,
    /// The last request was HEAD.
    head_asked: bool,
    /// HTTP made way for WebSocket.
    is_web_socket: bool,
    tls: TlsState,
}

/// The TCP connections of a capture.
#[derive(Default)]
pub struct PacketStreams {
    /// Connections with a segment since the last change of generation.
    young: HashMap<FlowKey, State, Random>,
    /// Those of the generation before.
    old: HashMap<FlowKey, State, Random>,
    forgotten: u64,
}

impl PacketStreams {
    /// No connections yet.
    pub fn new() -> PacketStreams {
        PacketStreams::default()
    }

    /// Connections that were forgotten because of the cap.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How the next segment shows. `payload_len` is the payload's length on the wire, at least `payload.len()`.
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
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        let PacketStreams { young, old, .. } = self;
        young.entry(*key).or_insert_with(|| {
            if old.is_empty() { State::default() } else { old.remove(key).unwrap_or_default() }
        })
    }
}

/// Whether a segment begins with a CONNECT, by its protocol name: nothing else looks like one.
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
    /// 0 from the low end, 1 from the high end.
    way: usize,
    /// Whether the segment goes to SSH's port.
    is_client: bool,
    service: Service,
    view: &'a mut SegmentView,
    /// The column was set to TCP and stays so whatever is read after it.
    column_is_fixed: bool,
}

impl Reader<'_> {
    fn segment(&mut self, segment: Segment<'_>, kind: Kind) {
        let mut rest = (segment, kind);
        // Every turn ends a message that waited, and none waits before the end of the segment after the first.
        while let Some(next) = self.step(rest.0, rest.1) {
            rest = (next, Kind::Read);
        }
    }

    /// Reads what belongs to the message that waits, or else all; what is left to be read.
    fn step<'s>(&mut self, segment: Segment<'s>, kind: Kind) -> Option<Segment<'s>> {
        let waiting = self.pending().filter(|waiting| waiting.covers(segment.seq));
        let Some(mut waiting) = waiting else {
            if kind == Kind::Read {
                self.fresh(segment);
            }
            return None;
        };
        self.column_is_fixed |= kind == Kind::OutOfOrder;
        if waiting.seq == segment.seq && !after(segment.end(), waiting.next) {
            // The first part, sent again.
            return None;
        }
        if waiting.entire {
            self.after_beginning(waiting, segment);
            return None;
        }
        let wanted = waiting.next.wrapping_sub(segment.seq) as usize;
        let taken = wanted.min(segment.wire_len);
        let whole = waiting.add(segment.seq, segment.bytes.get(..taken).unwrap_or(segment.bytes), taken);
        if after(waiting.next, segment.end()) || (!whole && wanted == segment.wire_len) {
            // Out of order, the rest may yet fill a hole.
            self.wait_for(waiting);
            return None;
        }
        *self.pending_mut() = None;
        if whole {
            self.completed(waiting);
        } else {
            // A hole keeps the message from ever ending; what follows it is read, the column stays.
            self.column_is_fixed = true;
        }
        (segment.wire_len > wanted).then(|| segment.skip(wanted))
    }

    /// Too little was there to know a length: all of this segment belongs to it.
    fn after_beginning(&mut self, mut waiting: Pending, segment: Segment<'_>) {
        *self.pending_mut() = None;
        match self.service {
            Service::Mqtt | Service::Tls | Service::WebSocket => {
                // Less than a header was there: all of it is known.
                let known = waiting.beginning.known();
                let wire_len = segment.wire_len + known.len();
                let joined = [known, segment.bytes].concat();
                self.fresh(Segment { seq: waiting.seq, bytes: &joined, wire_len });
            }
            Service::Ssh if segment.bytes.contains(&b'\n') => {
                waiting.add(segment.seq, segment.bytes, segment.wire_len);
                self.show(self.state.ssh.name());
                self.state.ssh.banner(self.way, self.is_client, waiting.beginning.known());
            }
            Service::Http if header_end(segment.bytes).is_some() => self.show("HTTP"),
            _ => {
                waiting.next = segment.end().wrapping_add(1);
                self.wait_for(waiting);
            }
        }
    }

    /// All bytes of a message are there.
    fn completed(&mut self, waiting: Pending) {
        let known = waiting.beginning.known();
        match self.service {
            Service::Mqtt => {
                if let Some(cells) = waiting.message() {
                    self.message(cells);
                }
            }
            Service::Ssh => match self.state.ssh.extent(self.way, self.is_client, known) {
                // Only now its length is known.
                Extent::Needs(more) if known.len() == 4 => {
                    let mut longer = waiting;
                    longer.next = waiting.next.wrapping_add(more);
                    self.wait_for(longer);
                }
                _ => {
                    self.show(self.state.ssh.name());
                    self.state.ssh.packet(self.way, known);
                }
            },
            _ => self.show(waiting.name),
        }
    }

    /// Reads messages from the segment's first byte on.
    fn fresh(&mut self, segment: Segment<'_>) {
        let mut rest = segment;
        // SSH's column is set before its bytes are read.
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
                Service::Http | Service::Other => match http(rest.bytes, self.state.head_asked) {
                    Some(found) => found,
                    None if self.state.is_http => (Extent::Whole(rest.wire_len), "HTTP"),
                    None => return,
                },
            };
            let (next, entire) = match extent {
                Extent::Whole(len) => {
                    self.whole(&rest, len, name);
                    rest = rest.skip(len.max(1));
                    continue;
                }
                Extent::Needs(more) => (rest.end().wrapping_add(more), false),
                Extent::NeedsSegment => (rest.end().wrapping_add(1), true),
            };
            self.view.waits = true;
            // A packet that was cut when it was recorded cannot be put together with others.
            if rest.bytes.len() == rest.wire_len {
                let mut waiting = Pending::new(rest.seq, next, entire, Beginning::of(rest.bytes), name);
                waiting.add(rest.seq, rest.bytes, rest.wire_len);
                self.wait_for(waiting);
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
                self.state.is_web_socket |= upgrades(bytes);
                if !bytes.starts_with(b"HTTP/") {
                    self.state.head_asked = bytes.starts_with(b"HEAD ");
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

    fn wait_for(&mut self, waiting: Pending) {
        self.view.waits = true;
        match self.pending_mut() {
            Some(place) => **place = waiting,
            empty => *empty = Some(Box::new(waiting)),
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

/// The next MQTT message; `None` where its length runs past the end or cannot be: nothing more is read then, and
/// nothing remembered.
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

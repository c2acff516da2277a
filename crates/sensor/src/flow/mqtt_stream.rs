//! Which MQTT messages end in a TCP segment, exactly as Wireshark shows them.
//!
//! In: TCP segments in capture order. Out: for each a [`SegmentView`]: whether its bytes are read at all, the first
//! message that ends in it, and whether the Protocol column says MQTT. The rules are those of Wireshark 4.0's
//! `tcp_dissect_pdus` in one pass with default preferences (desegmentation on, out-of-order reassembly off), quirks
//! included: a Remaining Length of up to ten bytes, a message that announces 256 MB hides all that follows it in its
//! direction, a length that is cut off by the segment's end drops the rest of the segment.
//!
//! Memory: of a message that waits for more bytes only its beginning and CONNECT's flags are kept; connections are
//! capped, and those longest without a segment are forgotten first.

use citronella_wire::{Ip, Tcp};
use hashbrown::HashMap;

use super::key::{Direction, FlowKey};
use super::mqtt_pending::{Beginning, Pdu, Pending, pdu};
use super::tcp_analysis::{Connection, Kind, after};
use crate::feature::packet::MqttCells;

const TCP: u8 = 6;
const MQTT_PORT: u16 = 1883;
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
    /// Whether the Protocol column says MQTT.
    pub shows_mqtt: bool,
    /// Whether the segment ends within a message.
    pub waits: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    analysis: Connection,
    /// What waits for more bytes, from the low end and from the high end.
    pending: [Option<Pending>; 2],
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
        let kind = state.analysis.add(time_nanos, direction, tcp, payload_len as u32);
        let mut view = SegmentView::default();
        if payload.is_empty() || tcp.flags.rst() || kind == Kind::Repeated {
            return view;
        }
        view.dissect = kind == Kind::Read;
        if tcp.src_port != MQTT_PORT && tcp.dst_port != MQTT_PORT {
            return view;
        }
        let [low, high] = &mut state.pending;
        let pending = if direction == Direction::FromLow { low } else { high };
        let seq = tcp.seq.wrapping_add(u32::from(tcp.flags.syn()));
        let segment = Segment { seq, bytes: payload, wire_len: payload_len };
        Reader { pending, view: &mut view, column_is_fixed: false }.segment(segment, kind);
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
    pending: &'a mut Option<Pending>,
    view: &'a mut SegmentView,
    /// The column was set to TCP and stays so whatever is read after it.
    column_is_fixed: bool,
}

impl Reader<'_> {
    fn segment(&mut self, segment: Segment<'_>, kind: Kind) {
        let waiting = self.pending.filter(|waiting| waiting.covers(segment.seq));
        let Some(mut waiting) = waiting else {
            if kind == Kind::Read {
                self.fresh(segment);
            }
            return;
        };
        self.column_is_fixed |= kind == Kind::OutOfOrder;
        if waiting.seq == segment.seq && !after(segment.end(), waiting.next) {
            // The first part, sent again.
            return;
        }
        if waiting.entire {
            return self.after_one_byte(waiting, segment);
        }
        let wanted = waiting.next.wrapping_sub(segment.seq) as usize;
        let taken = wanted.min(segment.wire_len);
        let whole = waiting.add(segment.seq, segment.bytes.get(..taken).unwrap_or(segment.bytes), taken);
        if after(waiting.next, segment.end()) || (!whole && wanted == segment.wire_len) {
            *self.pending = Some(waiting);
            self.view.waits = true;
            // Out of order, it may yet have filled the hole.
            return;
        }
        if whole {
            *self.pending = None;
            if let Some(cells) = waiting.message() {
                self.message(cells);
            }
        } else {
            // A hole keeps the message from ever ending; what follows it is read, the column stays.
            self.column_is_fixed = true;
            *self.pending = None;
        }
        if segment.wire_len > wanted {
            self.segment(segment.skip(wanted), Kind::Read);
        }
    }

    /// One byte of a fixed header waited: all of this segment belongs to it.
    fn after_one_byte(&mut self, waiting: Pending, segment: Segment<'_>) {
        let mut joined = Vec::with_capacity(1 + segment.bytes.len());
        joined.push(waiting.beginning.first());
        joined.extend_from_slice(segment.bytes);
        *self.pending = None;
        self.fresh(Segment { seq: waiting.seq, bytes: &joined, wire_len: segment.wire_len + 1 });
    }

    /// Reads messages from the segment's first byte on.
    fn fresh(&mut self, segment: Segment<'_>) {
        let mut rest = segment;
        while rest.wire_len > 0 {
            if rest.wire_len == 1 {
                let next = rest.end().wrapping_add(1);
                return self.wait(rest, next, true);
            }
            let found = match pdu(rest.bytes) {
                Some(found) => found,
                // The length runs past the end: nothing more is read, and nothing remembered.
                None => return,
            };
            if found.len < 2 {
                return;
            }
            let len = found.len as usize;
            if len > rest.wire_len {
                let next = rest.seq.wrapping_add(found.len);
                return self.wait(rest, next, false);
            }
            let body = rest.bytes.get(..len).unwrap_or(rest.bytes);
            self.message(message(&found, body));
            rest = rest.skip(len);
        }
    }

    fn wait(&mut self, rest: Segment<'_>, next: u32, entire: bool) {
        self.view.waits = true;
        // A packet that was cut when it was recorded cannot be put together with others.
        if rest.bytes.len() == rest.wire_len {
            let beginning = Beginning::of(rest.bytes);
            let mut waiting = Pending::new(rest.seq, next, entire, beginning);
            waiting.add(rest.seq, rest.bytes, rest.wire_len);
            *self.pending = Some(waiting);
        }
    }

    fn message(&mut self, cells: MqttCells) {
        self.view.shows_mqtt |= !self.column_is_fixed;
        let first = self.view.first_message.get_or_insert(cells);
        first.connect_flags = first.connect_flags.or(cells.connect_flags);
    }
}

fn message(found: &Pdu, bytes: &[u8]) -> MqttCells {
    let flags = found.connect_flags_at(bytes).and_then(|at| bytes.get(at)).copied();
    found.cells(flags)
}

//! One TCP connection: both directions put in order, recognised, and read as what they are.
//!
//! A side is 0 for the initiator and 1 for the responder.

use citronella_wire::{
    mqtt::{self, Session, Stream},
    tls::{self, Hello},
    websocket::{WebSocket, WebSocketState},
};

use super::event::{Application, Place, SessionEvent};
use super::recognise::{Kind, is_mqtt_port, recognise};
use crate::flow::reassembly::{Piece, Reassembly, Segment, Stream as Tcp};

/// So many pieces of unknown bytes are looked at before a connection is passed over.
const TRIES: u8 = 4;
/// What the head of a WebSocket may take, by `wire`'s bound.
const HEAD_BYTES: usize = 8_192;

/// Both directions of a connection.
pub(super) struct Connection {
    tcp: [Tcp; 2],
    reader: Reader,
}

/// What reads the bytes.
struct Reader {
    limits: mqtt::Limits,
    /// Seen from its SYN, and nothing lost since.
    complete: bool,
    application: Application,
    protocol: Protocol,
}

enum Protocol {
    Undecided { kept: [Vec<u8>; 2], tries: u8 },
    Mqtt(Box<Mqtt>),
    WebSocket(Box<[WebSocket; 2]>, Option<Box<Mqtt>>),
    Tls { from: usize, kept: Vec<u8> },
    Other,
}

struct Mqtt {
    session: Session,
    streams: [Stream; 2],
    /// The client's side.
    client: usize,
}

impl Connection {
    /// A connection with the sequence numbers of those SYNs that were seen.
    pub(super) fn new(limits: mqtt::Limits, syns: [Option<u32>; 2], shared: &mut Reassembly) -> Connection {
        let mut tcp = [Tcp::new(), Tcp::new()];
        for (stream, seq) in tcp.iter_mut().zip(syns) {
            if let Some(seq) = seq {
                let syn = Segment { seq, syn: true, fin: false, bytes: &[], wire_len: 0 };
                stream.segment(shared, syn, |_| ());
            }
        }
        let complete = syns.iter().any(Option::is_some);
        let protocol = Protocol::Undecided { kept: [Vec::new(), Vec::new()], tries: 0 };
        Connection { tcp, reader: Reader { limits, complete, application: Application::Unknown, protocol } }
    }

    /// Whether nothing that is still to come will be read.
    pub(super) fn is_of_no_interest(&self) -> bool {
        matches!(self.reader.protocol, Protocol::Other)
    }

    /// What was recognised.
    pub(super) fn application(&self) -> Application {
        self.reader.application
    }

    /// Bytes kept beside those that reassembly counts.
    pub(super) fn kept_bytes(&self) -> usize {
        let mqtt = |mqtt: &Mqtt| mqtt.streams.iter().map(Stream::memory_bytes).sum();
        match &self.reader.protocol {
            Protocol::Undecided { kept, .. } => kept.iter().map(Vec::capacity).sum(),
            Protocol::Mqtt(inner) => mqtt(inner),
            Protocol::WebSocket(_, None) => 2 * HEAD_BYTES,
            Protocol::WebSocket(_, Some(inner)) => mqtt(inner),
            Protocol::Tls { kept, .. } => kept.capacity(),
            Protocol::Other => 0,
        }
    }

    /// Takes a segment of a side; `ack` is what it acknowledges of the other.
    pub(super) fn segment(
        &mut self,
        shared: &mut Reassembly,
        side: usize,
        ack: Option<u32>,
        segment: Segment<'_>,
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Connection { tcp, reader } = self;
        if let (Some(ack), Some(other)) = (ack, tcp.get_mut(1 - side)) {
            other.acknowledged(shared, ack, |piece| reader.piece(1 - side, piece, place, tell));
        }
        if let Some(stream) = tcp.get_mut(side) {
            stream.segment(shared, segment, |piece| reader.piece(side, piece, place, tell));
        }
    }

    /// Ends both directions: what is kept is read, messages that were begun are told.
    pub(super) fn finish(
        &mut self,
        shared: &mut Reassembly,
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Connection { tcp, reader } = self;
        for (side, stream) in tcp.iter_mut().enumerate() {
            stream.finish(shared, |piece| reader.piece(side, piece, place, tell));
            reader.end(side, place, tell);
        }
    }
}

impl Reader {
    fn piece(
        &mut self,
        side: usize,
        piece: Piece<'_>,
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        match piece {
            Piece::Bytes(bytes) => self.bytes(side, bytes, place, tell),
            Piece::Gap(bytes) => self.gap(side, bytes, place, tell),
            Piece::Conflict => tell(SessionEvent::Conflict { place, from_initiator: side == 0 }),
            Piece::End => self.end(side, place, tell),
        }
    }

    fn bytes(
        &mut self,
        side: usize,
        bytes: &[u8],
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        match &mut self.protocol {
            Protocol::Mqtt(mqtt) => mqtt.bytes(side, bytes, place, tell),
            Protocol::Undecided { .. } => self.decide(side, bytes, place, tell),
            Protocol::WebSocket(..) => self.web_socket(side, bytes, place, tell),
            Protocol::Tls { from, kept } => {
                if *from == side {
                    kept.extend_from_slice(bytes);
                    self.hello(place, tell);
                }
            }
            Protocol::Other => {}
        }
    }

    fn decide(
        &mut self,
        side: usize,
        bytes: &[u8],
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Protocol::Undecided { kept, tries } = &mut self.protocol else { return };
        let Some(own) = kept.get_mut(side) else { return };
        let joined;
        let bytes = if own.is_empty() {
            bytes
        } else {
            joined = [own, bytes].concat();
            &joined[..]
        };
        let hint = is_mqtt_port([place.flow.src().1, place.flow.dst().1]);
        let kind = recognise(bytes, hint, self.complete);
        match kind {
            Kind::Wait => return *own = bytes.to_vec(),
            Kind::Other => {
                own.clear();
                // At MQTT's port a large message may be under way: a footing is looked for as long as it takes.
                let patient = hint && !self.complete;
                *tries = tries.saturating_add(u8::from(!patient));
                if *tries >= TRIES || (self.complete && hint) {
                    self.protocol = Protocol::Other;
                }
                return;
            }
            Kind::Mqtt | Kind::Tls | Kind::WebSocket => {}
        }
        let earlier = kept.get_mut(1 - side).map(std::mem::take).unwrap_or_default();
        match kind {
            Kind::Mqtt => {
                let client = self.client(side, bytes, place);
                self.application = Application::Mqtt;
                self.protocol = Protocol::Mqtt(Box::new(Mqtt::new(self.limits, self.complete, client)));
            }
            Kind::WebSocket => {
                self.protocol = Protocol::WebSocket(Box::new([WebSocket::new(), WebSocket::new()]), None);
            }
            Kind::Tls => {
                self.application = Application::Tls;
                self.protocol = Protocol::Tls { from: side, kept: Vec::new() };
            }
            Kind::Wait | Kind::Other => {}
        }
        self.bytes(1 - side, &earlier, place, tell);
        self.bytes(side, bytes, place, tell);
    }

    /// The client's side: the initiator's where its SYN was seen, else as the first message has it, or the port.
    fn client(&self, side: usize, bytes: &[u8], place: Place<'_>) -> usize {
        if self.complete {
            return 0;
        }
        let kind = bytes.first().map_or(0, |first| first >> 4);
        match mqtt::Direction::of(kind, mqtt::Version::V311) {
            Some(mqtt::Direction::ToServer) => side,
            Some(mqtt::Direction::ToClient) => 1 - side,
            None => usize::from(is_mqtt_port([place.flow.src().1; 2])),
        }
    }

    fn web_socket(
        &mut self,
        side: usize,
        bytes: &[u8],
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Protocol::WebSocket(sockets, inner) = &mut self.protocol else { return };
        let named = sockets.iter().any(WebSocket::is_mqtt);
        let (limits, complete) = (self.limits, self.complete);
        let Some(socket) = sockets.get_mut(side) else { return };
        let application = &mut self.application;
        let mut other = false;
        socket.push(bytes, |payload| {
            if inner.is_none() && !other {
                other = !named && !mqtt::looks_like_mqtt(payload, false);
                if !other {
                    *application = Application::MqttOverWebSocket;
                    *inner = Some(Box::new(Mqtt::new(limits, complete, 0)));
                }
            }
            if let Some(mqtt) = inner {
                mqtt.bytes(side, payload, place, tell);
            }
        });
        if other || (inner.is_none() && socket.state() == WebSocketState::Other) {
            self.protocol = Protocol::Other;
        }
    }

    fn hello(&mut self, place: Place<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        let Protocol::Tls { kept, .. } = &mut self.protocol else { return };
        match tls::client_hello(kept) {
            Hello::Incomplete if kept.len() <= tls::LONGEST_HELLO => return,
            Hello::Done(hello) => tell(SessionEvent::ClientHello { place, hello: &hello }),
            Hello::Incomplete | Hello::Other => {}
        }
        // What follows is encrypted: nobody's bytes are kept any longer.
        self.protocol = Protocol::Other;
    }

    fn gap(&mut self, side: usize, bytes: u64, place: Place<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        self.complete = false;
        let mqtt = match &mut self.protocol {
            Protocol::Mqtt(mqtt) => mqtt,
            Protocol::WebSocket(sockets, inner) => {
                sockets.iter_mut().skip(side).take(1).for_each(WebSocket::gap);
                let Some(mqtt) = inner else { return };
                mqtt
            }
            Protocol::Undecided { kept, .. } => return kept.iter_mut().for_each(Vec::clear),
            Protocol::Tls { .. } => return self.protocol = Protocol::Other,
            Protocol::Other => return,
        };
        tell(SessionEvent::Gap { place, from_initiator: side == 0, bytes });
        mqtt.gap(side, bytes, place, tell);
    }

    fn end(&mut self, side: usize, place: Place<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        if let Protocol::Mqtt(mqtt) | Protocol::WebSocket(_, Some(mqtt)) = &mut self.protocol {
            mqtt.end(side, place, tell);
        }
    }
}

impl Mqtt {
    fn new(limits: mqtt::Limits, complete: bool, client: usize) -> Mqtt {
        let stream = || if complete { Stream::new(limits) } else { Stream::mid_stream(limits) };
        let session = if complete { Session::new(limits) } else { Session::mid_stream(limits) };
        Mqtt { session, streams: [stream(), stream()], client }
    }

    /// Feeds one direction's stream and tells each record that comes out.
    fn feed(
        &mut self,
        side: usize,
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
        by: impl FnOnce(&mut Stream, &mut dyn FnMut(mqtt::Record<'_>)),
    ) {
        let Mqtt { session, streams, client } = self;
        let direction = if side == *client { mqtt::Direction::ToServer } else { mqtt::Direction::ToClient };
        let Some(stream) = streams.get_mut(side) else { return };
        by(stream, &mut |record| {
            let observed = session.observe(direction, &record, place.time_nanos / 1_000);
            tell(SessionEvent::Message { place, direction, observed: &observed });
        });
    }

    fn bytes(
        &mut self,
        side: usize,
        bytes: &[u8],
        place: Place<'_>,
        tell: &mut impl FnMut(SessionEvent<'_>),
    ) {
        self.feed(side, place, tell, |stream, sink| stream.push(bytes, sink));
    }

    fn gap(&mut self, side: usize, bytes: u64, place: Place<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        self.session.gap();
        self.feed(side, place, tell, |stream, sink| stream.gap(bytes, sink));
    }

    fn end(&mut self, side: usize, place: Place<'_>, tell: &mut impl FnMut(SessionEvent<'_>)) {
        self.feed(side, place, tell, |stream, sink| stream.finish(sink));
    }
}

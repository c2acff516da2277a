//! One TCP connection: both directions reassembled, recognised and read.
//!
//! A side is 0 for the initiator and 1 for the responder.

use citronella_wire::{
    mqtt::{self, Session, Stream},
    tls::{self, Hello},
    websocket::{WebSocket, WebSocketState},
};

use super::event::{Application, EventContext, SessionEvent};
use super::recognise::{Kind, is_mqtt_port, recognise};
use crate::flow::reassembly::{Piece, Reassembly, Segment, Stream as Tcp};

/// Unrecognised pieces after which a connection is not read further.
const TRIES: u8 = 4;
/// Bound of a WebSocket handshake, as in `wire`.
const HANDSHAKE_BYTES: usize = 8_192;

/// Both directions of a connection.
pub(super) struct Connection {
    tcp: [Tcp; 2],
    reader: Reader,
}

/// Recognises and reads the stream of both directions.
struct Reader {
    limits: mqtt::Limits,
    /// Seen from its SYN, without a loss since.
    is_complete: bool,
    application: Application,
    protocol: Protocol,
}

enum Protocol {
    Undecided { buffered: [Vec<u8>; 2], tries: u8 },
    Mqtt(Box<Mqtt>),
    WebSocket(Box<[WebSocket; 2]>, Option<Box<Mqtt>>),
    Tls { client: usize, buffered: Vec<u8> },
    Other,
}

struct Mqtt {
    session: Session,
    streams: [Stream; 2],
    /// The client's side.
    client: usize,
}

impl Connection {
    /// A connection, with the sequence numbers of the SYNs that were seen.
    pub(super) fn new(limits: mqtt::Limits, syns: [Option<u32>; 2], shared: &mut Reassembly) -> Connection {
        let mut tcp = [Tcp::new(), Tcp::new()];
        for (stream, seq) in tcp.iter_mut().zip(syns) {
            if let Some(seq) = seq {
                let syn = Segment { seq, syn: true, fin: false, bytes: &[], wire_len: 0 };
                stream.segment(shared, syn, |_| ());
            }
        }
        let is_complete = syns.iter().any(Option::is_some);
        let protocol = Protocol::Undecided { buffered: [Vec::new(), Vec::new()], tries: 0 };
        let application = Application::Unknown;
        Connection { tcp, reader: Reader { limits, is_complete, application, protocol } }
    }

    /// Whether the connection is of another protocol: the rest of it is not read.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.reader.protocol, Protocol::Other)
    }

    /// The application recognised so far.
    pub(super) fn application(&self) -> Application {
        self.reader.application
    }

    /// Buffered bytes, without those that reassembly counts.
    pub(super) fn buffered_bytes(&self) -> usize {
        let mqtt = |mqtt: &Mqtt| mqtt.streams.iter().map(Stream::memory_bytes).sum();
        match &self.reader.protocol {
            Protocol::Undecided { buffered, .. } => buffered.iter().map(Vec::capacity).sum(),
            Protocol::Mqtt(inner) => mqtt(inner),
            Protocol::WebSocket(_, None) => 2 * HANDSHAKE_BYTES,
            Protocol::WebSocket(_, Some(inner)) => mqtt(inner),
            Protocol::Tls { buffered, .. } => buffered.capacity(),
            Protocol::Other => 0,
        }
    }

    /// Takes a segment of a side; `ack` acknowledges the other side's bytes.
    pub(super) fn segment(
        &mut self,
        shared: &mut Reassembly,
        side: usize,
        ack: Option<u32>,
        segment: Segment<'_>,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Connection { tcp, reader } = self;
        if let (Some(ack), Some(other)) = (ack, tcp.get_mut(1 - side)) {
            other.acknowledged(shared, ack, |piece| reader.piece(1 - side, piece, context, emit));
        }
        if let Some(stream) = tcp.get_mut(side) {
            stream.segment(shared, segment, |piece| reader.piece(side, piece, context, emit));
        }
    }

    /// Ends both directions: buffered bytes are read, incomplete messages emitted.
    pub(super) fn finish(
        &mut self,
        shared: &mut Reassembly,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Connection { tcp, reader } = self;
        for (side, stream) in tcp.iter_mut().enumerate() {
            stream.finish(shared, |piece| reader.piece(side, piece, context, emit));
            reader.end(side, context, emit);
        }
    }
}

impl Reader {
    fn piece(
        &mut self,
        side: usize,
        piece: Piece<'_>,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        match piece {
            Piece::Bytes(bytes) => self.bytes(side, bytes, context, emit),
            Piece::Gap(bytes) => self.gap(side, bytes, context, emit),
            Piece::Conflict => emit(SessionEvent::Conflict { context, from_initiator: side == 0 }),
            Piece::End => self.end(side, context, emit),
        }
    }

    fn bytes(
        &mut self,
        side: usize,
        bytes: &[u8],
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        match &mut self.protocol {
            Protocol::Mqtt(mqtt) => mqtt.bytes(side, bytes, context, emit),
            Protocol::Undecided { .. } => self.decide(side, bytes, context, emit),
            Protocol::WebSocket(..) => self.web_socket(side, bytes, context, emit),
            Protocol::Tls { client, buffered } => {
                if *client == side {
                    buffered.extend_from_slice(bytes);
                    self.client_hello(context, emit);
                }
            }
            Protocol::Other => {}
        }
    }

    fn decide(
        &mut self,
        side: usize,
        bytes: &[u8],
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Protocol::Undecided { buffered, tries } = &mut self.protocol else { return };
        let Some(own) = buffered.get_mut(side) else { return };
        let joined;
        let bytes = if own.is_empty() {
            bytes
        } else {
            joined = [own, bytes].concat();
            &joined[..]
        };
        let hint = is_mqtt_port([context.flow.src().1, context.flow.dst().1]);
        let kind = recognise(bytes, hint, self.is_complete);
        match kind {
            Kind::Wait => return *own = bytes.to_vec(),
            Kind::Other => {
                own.clear();
                // On MQTT's port, a mid-stream connection may be within a large message: keep looking for a boundary.
                let is_patient = hint && !self.is_complete;
                *tries = tries.saturating_add(u8::from(!is_patient));
                if *tries >= TRIES || (self.is_complete && hint) {
                    self.protocol = Protocol::Other;
                }
                return;
            }
            Kind::Mqtt | Kind::Tls | Kind::WebSocket => {}
        }
        let earlier = buffered.get_mut(1 - side).map(std::mem::take).unwrap_or_default();
        match kind {
            Kind::Mqtt => {
                let client = self.client(side, bytes, context);
                self.application = Application::Mqtt;
                self.protocol = Protocol::Mqtt(Box::new(Mqtt::new(self.limits, self.is_complete, client)));
            }
            Kind::WebSocket => {
                self.protocol = Protocol::WebSocket(Box::new([WebSocket::new(), WebSocket::new()]), None);
            }
            Kind::Tls => {
                self.application = Application::Tls;
                self.protocol = Protocol::Tls { client: side, buffered: Vec::new() };
            }
            Kind::Wait | Kind::Other => {}
        }
        self.bytes(1 - side, &earlier, context, emit);
        self.bytes(side, bytes, context, emit);
    }

    /// The client's side: the initiator if its SYN was seen, else by the first message's direction, else by the port.
    fn client(&self, side: usize, bytes: &[u8], context: EventContext<'_>) -> usize {
        if self.is_complete {
            return 0;
        }
        let kind = bytes.first().map_or(0, |first| first >> 4);
        match mqtt::Direction::of(kind, mqtt::Version::V311) {
            Some(mqtt::Direction::ToServer) => side,
            Some(mqtt::Direction::ToClient) => 1 - side,
            None => usize::from(is_mqtt_port([context.flow.src().1; 2])),
        }
    }

    fn web_socket(
        &mut self,
        side: usize,
        bytes: &[u8],
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        let Protocol::WebSocket(sockets, inner) = &mut self.protocol else { return };
        let is_named = sockets.iter().any(WebSocket::is_mqtt);
        let (limits, is_complete) = (self.limits, self.is_complete);
        let Some(socket) = sockets.get_mut(side) else { return };
        let application = &mut self.application;
        let mut is_other = false;
        socket.push(bytes, |payload| {
            if inner.is_none() && !is_other {
                is_other = !is_named && !mqtt::looks_like_mqtt(payload, false);
                if !is_other {
                    *application = Application::MqttOverWebSocket;
                    *inner = Some(Box::new(Mqtt::new(limits, is_complete, 0)));
                }
            }
            if let Some(mqtt) = inner {
                mqtt.bytes(side, payload, context, emit);
            }
        });
        if is_other || (inner.is_none() && socket.state() == WebSocketState::Other) {
            self.protocol = Protocol::Other;
        }
    }

    fn client_hello(&mut self, context: EventContext<'_>, emit: &mut impl FnMut(SessionEvent<'_>)) {
        let Protocol::Tls { buffered, .. } = &mut self.protocol else { return };
        match tls::client_hello(buffered) {
            Hello::Incomplete if buffered.len() <= tls::LONGEST_HELLO => return,
            Hello::Done(hello) => emit(SessionEvent::ClientHello { context, hello: &hello }),
            Hello::Incomplete | Hello::Other => {}
        }
        // The rest is encrypted: nothing more is buffered.
        self.protocol = Protocol::Other;
    }

    fn gap(
        &mut self,
        side: usize,
        bytes: u64,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        self.is_complete = false;
        let mqtt = match &mut self.protocol {
            Protocol::Mqtt(mqtt) => mqtt,
            Protocol::WebSocket(sockets, inner) => {
                sockets.iter_mut().skip(side).take(1).for_each(WebSocket::gap);
                let Some(mqtt) = inner else { return };
                mqtt
            }
            Protocol::Undecided { buffered, .. } => return buffered.iter_mut().for_each(Vec::clear),
            Protocol::Tls { .. } => return self.protocol = Protocol::Other,
            Protocol::Other => return,
        };
        emit(SessionEvent::Gap { context, from_initiator: side == 0, bytes });
        mqtt.gap(side, bytes, context, emit);
    }

    fn end(&mut self, side: usize, context: EventContext<'_>, emit: &mut impl FnMut(SessionEvent<'_>)) {
        if let Protocol::Mqtt(mqtt) | Protocol::WebSocket(_, Some(mqtt)) = &mut self.protocol {
            mqtt.end(side, context, emit);
        }
    }
}

impl Mqtt {
    fn new(limits: mqtt::Limits, is_complete: bool, client: usize) -> Mqtt {
        let stream = || if is_complete { Stream::new(limits) } else { Stream::mid_stream(limits) };
        let session = if is_complete { Session::new(limits) } else { Session::mid_stream(limits) };
        Mqtt { session, streams: [stream(), stream()], client }
    }

    /// Feeds one direction's stream and emits each record as a message.
    fn feed(
        &mut self,
        side: usize,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
        by: impl FnOnce(&mut Stream, &mut dyn FnMut(mqtt::Record<'_>)),
    ) {
        let Mqtt { session, streams, client } = self;
        let direction = if side == *client { mqtt::Direction::ToServer } else { mqtt::Direction::ToClient };
        let Some(stream) = streams.get_mut(side) else { return };
        by(stream, &mut |record| {
            let observed = session.observe(direction, &record, context.time_nanos / 1_000);
            emit(SessionEvent::Message { context, direction, observed: &observed });
        });
    }

    fn bytes(
        &mut self,
        side: usize,
        bytes: &[u8],
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        self.feed(side, context, emit, |stream, sink| stream.push(bytes, sink));
    }

    fn gap(
        &mut self,
        side: usize,
        bytes: u64,
        context: EventContext<'_>,
        emit: &mut impl FnMut(SessionEvent<'_>),
    ) {
        self.session.gap();
        self.feed(side, context, emit, |stream, sink| stream.gap(bytes, sink));
    }

    fn end(&mut self, side: usize, context: EventContext<'_>, emit: &mut impl FnMut(SessionEvent<'_>)) {
        self.feed(side, context, emit, |stream, sink| stream.finish(sink));
    }
}

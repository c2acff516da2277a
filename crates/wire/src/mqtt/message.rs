//! A control packet of any type.

use super::body::Body;
use super::{
    Ack, Auth, Connack, Connect, Decoded, Disconnect, FixedHeader, Limits, Publish, Suback, Subscribe,
    Unsuback, Unsubscribe, Version, Violation, kind,
};
use super::{ack, auth, connack, connect, disconnect, publish, suback, subscribe, unsuback, unsubscribe};

/// A control packet, borrowed from the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Type 0, which is forbidden, with its body.
    Reserved(&'a [u8]),
    /// A client requests a connection.
    Connect(Connect<'a>),
    /// The server's response to CONNECT.
    Connack(Connack<'a>),
    /// A message to or from a topic.
    Publish(Publish<'a>),
    /// Response to a PUBLISH of QoS 1.
    Puback(Ack<'a>),
    /// First response to a PUBLISH of QoS 2.
    Pubrec(Ack<'a>),
    /// Response to PUBREC.
    Pubrel(Ack<'a>),
    /// Response to PUBREL.
    Pubcomp(Ack<'a>),
    /// A client subscribes to topics.
    Subscribe(Subscribe<'a>),
    /// Response to SUBSCRIBE.
    Suback(Suback<'a>),
    /// A client unsubscribes from topics.
    Unsubscribe(Unsubscribe<'a>),
    /// Response to UNSUBSCRIBE.
    Unsuback(Unsuback<'a>),
    /// A client's keep-alive request.
    Pingreq,
    /// Response to PINGREQ.
    Pingresp,
    /// Announces the end of the connection.
    Disconnect(Disconnect<'a>),
    /// Enhanced authentication.
    Auth(Auth<'a>),
}

impl Message<'_> {
    /// The packet identifier, if the message has one.
    pub fn packet_id(&self) -> Option<u16> {
        match self {
            Self::Publish(message) => message.packet_id,
            Self::Puback(ack) | Self::Pubrec(ack) | Self::Pubrel(ack) | Self::Pubcomp(ack) => {
                Some(ack.packet_id)
            }
            Self::Subscribe(message) => Some(message.packet_id),
            Self::Suback(message) => Some(message.packet_id),
            Self::Unsubscribe(message) => Some(message.packet_id),
            Self::Unsuback(message) => Some(message.packet_id),
            _ => None,
        }
    }
}

/// Decodes a message's body; the fixed header's violations are included. A CONNECT is decoded by the version that it
/// names.
pub fn decode<'a>(
    header: &FixedHeader,
    bytes: &'a [u8],
    version: Version,
    limits: &Limits,
) -> Decoded<Message<'a>> {
    let mut body = Body::new(bytes, version, limits);
    let at = &mut body;
    let (message, reached) = match header.kind {
        kind::CONNECT => of(Connect::default(), Message::Connect, |into| connect::read(at, into)),
        kind::CONNACK => of(Connack::default(), Message::Connack, |into| connack::read(at, into)),
        kind::PUBLISH => of(Publish::default(), Message::Publish, |into| publish::read(at, header, into)),
        kind::PUBACK => of(Ack::default(), Message::Puback, |into| ack::read(at, header.kind, into)),
        kind::PUBREC => of(Ack::default(), Message::Pubrec, |into| ack::read(at, header.kind, into)),
        kind::PUBREL => of(Ack::default(), Message::Pubrel, |into| ack::read(at, header.kind, into)),
        kind::PUBCOMP => of(Ack::default(), Message::Pubcomp, |into| ack::read(at, header.kind, into)),
        kind::SUBSCRIBE => of(Subscribe::default(), Message::Subscribe, |into| subscribe::read(at, into)),
        kind::SUBACK => of(Suback::default(), Message::Suback, |into| suback::read(at, into)),
        kind::UNSUBSCRIBE => {
            of(Unsubscribe::default(), Message::Unsubscribe, |into| unsubscribe::read(at, into))
        }
        kind::UNSUBACK => of(Unsuback::default(), Message::Unsuback, |into| unsuback::read(at, into)),
        kind::PINGREQ => (Message::Pingreq, Some(())),
        kind::PINGRESP => (Message::Pingresp, Some(())),
        kind::DISCONNECT => of(Disconnect::default(), Message::Disconnect, |into| disconnect::read(at, into)),
        kind::AUTH => {
            at.found.insert_if(version != Version::V5, Violation::UnassignedMsgType);
            of(Auth::default(), Message::Auth, |into| auth::read(at, into))
        }
        _ => (Message::Reserved(bytes), at.cursor.take(bytes.len()).map(|_| ())),
    };
    let version = body.version;
    let mut violations = body.end(reached);
    violations.extend(header.violations(version));
    Decoded { message, violations }
}

/// Fills an empty message by `read`, which returns whether it reached the end, and wraps it.
#[inline]
fn of<'a, T>(
    mut empty: T,
    wrap: impl FnOnce(T) -> Message<'a>,
    read: impl FnOnce(&mut T) -> Option<()>,
) -> (Message<'a>, Option<()>) {
    let reached = read(&mut empty);
    (wrap(empty), reached)
}

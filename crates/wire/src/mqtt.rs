//! MQTT 3.1, 3.1.1 and 5: from the bytes of a connection to messages, sessions and violations.
//!
//! [`Framer`] finds message boundaries and [`Stream`] buffers bodies on top of it; [`decode`] decodes a message, with
//! one file for each type; [`Handshake`] and [`Session`] check the order of messages. Nothing is rejected: a message
//! comes with the fields that could be decoded and its [`Violation`]s, each with a stable id and the clause it
//! breaks. Texts are bytes, because hostile ones need not be UTF-8. Clauses are those of MQTT 3.1.1 and 5.0 (OASIS).

mod ack;
mod auth;
mod body;
mod connack;
mod connect;
mod disconnect;
mod framing;
mod header;
mod limits;
mod message;
mod order;
mod primitive;
mod properties;
mod publish;
mod reason;
mod recognise;
mod session;
mod stream;
mod suback;
mod subscribe;
mod text;
mod unsuback;
mod unsubscribe;
mod version;
mod violation;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::{Connack, connack};
pub use connect::{Connect, ConnectFlags, Password, Will, connect};
pub use disconnect::Disconnect;
pub use framing::{Framer, Part, Resync, SyncState};
pub use header::{FixedHeader, Step, fixed_header};
pub use limits::Limits;
pub use message::{Message, decode};
pub use order::{Direction, Handshake, OrderFault, keep_alive_nanos};
pub use properties::{PROPERTIES, Properties, Property, PropertyRule, Value, ValueKind};
pub use publish::Publish;
pub use reason::reason_name;
pub use recognise::looks_like_mqtt;
pub use session::{Closed, Exchange, Observed, Session, SessionSubscription, SessionWill};
pub use stream::{Record, RecordState, Stream};
pub use suback::Suback;
pub use subscribe::{Subscribe, Subscription, SubscriptionOptions, Subscriptions};
pub use text::filter_matches;
pub use unsuback::Unsuback;
pub use unsubscribe::{Filters, Unsubscribe};
pub use version::Version;
pub use violation::{Rule, Violation, Violations};

/// The control packet types (MQTT 5.0, 2.1.2).
pub mod kind {
    /// Forbidden; reserved.
    pub const RESERVED: u8 = 0;
    /// A client requests a connection.
    pub const CONNECT: u8 = 1;
    /// The server's response to CONNECT.
    pub const CONNACK: u8 = 2;
    /// A message to or from a topic.
    pub const PUBLISH: u8 = 3;
    /// Response to a PUBLISH of QoS 1.
    pub const PUBACK: u8 = 4;
    /// First response to a PUBLISH of QoS 2.
    pub const PUBREC: u8 = 5;
    /// Response to PUBREC.
    pub const PUBREL: u8 = 6;
    /// Response to PUBREL: completes the handshake of QoS 2.
    pub const PUBCOMP: u8 = 7;
    /// A client subscribes to topics.
    pub const SUBSCRIBE: u8 = 8;
    /// Response to SUBSCRIBE.
    pub const SUBACK: u8 = 9;
    /// A client unsubscribes from topics.
    pub const UNSUBSCRIBE: u8 = 10;
    /// Response to UNSUBSCRIBE.
    pub const UNSUBACK: u8 = 11;
    /// A client's keep-alive request.
    pub const PINGREQ: u8 = 12;
    /// Response to PINGREQ.
    pub const PINGRESP: u8 = 13;
    /// Announces the end of the connection.
    pub const DISCONNECT: u8 = 14;
    /// Enhanced authentication (version 5); reserved before.
    pub const AUTH: u8 = 15;

    /// Name of a type in lower case, as in EVE records: `connect`, ...; 0 is `reserved`.
    pub fn name(kind: u8) -> &'static str {
        match kind {
            CONNECT => "connect",
            CONNACK => "connack",
            PUBLISH => "publish",
            PUBACK => "puback",
            PUBREC => "pubrec",
            PUBREL => "pubrel",
            PUBCOMP => "pubcomp",
            SUBSCRIBE => "subscribe",
            SUBACK => "suback",
            UNSUBSCRIBE => "unsubscribe",
            UNSUBACK => "unsuback",
            PINGREQ => "pingreq",
            PINGRESP => "pingresp",
            DISCONNECT => "disconnect",
            AUTH => "auth",
            _ => "reserved",
        }
    }
}

/// A decoded message and its violations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    /// The message; fields that were not reached are empty or zero, with a violation.
    pub message: T,
    /// Its violations.
    pub violations: Violations,
}

//! MQTT 3.1, 3.1.1 and 5: from the bytes of one direction of a connection to messages, with what is wrong with them.
//!
//! [`fixed_header`] finds a message's type and length; one file a message reads its body. Nothing is rejected: a
//! message gives what could be read and a set of [`Violation`]s, each with a stable id and the clause it breaks.
//! Texts stay bytes, for a hostile one need not be UTF-8. Clauses are those of MQTT 3.1.1 and 5.0 (OASIS).

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
pub use session::{Closed, Exchange, KeptSubscription, Observed, Session, SessionWill};
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
    /// A client asks for a connection.
    pub const CONNECT: u8 = 1;
    /// The server's answer to CONNECT.
    pub const CONNACK: u8 = 2;
    /// A message to or from a topic.
    pub const PUBLISH: u8 = 3;
    /// Answer to a PUBLISH of QoS 1.
    pub const PUBACK: u8 = 4;
    /// First answer to a PUBLISH of QoS 2.
    pub const PUBREC: u8 = 5;
    /// Answer to PUBREC.
    pub const PUBREL: u8 = 6;
    /// Answer to PUBREL: the handshake of QoS 2 is complete.
    pub const PUBCOMP: u8 = 7;
    /// A client asks for topics.
    pub const SUBSCRIBE: u8 = 8;
    /// Answer to SUBSCRIBE.
    pub const SUBACK: u8 = 9;
    /// A client gives up topics.
    pub const UNSUBSCRIBE: u8 = 10;
    /// Answer to UNSUBSCRIBE.
    pub const UNSUBACK: u8 = 11;
    /// A client says that it is alive.
    pub const PINGREQ: u8 = 12;
    /// Answer to PINGREQ.
    pub const PINGRESP: u8 = 13;
    /// The end, announced.
    pub const DISCONNECT: u8 = 14;
    /// Enhanced authentication (version 5); reserved before.
    pub const AUTH: u8 = 15;

    /// The type's name in lower case, as EVE records use it: `connect`, ...; 0 is `reserved`.
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

/// What could be read, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    /// The message; fields that were not reached are empty or zero, and then a violation says so.
    pub message: T,
    /// Everything that was found wrong.
    pub violations: Violations,
}

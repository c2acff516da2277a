//! One MQTT connection: a state machine over the records of both directions.
//!
//! In: records in capture order, with packet time in microseconds. Out: for each the message, its violations (also
//! those of order) and its exchange; and the connection's state. Memory is bounded by [`Limits`]; what does not fit
//! is counted. Of a password only the length is stored.

mod exchange;
mod observe;

use std::collections::{BTreeMap, BTreeSet};

use super::order::{Direction, Handshake, keep_alive_nanos};
use super::{FixedHeader, Limits, Message, RecordState, SubscriptionOptions, Version, Violations};
use exchange::Exchanges;

/// The exchange of a message: CONNECT and CONNACK, PUBLISH and its acknowledgments, SUBSCRIBE and SUBACK, UNSUBSCRIBE
/// and UNSUBACK; any other message is an exchange of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Number within the connection, from 1.
    pub number: u64,
    /// This message is its first.
    pub opened: bool,
    /// This message is its last.
    pub closed: bool,
}

/// A record's message in the context of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed<'a> {
    /// Its fixed header.
    pub header: FixedHeader,
    /// The message.
    pub message: Message<'a>,
    /// Whether its body is complete.
    pub state: RecordState,
    /// Its violations, of form and of order.
    pub violations: Violations,
    /// The version it was decoded by.
    pub version: Version,
    /// No CONNECT was seen: the version is a guess.
    pub version_assumed: bool,
    /// The exchange it belongs to.
    pub exchange: Exchange,
    /// The connection was seen from its start, without losses. Otherwise violations of order may come from the capture.
    pub complete_view: bool,
}

/// How the end of the connection was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A DISCONNECT.
    Disconnect {
        /// Its direction.
        direction: Direction,
        /// Version 5's reason code.
        code: Option<u8>,
    },
    /// A CONNACK that refuses, with its code.
    Refused(u8),
}

/// The will of a session, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionWill {
    /// Its topic, cut to [`Limits::text_bytes`].
    pub topic: Box<[u8]>,
    /// Length of its payload in bytes.
    pub payload_bytes: usize,
    /// Its QoS.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
}

/// A subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSubscription {
    /// Topic filter, cut to [`Limits::text_bytes`].
    pub filter: Box<[u8]>,
    /// The requested options.
    pub options: SubscriptionOptions,
    /// SUBACK's code: the granted QoS, or a failure.
    pub granted: Option<u8>,
    exchange: u64,
    position: u32,
}

impl SessionSubscription {
    /// Whether the filter has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.filter.iter().any(|byte| matches!(byte, b'+' | b'#'))
    }
}

/// Topic aliases of one direction.
#[derive(Clone, Debug, Default)]
struct Aliases {
    topics: BTreeMap<u16, Box<[u8]>>,
    /// The receiver's Topic Alias Maximum; `None` while unknown.
    maximum: Option<u16>,
}

/// One MQTT connection.
#[derive(Clone, Debug)]
pub struct Session {
    limits: Limits,
    complete_view: bool,
    version: Option<Version>,
    guess: Version,
    counts: [[u32; 16]; 2],
    /// The CONNECT's exchange, until its CONNACK.
    connecting: Option<Exchange>,
    handshake: Handshake,
    session_present: bool,
    client_id: Box<[u8]>,
    username: Option<Box<[u8]>>,
    password_bytes: Option<usize>,
    will: Option<SessionWill>,
    clean_start: bool,
    is_bridge: bool,
    keep_alive_secs: u16,
    client_seen_micros: Option<i64>,
    disconnected: [bool; 2],
    closed: Option<Closed>,
    exchanges: Exchanges,
    subscriptions: Vec<SessionSubscription>,
    topics: BTreeSet<Box<[u8]>>,
    aliases: [Aliases; 2],
    dropped: u64,
}

impl Session {
    /// A connection seen from its start.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            complete_view: true,
            version: None,
            guess: Version::default(),
            counts: [[0; 16]; 2],
            connecting: None,
            handshake: Handshake::default(),
            session_present: false,
            client_id: Box::default(),
            username: None,
            password_bytes: None,
            will: None,
            clean_start: false,
            is_bridge: false,
            keep_alive_secs: 0,
            client_seen_micros: None,
            disconnected: [false; 2],
            closed: None,
            exchanges: Exchanges::default(),
            subscriptions: Vec::new(),
            topics: BTreeSet::new(),
            aliases: [Aliases::default(), Aliases::default()],
            dropped: 0,
        }
    }

    /// A connection picked up in mid-stream.
    pub fn mid_stream(limits: Limits) -> Self {
        Self { complete_view: false, ..Self::new(limits) }
    }

    /// Takes a loss of bytes in either direction: the view is no longer complete.
    pub fn gap(&mut self) {
        self.complete_view = false;
    }

    /// The version, and whether it is a guess because no CONNECT was seen.
    pub fn version(&self) -> (Version, bool) {
        (self.version.unwrap_or(self.guess), self.version.is_none())
    }

    /// Number of messages of a control packet type in a direction.
    pub fn count(&self, direction: Direction, kind: u8) -> u32 {
        self.counts.get(direction as usize).and_then(|row| row.get(usize::from(kind))).copied().unwrap_or(0)
    }

    /// Number of messages in a direction.
    pub fn messages(&self, direction: Direction) -> u64 {
        self.counts.get(direction as usize).map_or(0, |row| row.iter().map(|count| u64::from(*count)).sum())
    }

    /// Whether a CONNECT was seen.
    pub fn has_connect(&self) -> bool {
        self.handshake.has_connect()
    }

    /// Client identifier, cut to [`Limits::text_bytes`]; the server-assigned one, if any.
    pub fn client_id(&self) -> &[u8] {
        &self.client_id
    }

    /// User name, cut to [`Limits::text_bytes`].
    pub fn username(&self) -> Option<&[u8]> {
        self.username.as_deref()
    }

    /// Length of the password in bytes.
    pub fn password_bytes(&self) -> Option<usize> {
        self.password_bytes
    }

    /// The will.
    pub fn will(&self) -> Option<&SessionWill> {
        self.will.as_ref()
    }

    /// Clean Start (version 5) or Clean Session (before).
    pub fn clean_start(&self) -> bool {
        self.clean_start
    }

    /// Whether the client is a Mosquitto bridge.
    pub fn is_bridge(&self) -> bool {
        self.is_bridge
    }

    /// Keep-alive in seconds, 0 if off; the server's, if it set one (MQTT 5.0, 3.2.2.3.14).
    pub fn keep_alive_secs(&self) -> u16 {
        self.keep_alive_secs
    }

    /// CONNACK's code.
    pub fn connack_code(&self) -> Option<u8> {
        self.handshake.connack_code()
    }

    /// CONNACK's Session Present.
    pub fn session_present(&self) -> bool {
        self.session_present
    }

    /// How the end of the connection was announced, if it was.
    pub fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// Current subscriptions, at most [`Limits::subscriptions`].
    pub fn subscriptions(&self) -> &[SessionSubscription] {
        &self.subscriptions
    }

    /// Distinct publish topics, at most [`Limits::topics`].
    pub fn topics(&self) -> impl Iterator<Item = &[u8]> {
        self.topics.iter().map(AsRef::as_ref)
    }

    /// The topic of an alias in a direction (version 5).
    pub fn aliased_topic(&self, direction: Direction, alias: u16) -> Option<&[u8]> {
        self.aliases.get(direction as usize)?.topics.get(&alias).map(AsRef::as_ref)
    }

    /// Number of open exchanges.
    pub fn open_exchanges(&self) -> usize {
        self.exchanges.open_count()
    }

    /// Number of exchanges, subscriptions, topics and aliases beyond the limits.
    pub fn dropped(&self) -> u64 {
        self.dropped + self.exchanges.evicted()
    }

    /// Whether the client has been silent for longer than its keep-alive allows, at a packet time in microseconds; see
    /// [`keep_alive_nanos`].
    pub fn keep_alive_exceeded(&self, now_micros: i64) -> bool {
        let Some((last, allowed)) = self.client_seen_micros.zip(keep_alive_nanos(self.keep_alive_secs))
        else {
            return false;
        };
        now_micros.saturating_sub(last) > allowed / 1_000
    }
}

/// Identifier of the property Topic Alias Maximum.
const TOPIC_ALIAS_MAXIMUM: u8 = 34;

/// Topic Alias Maximum; 0 if omitted (MQTT 5.0, 3.1.2.11.5 and 3.2.2.3.8).
fn alias_maximum(properties: &super::Properties<'_>) -> u16 {
    properties.number(TOPIC_ALIAS_MAXIMUM).unwrap_or(0) as u16
}

//! One MQTT connection: a state machine that is fed both directions' records and says what their order breaks.
//!
//! In: records in the order seen, with packet time in microseconds. Out: for each the message, its violations and
//! the exchange it belongs to; and at any time what is known of the connection. Memory is bounded by [`Limits`]: what
//! does not fit is counted. A password is never kept: only its length.

mod exchange;
mod observe;

use std::collections::{BTreeMap, BTreeSet};

use super::order::{Direction, Handshake, keep_alive_nanos};
use super::{FixedHeader, Limits, Message, RecordState, SubscriptionOptions, Version, Violations};
use exchange::Exchanges;

/// The exchange of messages that a message belongs to: CONNECT and CONNACK, PUBLISH and its answers, SUBSCRIBE and
/// SUBACK, UNSUBSCRIBE and UNSUBACK; any other message is an exchange by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its number within the connection, from 1.
    pub number: u64,
    /// This message is its first.
    pub opened: bool,
    /// This message is its last.
    pub closed: bool,
}

/// What is said of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed<'a> {
    /// Its fixed header.
    pub header: FixedHeader,
    /// The message.
    pub message: Message<'a>,
    /// Whether its body is whole.
    pub state: RecordState,
    /// Everything wrong with it, by itself and in its place.
    pub violations: Violations,
    /// The version it was read by.
    pub version: Version,
    /// No CONNECT said so: the version is a guess.
    pub version_assumed: bool,
    /// The exchange it belongs to.
    pub exchange: Exchange,
    /// The connection was seen from its begin without losses. Otherwise violations of order may be the recording's.
    pub complete_view: bool,
}

/// How the connection's end was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A DISCONNECT.
    Disconnect {
        /// Where it went.
        direction: Direction,
        /// Version 5's reason code.
        code: Option<u8>,
    },
    /// A CONNACK that refuses, with its code.
    Refused(u8),
}

/// The will of a session; its payload's length only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionWill {
    /// Its topic, cut to [`Limits::text_bytes`].
    pub topic: Box<[u8]>,
    /// Bytes of its payload.
    pub payload_bytes: usize,
    /// Its QoS.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
}

/// A subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSubscription {
    /// Topic filter, cut to [`Limits::text_bytes`].
    pub filter: Box<[u8]>,
    /// What was asked for.
    pub options: SubscriptionOptions,
    /// SUBACK's code: the QoS granted, or a failure.
    pub granted: Option<u8>,
    exchange: u64,
    position: u32,
}

impl KeptSubscription {
    /// Whether the filter has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.filter.iter().any(|byte| matches!(byte, b'+' | b'#'))
    }
}

/// What is kept of the topics that one side publishes to by alias.
#[derive(Clone, Debug, Default)]
struct Aliases {
    topics: BTreeMap<u16, Box<[u8]>>,
    /// What the receiver announced; `None` while not known.
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
    /// The CONNECT's exchange, while its CONNACK is awaited.
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
    subscriptions: Vec<KeptSubscription>,
    topics: BTreeSet<Box<[u8]>>,
    aliases: [Aliases; 2],
    dropped: u64,
}

impl Session {
    /// A connection that is seen from its begin.
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

    /// A connection that was picked up in its midst.
    pub fn mid_stream(limits: Limits) -> Self {
        Self { complete_view: false, ..Self::new(limits) }
    }

    /// Bytes of either direction were lost: from now on what is missing may be the recording's.
    pub fn gap(&mut self) {
        self.complete_view = false;
    }

    /// The version, and whether it is a guess because no CONNECT told it.
    pub fn version(&self) -> (Version, bool) {
        (self.version.unwrap_or(self.guess), self.version.is_none())
    }

    /// Messages of a control packet type in a direction.
    pub fn count(&self, direction: Direction, kind: u8) -> u32 {
        self.counts.get(direction as usize).and_then(|row| row.get(usize::from(kind))).copied().unwrap_or(0)
    }

    /// Messages in a direction.
    pub fn messages(&self, direction: Direction) -> u64 {
        self.counts.get(direction as usize).map_or(0, |row| row.iter().map(|count| u64::from(*count)).sum())
    }

    /// Whether a CONNECT was seen.
    pub fn is_introduced(&self) -> bool {
        self.handshake.has_connect()
    }

    /// Client identifier, cut to [`Limits::text_bytes`]; the one that the server assigned, if it did.
    pub fn client_id(&self) -> &[u8] {
        &self.client_id
    }

    /// User name, cut to [`Limits::text_bytes`].
    pub fn username(&self) -> Option<&[u8]> {
        self.username.as_deref()
    }

    /// Bytes of the password.
    pub fn password_bytes(&self) -> Option<usize> {
        self.password_bytes
    }

    /// The will.
    pub fn will(&self) -> Option<&SessionWill> {
        self.will.as_ref()
    }

    /// Clean Start, before version 5 Clean Session.
    pub fn clean_start(&self) -> bool {
        self.clean_start
    }

    /// Whether the client marked itself as a Mosquitto bridge.
    pub fn is_bridge(&self) -> bool {
        self.is_bridge
    }

    /// Keep-alive in seconds, 0 is off; the one that the server set, if it did (MQTT 5.0, 3.2.2.3.14).
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

    /// How the end was announced, if it was.
    pub fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// Subscriptions asked for and not given up, at most [`Limits::subscriptions`].
    pub fn subscriptions(&self) -> &[KeptSubscription] {
        &self.subscriptions
    }

    /// Different topics published to, at most [`Limits::topics`].
    pub fn topics(&self) -> impl Iterator<Item = &[u8]> {
        self.topics.iter().map(AsRef::as_ref)
    }

    /// The topic that an alias stands for in a direction (version 5).
    pub fn aliased_topic(&self, direction: Direction, alias: u16) -> Option<&[u8]> {
        self.aliases.get(direction as usize)?.topics.get(&alias).map(AsRef::as_ref)
    }

    /// Exchanges that await an answer.
    pub fn open_exchanges(&self) -> usize {
        self.exchanges.open_count()
    }

    /// What did not fit the limits: exchanges, subscriptions, topics and aliases.
    pub fn dropped(&self) -> u64 {
        self.dropped + self.exchanges.evicted()
    }

    /// Whether at this packet time, in microseconds, the client has been silent for more than one and a half times
    /// its keep-alive (MQTT 3.1.1, 3.1.2.10).
    pub fn keep_alive_exceeded(&self, now_micros: i64) -> bool {
        let Some((last, allowed)) = self.client_seen_micros.zip(keep_alive_nanos(self.keep_alive_secs))
        else {
            return false;
        };
        now_micros.saturating_sub(last) > allowed / 1_000
    }
}

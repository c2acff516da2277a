//! CONNECT (MQTT 3.1.1, 3.1; MQTT 5.0, 3.1).

use std::fmt;

use super::body::Body;
use super::properties::WILL;
use super::version::BRIDGE;
use super::{Decoded, Limits, Properties, Version, Violation, kind};

/// A client's request to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connect<'a> {
    /// `MQTT`, or `MQIsdp` for version 3.1.
    pub protocol_name: &'a [u8],
    /// Protocol level: 3, 4 or 5; with 0x80 added by a Mosquitto bridge.
    pub level: u8,
    /// The connect flags.
    pub flags: ConnectFlags,
    /// Keep-alive in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// Whether protocol name, level, flags and keep-alive were decoded.
    pub header_read: bool,
    /// Version 5's properties.
    pub properties: Properties<'a>,
    /// Client identifier.
    pub client_id: &'a [u8],
    /// The will, if the flags announce one.
    pub will: Option<Will<'a>>,
    /// User name, if the flags announce one.
    pub username: Option<&'a [u8]>,
    /// Password, if the flags announce one.
    pub password: Option<Password<'a>>,
}

/// The message that the server publishes when the client disconnects abnormally. Its QoS and RETAIN are in the flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Will<'a> {
    /// Version 5's properties of the will.
    pub properties: Properties<'a>,
    /// Its topic.
    pub topic: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

/// A password; its `Debug` output is its length. [`Password::reveal`] returns it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a>(&'a [u8]);

impl<'a> Password<'a> {
    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// The password: only for hashing, or for logs that the user enabled (`--log-passwords`).
    pub fn reveal(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Password<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Password({} bytes)", self.0.len())
    }
}

/// CONNECT's flags (MQTT 3.1.1, 3.1.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectFlags(pub u8);

impl ConnectFlags {
    /// A user name follows.
    #[inline]
    pub fn username(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// A password follows.
    #[inline]
    pub fn password(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// The will is to be retained.
    #[inline]
    pub fn will_retain(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// QoS of the will: 0 to 2, or 3, which is invalid.
    #[inline]
    pub fn will_qos(self) -> u8 {
        (self.0 >> 3) & 3
    }

    /// A will follows.
    #[inline]
    pub fn will(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// Clean Start (version 5) or Clean Session (before).
    #[inline]
    pub fn clean_start(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// The reserved bit, which must be 0.
    #[inline]
    pub fn reserved(self) -> bool {
        self.0 & 0x01 != 0
    }
}

impl Connect<'_> {
    /// The requested version; `None` if protocol name and level are not a known pair.
    pub fn version(&self) -> Option<Version> {
        match (self.protocol_name, Version::from_level(self.level)?) {
            (b"MQIsdp", Version::V31) => Some(Version::V31),
            (b"MQTT", version @ (Version::V311 | Version::V5)) => Some(version),
            _ => None,
        }
    }

    /// Whether the level has the bit of Mosquitto's bridges.
    pub fn is_bridge(&self) -> bool {
        self.level & BRIDGE != 0 && self.version().is_some()
    }
}

/// Decodes the body of a CONNECT by the version that it names, or by 3.1.1 if it names none.
pub fn connect(body: &[u8]) -> Decoded<Connect<'_>> {
    let mut body = Body::new(body, Version::V311, &Limits::default());
    let mut message = Connect::default();
    let reached = read(&mut body, &mut message);
    Decoded { message, violations: body.end(reached) }
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Connect<'a>) -> Option<()> {
    message.protocol_name = body.binary()?;
    let is_known_name = matches!(message.protocol_name, b"MQTT" | b"MQIsdp");
    body.found.insert_if(!is_known_name, Violation::UnknownProtocolName);
    message.level = body.cursor.u8()?;
    body.version = Version::from_level(message.level).unwrap_or_default();
    body.found.insert_if(is_known_name && message.version().is_none(), Violation::UnknownProtocolLevel);
    message.flags = ConnectFlags(body.cursor.u8()?);
    check_flags(body, message.flags);
    message.keep_alive = body.cursor.u16()?;
    message.header_read = true;
    body.properties(kind::CONNECT, &mut message.properties)?;
    message.client_id = body.text()?;
    check_client_id(body, message);
    if message.flags.will() {
        let will = message.will.insert(Will::default());
        body.properties(WILL, &mut will.properties)?;
        will.topic = body.topic()?;
        body.found.insert_if(will.topic.is_empty(), Violation::EmptyTopic);
        will.payload = body.binary()?;
    }
    if message.flags.username() {
        message.username = Some(body.text()?);
    }
    if message.flags.password() {
        message.password = Some(Password(body.binary()?));
    }
    Some(())
}

fn check_flags(body: &mut Body<'_>, flags: ConnectFlags) {
    body.found.insert_if(flags.reserved(), Violation::ReservedConnectFlag);
    body.found.insert_if(flags.will_qos() == 3, Violation::InvalidQosLevel);
    let lone = !flags.will() && (flags.will_qos() != 0 || flags.will_retain());
    body.found.insert_if(lone, Violation::WillFlagsInconsistent);
    let nameless = flags.password() && !flags.username() && body.version != Version::V5;
    body.found.insert_if(nameless, Violation::PasswordWithoutUsername);
}

fn check_client_id(body: &mut Body<'_>, message: &Connect<'_>) {
    let (empty, clean) = (message.client_id.is_empty(), message.flags.clean_start());
    let bad = match body.version {
        Version::V31 => empty,
        Version::V311 => empty && !clean,
        Version::V5 => false,
    };
    body.found.insert_if(bad, Violation::EmptyClientId);
    let long = body.version == Version::V31 && message.client_id.len() > 23;
    body.found.insert_if(long, Violation::ClientIdTooLong);
}

//! CONNECT (MQTT 3.1.1, 3.1; MQTT 5.0, 3.1).

use super::{Decoded, Violation, Violations};
use crate::cursor::Cursor;

/// A client's wish to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connect<'a> {
    /// `MQTT`, or `MQIsdp` for version 3.1.
    pub protocol_name: &'a [u8],
    /// Protocol level: 3, 4 or 5.
    pub level: u8,
    /// The connect flags.
    pub flags: ConnectFlags,
    /// Seconds; 0 turns it off.
    pub keep_alive: u16,
    /// Client identifier.
    pub client_id: &'a [u8],
    /// The will, where the flags announce one.
    pub will: Option<Will<'a>>,
    /// User name, where the flags announce one.
    pub username: Option<&'a [u8]>,
    /// Password, where the flags announce one. Never to be shown unless asked for.
    pub password: Option<&'a [u8]>,
}

/// The message that the server publishes when the client is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Will<'a> {
    /// Its topic.
    pub topic: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
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

    /// QoS of the will: 0 to 2, or 3, which cannot be.
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

/// Reads the body of a CONNECT.
pub fn connect(body: &[u8]) -> Decoded<Connect<'_>> {
    let mut violations = Violations::NONE;
    let mut message = Connect::default();
    if fields(&mut Cursor::new(body), &mut message).is_none() {
        violations.insert(Violation::Truncated);
    }
    Decoded { message, violations }
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let len = cursor.u16()?;
    cursor.take(usize::from(len))
}

fn fields<'a>(cursor: &mut Cursor<'a>, message: &mut Connect<'a>) -> Option<()> {
    message.protocol_name = text(cursor)?;
    message.level = cursor.u8()?;
    message.flags = ConnectFlags(cursor.u8()?);
    message.keep_alive = cursor.u16()?;
    if message.level == 5 {
        let len = super::header::variable(cursor)?;
        cursor.take(len)?;
    }
    message.client_id = text(cursor)?;
    if message.flags.will() {
        if message.level == 5 {
            let len = super::header::variable(cursor)?;
            cursor.take(len)?;
        }
        let topic = text(cursor)?;
        message.will = Some(Will { topic, payload: text(cursor)? });
    }
    if message.flags.username() {
        message.username = Some(text(cursor)?);
    }
    if message.flags.password() {
        message.password = Some(text(cursor)?);
    }
    Some(())
}

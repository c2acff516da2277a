//! CONNACK (MQTT 3.1.1, 3.2; MQTT 5.0, 3.2).

use super::{Decoded, Violation, Violations};
use crate::cursor::Cursor;

/// A server's answer to CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connack {
    /// The server has a session of this client.
    pub session_present: bool,
    /// Return code (before version 5) or reason code: 0 accepts.
    pub code: u8,
}

/// Reads the body of a CONNACK.
pub fn connack(body: &[u8]) -> Decoded<Connack> {
    let mut violations = Violations::NONE;
    let mut cursor = Cursor::new(body);
    let mut message = Connack::default();
    match (cursor.u8(), cursor.u8()) {
        (Some(flags), Some(code)) => {
            message = Connack { session_present: flags & 1 != 0, code };
            violations.insert_if(flags & 0xfe != 0, Violation::ReservedConnackFlag);
            violations.insert_if(flags & 1 != 0 && code != 0, Violation::SessionPresentOnError);
        }
        _ => violations.insert(Violation::Truncated),
    }
    Decoded { message, violations }
}

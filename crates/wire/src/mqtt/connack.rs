//! CONNACK (MQTT 3.1.1, 3.2; MQTT 5.0, 3.2).

use super::body::Body;
use super::{Decoded, Limits, Properties, Version, Violation, kind};

/// A server's response to CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connack<'a> {
    /// The server resumes a session of this client.
    pub session_present: bool,
    /// Return code (before version 5) or reason code: 0 accepts.
    pub code: u8,
    /// Version 5's properties.
    pub properties: Properties<'a>,
}

/// Decodes the body of a CONNACK of unknown version: two bytes mean a version before 5.
pub fn connack(body: &[u8]) -> Decoded<Connack<'_>> {
    let version = if body.len() > 2 { Version::V5 } else { Version::V311 };
    let mut body = Body::new(body, version, &Limits::default());
    let mut message = Connack::default();
    let reached = read(&mut body, &mut message);
    Decoded { message, violations: body.end(reached) }
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Connack<'a>) -> Option<()> {
    let flags = body.cursor.u8()?;
    message.session_present = flags & 1 != 0;
    body.found.insert_if(flags & 0xfe != 0, Violation::ReservedConnackFlag);
    message.code = body.cursor.u8()?;
    body.check_code(kind::CONNACK, message.code);
    body.found.insert_if(message.session_present && message.code != 0, Violation::SessionPresentOnError);
    // A server without version 5 refuses with an older CONNACK (MQTT 5.0, 3.1.2.2).
    if body.cursor.is_empty() && matches!(message.code, 1..0x80) {
        return Some(());
    }
    body.properties(kind::CONNACK, &mut message.properties)
}

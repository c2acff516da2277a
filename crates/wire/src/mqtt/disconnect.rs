//! DISCONNECT (MQTT 3.1.1, 3.14; MQTT 5.0, 3.14).

use super::body::Body;
use super::{Properties, kind};

/// Announces the end of a connection; sent by the client, from version 5 on also by the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Version 5's reason code, 0 if omitted. `None` before version 5.
    pub reason_code: Option<u8>,
    /// Version 5's properties.
    pub properties: Properties<'a>,
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Disconnect<'a>) -> Option<()> {
    body.reason(kind::DISCONNECT, &mut message.reason_code, &mut message.properties)
}

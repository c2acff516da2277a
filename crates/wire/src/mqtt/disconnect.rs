//! DISCONNECT (MQTT 3.1.1, 3.14; MQTT 5.0, 3.14).

use super::body::Body;
use super::{Properties, kind};

/// The end of a connection, announced: by the client, and from version 5 on by the server, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Version 5's reason code; one left out is 0. `None` before version 5.
    pub reason_code: Option<u8>,
    /// Version 5's properties.
    pub properties: Properties<'a>,
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Disconnect<'a>) -> Option<()> {
    body.reason(kind::DISCONNECT, &mut message.reason_code, &mut message.properties)
}

//! AUTH (MQTT 5.0, 3.15).

use super::body::Body;
use super::{Properties, kind};

/// A step of enhanced authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Reason code, 0 if omitted. `None` before version 5, where the type does not exist.
    pub reason_code: Option<u8>,
    /// Properties.
    pub properties: Properties<'a>,
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Auth<'a>) -> Option<()> {
    body.reason(kind::AUTH, &mut message.reason_code, &mut message.properties)
}

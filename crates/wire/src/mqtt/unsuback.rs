//! UNSUBACK (MQTT 3.1.1, 3.11; MQTT 5.0, 3.11).

use super::body::Body;
use super::{Properties, Version, Violation, kind};

/// A server's response to UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// Packet identifier of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// Version 5's properties.
    pub properties: Properties<'a>,
    /// Version 5: a reason code for each topic filter, in order.
    pub codes: &'a [u8],
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Unsuback<'a>) -> Option<()> {
    message.packet_id = body.packet_id()?;
    if body.version != Version::V5 {
        return Some(());
    }
    body.properties(kind::UNSUBACK, &mut message.properties)?;
    message.codes = body.cursor.take(body.cursor.len())?;
    body.found.insert_if(message.codes.is_empty(), Violation::NoTopics);
    message.codes.iter().for_each(|code| body.check_code(kind::UNSUBACK, *code));
    Some(())
}

//! SUBACK (MQTT 3.1.1, 3.9; MQTT 5.0, 3.9).

use super::body::Body;
use super::{Properties, Violation, kind};

/// A server's response to SUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suback<'a> {
    /// Packet identifier of the SUBSCRIBE.
    pub packet_id: u16,
    /// Version 5's properties.
    pub properties: Properties<'a>,
    /// A code for each topic filter, in order: the granted QoS, or 0x80 and above for a failure.
    pub codes: &'a [u8],
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Suback<'a>) -> Option<()> {
    message.packet_id = body.packet_id()?;
    body.properties(kind::SUBACK, &mut message.properties)?;
    message.codes = body.cursor.take(body.cursor.len())?;
    body.found.insert_if(message.codes.is_empty(), Violation::NoTopics);
    message.codes.iter().for_each(|code| body.check_code(kind::SUBACK, *code));
    Some(())
}

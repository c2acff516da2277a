//! PUBACK, PUBREC, PUBREL and PUBCOMP, which share one form (MQTT 3.1.1, 3.4 to 3.7; MQTT 5.0, 3.4 to 3.7).

use super::Properties;
use super::body::Body;

/// A response within the handshakes of QoS 1 and 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Packet identifier of the PUBLISH.
    pub packet_id: u16,
    /// Version 5's reason code, 0 if omitted. `None` before version 5.
    pub reason_code: Option<u8>,
    /// Version 5's properties.
    pub properties: Properties<'a>,
}

pub(super) fn read<'a>(body: &mut Body<'a>, kind: u8, message: &mut Ack<'a>) -> Option<()> {
    message.packet_id = body.packet_id()?;
    body.reason(kind, &mut message.reason_code, &mut message.properties)
}

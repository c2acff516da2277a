//! PUBLISH (MQTT 3.1.1, 3.3; MQTT 5.0, 3.3).

use super::body::Body;
use super::{FixedHeader, Properties, Version, Violation, kind};

/// A message to a topic. DUP, QoS and RETAIN are in the fixed header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Topic name; may be empty in version 5, with a topic alias.
    pub topic: &'a [u8],
    /// Packet identifier; with QoS 1 and 2 (and with the invalid 3).
    pub packet_id: Option<u16>,
    /// Version 5's properties.
    pub properties: Properties<'a>,
    /// The application message.
    pub payload: &'a [u8],
}

impl Publish<'_> {
    /// Version 5's topic alias (MQTT 5.0, 3.3.2.3.4).
    pub fn topic_alias(&self) -> Option<u16> {
        self.properties.number(35).and_then(|alias| u16::try_from(alias).ok())
    }
}

pub(super) fn read<'a>(body: &mut Body<'a>, header: &FixedHeader, message: &mut Publish<'a>) -> Option<()> {
    message.topic = body.topic()?;
    if header.qos() > 0 {
        message.packet_id = Some(body.packet_id()?);
    }
    body.properties(kind::PUBLISH, &mut message.properties)?;
    let aliased = body.version == Version::V5 && message.topic_alias().is_some();
    body.found.insert_if(message.topic.is_empty() && !aliased, Violation::EmptyTopic);
    message.payload = body.cursor.take(body.cursor.len())?;
    Some(())
}

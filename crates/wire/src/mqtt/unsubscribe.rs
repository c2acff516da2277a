//! UNSUBSCRIBE (MQTT 3.1.1, 3.10; MQTT 5.0, 3.10).

use super::body::Body;
use super::primitive::prefixed;
use super::{Properties, Version, Violation, kind, text};
use crate::cursor::Cursor;

/// A client's request to unsubscribe from topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet identifier.
    pub packet_id: u16,
    /// Version 5's properties.
    pub properties: Properties<'a>,
    /// Topic filters.
    pub filters: Filters<'a>,
}

/// A list of topic filters, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filters<'a> {
    bytes: &'a [u8],
}

impl<'a> Filters<'a> {
    /// The filters up to the first malformed one, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || prefixed(&mut cursor))
    }
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Unsubscribe<'a>) -> Option<()> {
    message.packet_id = body.packet_id()?;
    body.properties(kind::UNSUBSCRIBE, &mut message.properties)?;
    message.filters = Filters { bytes: body.cursor.rest() };
    body.found.insert_if(body.cursor.is_empty(), Violation::NoTopics);
    let shared = body.version == Version::V5;
    while !body.cursor.is_empty() {
        let filter = prefixed(&mut body.cursor)?;
        body.found.extend(text::check_filter(filter, body.topic_bytes, shared));
    }
    Some(())
}

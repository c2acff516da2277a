//! SUBSCRIBE (MQTT 3.1.1, 3.8; MQTT 5.0, 3.8).

use super::body::Body;
use super::primitive::prefixed;
use super::{Properties, Version, Violation, kind, text};
use crate::cursor::Cursor;

/// A client's request to subscribe to topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet identifier.
    pub packet_id: u16,
    /// Version 5's properties.
    pub properties: Properties<'a>,
    /// Topic filters with their options.
    pub subscriptions: Subscriptions<'a>,
}

/// A list of subscriptions, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions<'a> {
    bytes: &'a [u8],
}

/// A topic filter with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Topic filter.
    pub filter: &'a [u8],
    /// Its options.
    pub options: SubscriptionOptions,
}

/// Subscription options: before version 5, the QoS alone (MQTT 5.0, 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions(pub u8);

impl SubscriptionOptions {
    /// Maximum QoS: 0 to 2, or 3, which is invalid.
    pub fn qos(self) -> u8 {
        self.0 & 3
    }

    /// Do not forward the client's own messages to it.
    pub fn no_local(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// Forward RETAIN as published.
    pub fn retain_as_published(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// Send retained messages: 0 always, 1 for a new subscription, 2 never; 3 is invalid.
    pub fn retain_handling(self) -> u8 {
        (self.0 >> 4) & 3
    }
}

impl<'a> Subscriptions<'a> {
    /// The subscriptions up to the first malformed one, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || next(&mut cursor))
    }
}

fn next<'a>(cursor: &mut Cursor<'a>) -> Option<Subscription<'a>> {
    let filter = prefixed(cursor)?;
    Some(Subscription { filter, options: SubscriptionOptions(cursor.u8()?) })
}

pub(super) fn read<'a>(body: &mut Body<'a>, message: &mut Subscribe<'a>) -> Option<()> {
    message.packet_id = body.packet_id()?;
    body.properties(kind::SUBSCRIBE, &mut message.properties)?;
    message.subscriptions = Subscriptions { bytes: body.cursor.rest() };
    body.found.insert_if(body.cursor.is_empty(), Violation::NoTopics);
    let v5 = body.version == Version::V5;
    while !body.cursor.is_empty() {
        let Subscription { filter, options } = next(&mut body.cursor)?;
        body.found.extend(text::check_filter(filter, body.topic_bytes, v5));
        body.found.insert_if(options.qos() == 3, Violation::InvalidQosLevel);
        let reserved = if v5 { options.0 & 0xc0 } else { options.0 & 0xfc };
        // MQTT-3.8.3-4 (version 5): a shared subscription must not have No Local.
        let local_share = v5 && options.no_local() && filter.starts_with(b"$share/");
        let bad = reserved != 0 || (v5 && options.retain_handling() == 3) || local_share;
        body.found.insert_if(bad, Violation::BadSubscriptionOptions);
    }
    Some(())
}

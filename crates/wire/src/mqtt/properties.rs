//! Version 5's properties: their table, a borrowed list of them, and its violations (MQTT 5.0, 2.2.2).

use super::kind::{
    AUTH, CONNACK, CONNECT, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE,
    UNSUBACK, UNSUBSCRIBE,
};
use super::primitive::{prefixed, variable};
use super::{Violation, Violations, text};
use crate::cursor::Cursor;

/// Encoding of a property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// One byte.
    Byte,
    /// Two bytes.
    TwoByte,
    /// Four bytes.
    FourByte,
    /// Variable byte integer.
    Variable,
    /// Binary data with its length.
    Binary,
    /// A text with its length.
    Text,
    /// Two texts: a name and a value.
    Pair,
}

/// A property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer of one, two or four bytes, or a variable one.
    Number(u32),
    /// Binary data.
    Binary(&'a [u8]),
    /// A text; need not be UTF-8.
    Text(&'a [u8]),
    /// A user property: name and value.
    Pair(&'a [u8], &'a [u8]),
}

/// A row of the property table.
#[derive(Clone, Copy, Debug)]
pub struct PropertyRule {
    /// Its identifier.
    pub id: u8,
    /// Its name in snake case, as in EVE records.
    pub name: &'static str,
    /// Encoding of its value.
    pub kind: ValueKind,
    /// Bit per control packet type that may have it; bit 0 is the will.
    owners: u16,
    /// Bit per control packet type that may have it more than once.
    repeats: u16,
    smallest: u32,
    largest: u32,
}

/// Owner of a will's properties, which are part of a CONNECT.
pub(super) const WILL: u8 = 0;

const fn owners(kinds: &[u8]) -> u16 {
    let mut mask = 0;
    let mut rest = kinds;
    while let [kind, tail @ ..] = rest {
        mask |= 1 << *kind;
        rest = tail;
    }
    mask
}

const fn rule(id: u8, name: &'static str, kind: ValueKind, owner: &[u8]) -> PropertyRule {
    PropertyRule { id, name, kind, owners: owners(owner), repeats: 0, smallest: 0, largest: u32::MAX }
}

const fn flag(id: u8, name: &'static str, owner: &[u8]) -> PropertyRule {
    PropertyRule { largest: 1, ..rule(id, name, ValueKind::Byte, owner) }
}

const fn positive(id: u8, name: &'static str, kind: ValueKind, owner: &[u8]) -> PropertyRule {
    PropertyRule { smallest: 1, ..rule(id, name, kind, owner) }
}

const EVERYWHERE: &[u8] = &[
    WILL,
    CONNECT,
    CONNACK,
    PUBLISH,
    PUBACK,
    PUBREC,
    PUBREL,
    PUBCOMP,
    SUBSCRIBE,
    SUBACK,
    UNSUBSCRIBE,
    UNSUBACK,
    DISCONNECT,
    AUTH,
];
const ANSWERS: &[u8] = &[CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH];

/// All properties (MQTT 5.0, table 2-4), by identifier.
pub const PROPERTIES: &[PropertyRule] = {
    use ValueKind::{Binary, FourByte, Pair, Text, TwoByte, Variable};
    &[
        flag(1, "payload_format_indicator", &[PUBLISH, WILL]),
        rule(2, "message_expiry_interval", FourByte, &[PUBLISH, WILL]),
        rule(3, "content_type", Text, &[PUBLISH, WILL]),
        rule(8, "response_topic", Text, &[PUBLISH, WILL]),
        rule(9, "correlation_data", Binary, &[PUBLISH, WILL]),
        PropertyRule {
            repeats: owners(&[PUBLISH]),
            ..positive(11, "subscription_identifier", Variable, &[PUBLISH, SUBSCRIBE])
        },
        rule(17, "session_expiry_interval", FourByte, &[CONNECT, CONNACK, DISCONNECT]),
        rule(18, "assigned_client_identifier", Text, &[CONNACK]),
        rule(19, "server_keep_alive", TwoByte, &[CONNACK]),
        rule(21, "authentication_method", Text, &[CONNECT, CONNACK, AUTH]),
        rule(22, "authentication_data", Binary, &[CONNECT, CONNACK, AUTH]),
        flag(23, "request_problem_information", &[CONNECT]),
        rule(24, "will_delay_interval", FourByte, &[WILL]),
        flag(25, "request_response_information", &[CONNECT]),
        rule(26, "response_information", Text, &[CONNACK]),
        rule(28, "server_reference", Text, &[CONNACK, DISCONNECT]),
        rule(31, "reason_string", Text, ANSWERS),
        positive(33, "receive_maximum", TwoByte, &[CONNECT, CONNACK]),
        rule(34, "topic_alias_maximum", TwoByte, &[CONNECT, CONNACK]),
        positive(35, "topic_alias", TwoByte, &[PUBLISH]),
        flag(36, "maximum_qos", &[CONNACK]),
        flag(37, "retain_available", &[CONNACK]),
        PropertyRule { repeats: owners(EVERYWHERE), ..rule(38, "user_property", Pair, EVERYWHERE) },
        positive(39, "maximum_packet_size", FourByte, &[CONNECT, CONNACK]),
        flag(40, "wildcard_subscription_available", &[CONNACK]),
        flag(41, "subscription_identifier_available", &[CONNACK]),
        flag(42, "shared_subscription_available", &[CONNACK]),
    ]
};

const RESPONSE_TOPIC: u8 = 8;
const AUTHENTICATION_METHOD: u8 = 21;
const AUTHENTICATION_DATA: u8 = 22;

/// A decoded property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// Its identifier (see [`PROPERTIES`]).
    pub id: u8,
    /// Its value.
    pub value: Value<'a>,
}

impl Property<'_> {
    /// Its name in snake case.
    pub fn name(&self) -> &'static str {
        find(self.id).map_or("", |rule| rule.name)
    }
}

fn find(id: u8) -> Option<&'static PropertyRule> {
    let index = PROPERTIES.binary_search_by_key(&id, |rule| rule.id).ok()?;
    PROPERTIES.get(index)
}

/// A message's properties, borrowed; empty before version 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    bytes: &'a [u8],
}

impl<'a> Properties<'a> {
    /// The properties up to the first malformed one, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || next(&mut cursor).ok())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Value of the first numeric property with this identifier.
    pub fn number(&self, id: u8) -> Option<u32> {
        self.iter().find_map(|property| match property.value {
            Value::Number(number) if property.id == id => Some(number),
            _ => None,
        })
    }

    /// Value of the first text property with this identifier.
    pub fn text(&self, id: u8) -> Option<&'a [u8]> {
        self.iter().find_map(|property| match property.value {
            Value::Text(text) if property.id == id => Some(text),
            _ => None,
        })
    }

    /// Decodes a list and its length. `None` if the end of the list cannot be located; the list then has the rest of
    /// the body.
    pub(super) fn read(cursor: &mut Cursor<'a>, owner: u8, found: &mut Violations) -> (Self, Option<()>) {
        let Some(len) = variable(cursor, found) else {
            found.insert(Violation::PropertyLength);
            return (Self::default(), None);
        };
        let (bytes, whole) = match cursor.take(len) {
            Some(bytes) => (bytes, Some(())),
            None => (cursor.rest(), None),
        };
        found.insert_if(whole.is_none(), Violation::PropertyLength);
        let list = Self { bytes };
        list.check(owner, found);
        (list, whole)
    }

    fn check(&self, owner: u8, found: &mut Violations) {
        let mut cursor = Cursor::new(self.bytes);
        let mut seen = 0u64;
        while !cursor.is_empty() {
            let property = match next(&mut cursor) {
                Ok(property) => property,
                Err(violation) => {
                    found.insert(violation);
                    return found.insert(Violation::MalformedTraffic);
                }
            };
            let Some(rule) = find(property.id) else { return };
            let bit = 1 << rule.id;
            found.insert_if(rule.owners & (1 << owner) == 0, Violation::PropertyNotAllowed);
            let again = seen & bit != 0;
            found.insert_if(again && rule.repeats & (1 << owner) == 0, Violation::PropertyRepeated);
            seen |= bit;
            match property.value {
                Value::Number(number) => {
                    let fits = (rule.smallest..=rule.largest).contains(&number);
                    found.insert_if(!fits, Violation::PropertyValue);
                }
                Value::Text(value) => {
                    found.extend(text::check(value));
                    // MQTT-3.3.2-14.
                    let wildcard = value.iter().any(|byte| matches!(byte, b'+' | b'#'));
                    found.insert_if(rule.id == RESPONSE_TOPIC && wildcard, Violation::PropertyValue);
                }
                Value::Pair(name, value) => {
                    found.extend(text::check(name));
                    found.extend(text::check(value));
                }
                Value::Binary(_) => {}
            }
        }
        // MQTT 5.0, 3.1.2.11.10: data require a method.
        let lone = seen & (1 << AUTHENTICATION_DATA) != 0 && seen & (1 << AUTHENTICATION_METHOD) == 0;
        found.insert_if(lone, Violation::PropertyValue);
    }
}

/// Decodes the next property, or returns its violation.
fn next<'a>(cursor: &mut Cursor<'a>) -> Result<Property<'a>, Violation> {
    let mut ignored = Violations::NONE;
    let id = variable(cursor, &mut ignored).ok_or(Violation::PropertyLength)?;
    let rule = u8::try_from(id).ok().and_then(find).ok_or(Violation::PropertyUnknown)?;
    let value = match rule.kind {
        ValueKind::Byte => cursor.u8().map(|number| Value::Number(number.into())),
        ValueKind::TwoByte => cursor.u16().map(|number| Value::Number(number.into())),
        ValueKind::FourByte => cursor.u32().map(Value::Number),
        ValueKind::Variable => variable(cursor, &mut ignored).map(|number| Value::Number(number as u32)),
        ValueKind::Binary => prefixed(cursor).map(Value::Binary),
        ValueKind::Text => prefixed(cursor).map(Value::Text),
        ValueKind::Pair => {
            prefixed(cursor).and_then(|name| prefixed(cursor).map(|value| Value::Pair(name, value)))
        }
    };
    let value = value.ok_or(Violation::PropertyLength)?;
    Ok(Property { id: rule.id, value })
}

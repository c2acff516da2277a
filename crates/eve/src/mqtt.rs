//! MQTT messages as members of an EVE record's `mqtt` object, in Suricata's fields.

use citronella_wire::mqtt::{
    self, Ack, Connect, Disconnect, FixedHeader, Message, Observed, Properties, Property, RecordState,
    Subscribe, Value, kind,
};

use crate::json::Json;

/// Limits on what is written of a message.
#[derive(Clone, Copy)]
pub(crate) struct Redaction {
    pub(crate) log_passwords: bool,
    /// Bytes of a text that are written.
    pub(crate) text_bytes: usize,
}

/// Writes a message as the member named after its type. What Suricata's schema has no field for becomes objects in
/// `more`.
pub(crate) fn message(
    json: &mut Json<'_>,
    more: &mut Json<'_>,
    observed: &Observed<'_>,
    redaction: Redaction,
) {
    let header = &observed.header;
    let name = kind::name(header.kind);
    let write = |json: &mut Json<'_>, more: &mut Json<'_>| {
        json.object(name, |json| {
            json.number("qos", header.qos());
            json.flag("retain", header.retain());
            json.flag("dup", header.dup());
            match observed.state {
                RecordState::Whole => fields(json, more, header, &observed.message, redaction),
                RecordState::BadLength => {}
                RecordState::OverCap | RecordState::Gap | RecordState::Unfinished => {
                    truncated(json, more, header, &observed.message, redaction);
                }
            }
        });
    };
    if matches!(header.kind, kind::AUTH | kind::RESERVED) {
        let mut inner = Vec::new();
        more.push_object(|object| write(object, &mut Json::members(&mut inner, true)));
    } else {
        write(json, more);
    }
}

/// A skipped message: Suricata's fields, and the topic.
fn truncated(
    json: &mut Json<'_>,
    more: &mut Json<'_>,
    header: &FixedHeader,
    message: &Message<'_>,
    redaction: Redaction,
) {
    let cut = |json: &mut Json<'_>| {
        json.flag("truncated", true);
        json.number("skipped_length", header.total_len());
    };
    if let Message::Publish(publish) = message {
        cut(json);
        if !publish.topic.is_empty() {
            json.bytes("topic", publish.topic, redaction.text_bytes);
        }
    } else {
        more.push_object(cut);
    }
    if let Some(id) = message.packet_id() {
        json.number("message_id", id);
    }
}

fn fields(
    json: &mut Json<'_>,
    more: &mut Json<'_>,
    header: &FixedHeader,
    message: &Message<'_>,
    redaction: Redaction,
) {
    let limit = redaction.text_bytes;
    match message {
        Message::Connect(message) => connect(json, more, message, redaction),
        Message::Connack(message) => {
            json.flag("session_present", message.session_present);
            json.number("return_code", message.code);
            properties(json, &message.properties, limit);
        }
        Message::Publish(message) => {
            json.bytes("topic", message.topic, limit);
            if let Some(id) = message.packet_id {
                json.number("message_id", id);
            }
            json.bytes("message", message.payload, limit);
            properties(json, &message.properties, limit);
        }
        Message::Puback(message)
        | Message::Pubrec(message)
        | Message::Pubrel(message)
        | Message::Pubcomp(message) => ack(json, message, limit),
        Message::Subscribe(message) => subscribe(json, message, limit),
        Message::Suback(message) => {
            json.number("message_id", message.packet_id);
            if !message.codes.is_empty() {
                json.array("qos_granted", |list| {
                    message.codes.iter().for_each(|code| list.push_number(*code));
                });
            }
            more_properties(more, &message.properties, limit);
        }
        Message::Unsubscribe(message) => {
            json.number("message_id", message.packet_id);
            if message.filters.iter().next().is_some() {
                json.array("topics", |list| {
                    message.filters.iter().for_each(|filter| list.push_bytes(filter, limit));
                });
            }
            more_properties(more, &message.properties, limit);
        }
        Message::Unsuback(message) => {
            json.number("message_id", message.packet_id);
            if !message.codes.is_empty() {
                json.array("reason_codes", |list| {
                    message.codes.iter().for_each(|code| list.push_number(*code));
                });
            }
            more_properties(more, &message.properties, limit);
        }
        Message::Disconnect(message) => disconnect(json, more, header, message, limit),
        Message::Auth(message) => reason(json, message.reason_code, &message.properties, limit),
        Message::Reserved(_) | Message::Pingreq | Message::Pingresp => {}
    }
}

fn subscribe(json: &mut Json<'_>, message: &Subscribe<'_>, limit: usize) {
    json.number("message_id", message.packet_id);
    if message.subscriptions.iter().next().is_some() {
        json.array("topics", |list| {
            for subscription in message.subscriptions.iter() {
                list.push_object(|json| {
                    json.bytes("topic", subscription.filter, limit);
                    json.number("qos", subscription.options.qos());
                });
            }
        });
    }
    properties(json, &message.properties, limit);
}

fn disconnect(
    json: &mut Json<'_>,
    more: &mut Json<'_>,
    header: &FixedHeader,
    message: &Disconnect<'_>,
    limit: usize,
) {
    // Suricata's field is 0 where no properties follow, whatever was sent (MQTT 5.0, 3.14.2.1 has a code there).
    let sent = message.reason_code.filter(|code| header.remaining_length == 1 && *code != 0);
    let code = if sent.is_some() { Some(0) } else { message.reason_code };
    reason(json, code, &message.properties, limit);
    if let Some(code) = sent {
        more.push_object(|json| json.number("reason_code_sent", code));
    }
}

fn connect(json: &mut Json<'_>, more: &mut Json<'_>, message: &Connect<'_>, redaction: Redaction) {
    let limit = redaction.text_bytes;
    json.bytes("protocol_string", message.protocol_name, limit);
    json.number("protocol_version", message.level);
    json.bytes("client_id", message.client_id, limit);
    json.object("flags", |json| {
        json.flag("username", message.flags.username());
        json.flag("password", message.flags.password());
        json.flag("will_retain", message.flags.will_retain());
        json.flag("will", message.flags.will());
        json.flag("clean_session", message.flags.clean_start());
    });
    if let Some(username) = message.username {
        json.bytes("username", username, limit);
    }
    if let Some(password) = message.password {
        if redaction.log_passwords {
            json.bytes("password", password.reveal(), limit);
        } else {
            more.push_object(|json| json.number("password_length", password.len()));
        }
    }
    if let Some(will) = &message.will {
        json.object("will", |json| {
            json.bytes("topic", will.topic, limit);
            json.bytes("message", will.payload, limit);
            properties(json, &will.properties, limit);
        });
    }
    properties(json, &message.properties, limit);
}

fn ack(json: &mut Json<'_>, message: &Ack<'_>, limit: usize) {
    json.number("message_id", message.packet_id);
    reason(json, message.reason_code, &message.properties, limit);
}

fn reason(json: &mut Json<'_>, code: Option<u8>, list: &Properties<'_>, limit: usize) {
    if let Some(code) = code {
        json.number("reason_code", code);
    }
    properties(json, list, limit);
}

const USER_PROPERTY: u8 = 38;

/// Properties of a message whose object in Suricata's schema has none.
fn more_properties(more: &mut Json<'_>, list: &Properties<'_>, limit: usize) {
    if !list.is_empty() {
        more.push_object(|json| properties(json, list, limit));
    }
}

/// Properties by name; of repeated ones the first. User properties are a list of keys and values, because the sender
/// chooses their names.
fn properties(json: &mut Json<'_>, list: &Properties<'_>, limit: usize) {
    if list.is_empty() {
        return;
    }
    let of = |id: u8| list.iter().filter(move |property| property.id == id);
    json.object("properties", |json| {
        let mut seen = 0_u64;
        for property in list.iter() {
            let again = seen & (1 << property.id) != 0;
            seen |= 1 << property.id;
            if !again && property.id != USER_PROPERTY {
                one(json, &property, limit);
            }
        }
        if seen & (1 << USER_PROPERTY) != 0 {
            json.array("user_properties", |all| {
                for property in of(USER_PROPERTY) {
                    if let Value::Pair(name, value) = property.value {
                        all.push_object(|json| {
                            json.bytes("key", name, limit);
                            json.bytes("value", value, limit);
                        });
                    }
                }
            });
        }
    });
}

fn one(json: &mut Json<'_>, property: &Property<'_>, limit: usize) {
    match property.value {
        Value::Number(number) => json.number(property.name(), number),
        Value::Binary(bytes) | Value::Text(bytes) => json.bytes(property.name(), bytes, limit),
        Value::Pair(_, value) => json.bytes(property.name(), value, limit),
    }
}

/// The violations of a message as one anomaly for each event: Suricata's name where there is one, otherwise our id.
pub(crate) fn anomalies(observed: &Observed<'_>, mut each: impl FnMut(&'static str, &[mqtt::Violation])) {
    let name = |violation: mqtt::Violation| violation.suricata_event().unwrap_or(violation.id());
    let mut left: Vec<mqtt::Violation> = observed.violations.iter().collect();
    while let Some(first) = left.first() {
        let event = name(*first);
        let (same, others) = left.iter().partition::<Vec<_>, _>(|violation| name(**violation) == event);
        each(event, &same);
        left = others;
    }
}

//! Recognition of MQTT by its bytes; a port is only a hint.

use super::kind::{AUTH, CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBLISH, RESERVED, SUBACK};
use super::{FixedHeader, Step, Version, fixed_header};
use crate::cursor::{Cursor, after, first};

/// Complete messages in a row that suffice.
const ENOUGH_MESSAGES: usize = 4;

/// Whether a TCP payload begins with MQTT: a CONNECT, or a plausible sequence of control packets that ends with the
/// payload. With `port_hint` (port 1883, for example) one plausible packet suffices, even if it continues in the next
/// segment; without it, ambiguous messages of two or four bytes do not suffice alone.
pub fn looks_like_mqtt(payload: &[u8], port_hint: bool) -> bool {
    if is_connect(payload) {
        return true;
    }
    let mut rest = payload;
    let mut weight = 0;
    for _ in 0..ENOUGH_MESSAGES {
        let Step::Done(header) = fixed_header(rest) else { return port_hint && weight > 0 };
        let body_len = header.remaining_length as usize;
        let body = after(rest, header.header_len);
        if !is_plausible(&header, first(body, body_len)) {
            return false;
        }
        if body.len() < body_len {
            return weight > 0 || (port_hint && header.kind == PUBLISH);
        }
        weight += weight_of(&header);
        rest = after(body, body_len);
        if rest.is_empty() {
            break;
        }
    }
    weight >= if port_hint { 1 } else { 2 }
}

/// Bytes of a topic that are checked, so that the search of a chunk is linear.
const MAX_TOPIC_BYTES: usize = 64;

/// Offsets of a chunk that are searched for a message.
const MAX_OFFSETS: usize = 65_536;

/// Index in a chunk at which a message begins, after a loss: the first byte if a message is plausible there, else the
/// first sequence of messages that ends with the chunk or is long enough not to be a coincidence.
pub(super) fn find_message(chunk: &[u8]) -> Option<usize> {
    (0..chunk.len().min(MAX_OFFSETS)).find(|at| {
        let rest = after(chunk, *at);
        is_connect(rest) || is_sequence(rest, *at == 0)
    })
}

/// Whether bytes are a plausible sequence of messages.
fn is_sequence(bytes: &[u8], is_at_start: bool) -> bool {
    let mut rest = bytes;
    let mut weight = 0;
    for _ in 0..ENOUGH_MESSAGES {
        let Step::Done(header) = fixed_header(rest) else { return weight >= 2 };
        let len = header.remaining_length as usize;
        let body = after(rest, header.header_len);
        if !is_plausible(&header, first(body, len)) {
            return false;
        }
        if body.len() < len {
            // It continues in the next chunk: plausible at the start of a segment, or after other messages.
            let has_enough = body.len() >= 4;
            return weight >= 2 || (is_at_start && header.kind == PUBLISH && has_enough);
        }
        weight += weight_of(&header);
        rest = after(body, len);
        if rest.is_empty() {
            return weight >= if is_at_start { 1 } else { 2 };
        }
    }
    true
}

/// Evidence of a message; 2 suffices: a PUBLISH, or two ambiguous messages in a row.
fn weight_of(header: &FixedHeader) -> u32 {
    if matches!(header.kind, PUBLISH | CONNACK | SUBACK) { 2 } else { 1 }
}

/// Whether bytes are a CONNECT, by its protocol name alone.
fn is_connect(payload: &[u8]) -> bool {
    let Step::Done(header) = fixed_header(payload) else { return false };
    let body = after(payload, header.header_len);
    header.kind == CONNECT && (body.starts_with(b"\x00\x04MQTT") || body.starts_with(b"\x00\x06MQIsdp"))
}

/// Whether type, flags, length and the first bytes of the body are consistent.
fn is_plausible(header: &FixedHeader, body: &[u8]) -> bool {
    let FixedHeader { kind, remaining_length, .. } = *header;
    if !header.violations(Version::V311).is_empty() {
        return false;
    }
    match kind {
        RESERVED | CONNECT => false,
        // A non-empty topic of printable bytes within the message.
        PUBLISH => {
            let mut cursor = Cursor::new(body);
            let Some(len) = cursor.u16() else { return false };
            let topic = first(cursor.rest(), usize::from(len));
            u32::from(len) + 2 <= remaining_length
                && !topic.is_empty()
                && first(topic, MAX_TOPIC_BYTES).iter().all(|byte| *byte >= 0x20 && *byte != 0x7f)
        }
        CONNACK => remaining_length >= 2 && body.first().is_some_and(|flags| flags & 0xfe == 0),
        PINGREQ | PINGRESP => remaining_length == 0,
        DISCONNECT | AUTH => {
            remaining_length == 0 || body.first().is_some_and(|code| *code == 0 || *code >= 0x04)
        }
        // The others begin with a packet identifier other than 0.
        _ => remaining_length >= 2 && body.first_chunk::<2>() != Some(&[0, 0]),
    }
}

//! Recognition of MQTT by what the bytes say; a port is a hint only.

use super::kind::{AUTH, CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBLISH, RESERVED, SUBACK};
use super::{FixedHeader, Step, Version, fixed_header};
use crate::cursor::{Cursor, after, first};

/// So many complete messages in a row settle it.
const ENOUGH_MESSAGES: usize = 4;

/// Whether the begin of a TCP payload is MQTT: a CONNECT, or a plausible sequence of control packets that ends with
/// the payload. With `port_hint` (port 1883, say) one plausible packet is enough, also one that goes on in the next
/// segment; without it, weak messages (two or four bytes that anything could be) do not count by themselves.
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
        if !plausible(&header, first(body, body_len)) {
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

/// So many bytes of a topic are looked at: enough for a judgement, and a chunk's search stays linear.
const MOST_LOOKED_AT: usize = 64;

/// So many bytes of a chunk are tried for a message's begin.
const MOST_TRIED: usize = 65_536;

/// Where in a chunk a message begins, after a loss: at its first byte if a message could begin there, else where a
/// sequence of messages begins that ends with the chunk or is long enough to be no accident.
pub(super) fn find_message(chunk: &[u8]) -> Option<usize> {
    (0..chunk.len().min(MOST_TRIED)).find(|at| {
        let rest = after(chunk, *at);
        is_connect(rest) || chain(rest, *at == 0)
    })
}

/// Whether messages follow each other from the first byte on.
fn chain(bytes: &[u8], at_begin: bool) -> bool {
    let mut rest = bytes;
    let mut weight = 0;
    for _ in 0..ENOUGH_MESSAGES {
        let Step::Done(header) = fixed_header(rest) else { return weight >= 2 };
        let len = header.remaining_length as usize;
        let body = after(rest, header.header_len);
        if !plausible(&header, first(body, len)) {
            return false;
        }
        if body.len() < len {
            // It goes on in the next chunk: believed at a segment's begin, or after others.
            let enough_seen = body.len() >= 4;
            return weight >= 2 || (at_begin && header.kind == PUBLISH && enough_seen);
        }
        weight += weight_of(&header);
        rest = after(body, len);
        if rest.is_empty() {
            return weight >= if at_begin { 1 } else { 2 };
        }
    }
    true
}

/// Two are enough: a PUBLISH, or two shorter messages in a row.
fn weight_of(header: &FixedHeader) -> u32 {
    if matches!(header.kind, PUBLISH | CONNACK | SUBACK) { 2 } else { 1 }
}

/// A CONNECT by its protocol name, whatever is wrong with the rest of it.
fn is_connect(payload: &[u8]) -> bool {
    let Step::Done(header) = fixed_header(payload) else { return false };
    let body = after(payload, header.header_len);
    header.kind == CONNECT && (body.starts_with(b"\x00\x04MQTT") || body.starts_with(b"\x00\x06MQIsdp"))
}

/// Whether type, flags, length and the first bytes of the body go together.
fn plausible(header: &FixedHeader, body: &[u8]) -> bool {
    let FixedHeader { kind, remaining_length, .. } = *header;
    if !header.violations(Version::V311).is_empty() {
        return false;
    }
    match kind {
        RESERVED | CONNECT => false,
        // A topic of printable bytes that fits the message.
        PUBLISH => {
            let mut cursor = Cursor::new(body);
            let Some(len) = cursor.u16() else { return false };
            let topic = first(cursor.rest(), usize::from(len));
            u32::from(len) + 2 <= remaining_length
                && !topic.is_empty()
                && first(topic, MOST_LOOKED_AT).iter().all(|byte| *byte >= 0x20 && *byte != 0x7f)
        }
        CONNACK => remaining_length >= 2 && body.first().is_some_and(|flags| flags & 0xfe == 0),
        PINGREQ | PINGRESP => remaining_length == 0,
        DISCONNECT | AUTH => {
            remaining_length == 0 || body.first().is_some_and(|code| *code == 0 || *code >= 0x04)
        }
        // Each has a packet identifier first, which is not 0.
        _ => remaining_length >= 2 && body.first_chunk::<2>() != Some(&[0, 0]),
    }
}

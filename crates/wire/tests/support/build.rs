//! Builders of MQTT messages, written from the standard, not from the decoder.

/// A control packet from its first byte and body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(varint(body.len()));
    bytes.extend(body);
    bytes
}

pub fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let digit = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(digit);
            return bytes;
        }
        bytes.push(digit + 128);
    }
}

/// A text or binary data with its length.
pub fn field(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// Version 5's properties with their length; nothing before.
pub fn properties(v5: bool, list: &[u8]) -> Vec<u8> {
    if v5 { [varint(list.len()), list.to_vec()].concat() } else { Vec::new() }
}

pub fn connect(level: u8, flags: u8, keep_alive: u16, list: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    let name: &[u8] = if level == 3 { b"MQIsdp" } else { b"MQTT" };
    let mut body = [field(name), vec![level, flags], keep_alive.to_be_bytes().to_vec()].concat();
    body.extend(properties(level == 5, list));
    rest.iter().for_each(|part| body.extend(field(part)));
    packet(0x10, &body)
}

pub fn connack(v5: bool, present: bool, code: u8, list: &[u8]) -> Vec<u8> {
    packet(0x20, &[vec![u8::from(present), code], properties(v5, list)].concat())
}

pub fn publish(flags: u8, topic: &[u8], id: Option<u16>, list: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let mut body = field(topic);
    body.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    body.extend(list.map(|list| properties(true, list)).unwrap_or_default());
    body.extend(payload);
    packet(0x30 | flags, &body)
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP by type.
pub fn ack(kind: u8, id: u16, rest: &[u8]) -> Vec<u8> {
    packet(kind << 4 | if kind == 6 { 2 } else { 0 }, &[&id.to_be_bytes()[..], rest].concat())
}

pub fn subscribe(id: u16, list: Option<&[u8]>, wishes: &[(&[u8], u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(list.map(|list| properties(true, list)).unwrap_or_default());
    for (filter, options) in wishes {
        body.extend(field(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

pub fn unsubscribe(id: u16, list: Option<&[u8]>, filters: &[&[u8]]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(list.map(|list| properties(true, list)).unwrap_or_default());
    filters.iter().for_each(|filter| body.extend(field(filter)));
    packet(0xa2, &body)
}

/// SUBACK (9) or UNSUBACK (11).
pub fn codes(kind: u8, id: u16, list: Option<&[u8]>, codes: &[u8]) -> Vec<u8> {
    let list = list.map(|list| properties(true, list)).unwrap_or_default();
    packet(kind << 4, &[&id.to_be_bytes()[..], &list, codes].concat())
}

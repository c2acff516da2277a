//! Recognition of a TCP connection's protocol by its first bytes; a port is only a hint.

use citronella_wire::{
    mqtt::{kind, looks_like_mqtt},
    tls,
    websocket::WebSocket,
};

/// MQTT's registered port (IANA).
const MQTT: u16 = 1883;
/// Bytes that suffice to decide: a CONNECT is recognised by its first 13.
const ENOUGH_BYTES: usize = 16;

/// The protocol of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mqtt,
    Tls,
    WebSocket,
    /// Too few bytes to decide.
    Wait,
    /// None of these.
    Other,
}

/// Whether one of the ports hints at MQTT.
pub(super) fn is_mqtt_port(ports: [u16; 2]) -> bool {
    ports.contains(&MQTT)
}

/// Recognises a side's first bytes or, unless `from_start`, those of any segment.
///
/// On MQTT's port, a connection seen from its start is MQTT unless it is text or TLS: malformed input to an MQTT server
/// must be reported.
pub(super) fn recognise(bytes: &[u8], port_hint: bool, from_start: bool) -> Kind {
    let Some(first) = bytes.first() else { return Kind::Wait };
    if looks_like_mqtt(bytes, port_hint) {
        return Kind::Mqtt;
    }
    if tls::looks_like_tls(bytes) {
        return Kind::Tls;
    }
    if WebSocket::looks_like_upgrade(bytes) {
        return Kind::WebSocket;
    }
    let few = bytes.len() < ENOUGH_BYTES;
    let text = bytes.iter().take(4).all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    let could_become =
        first >> 4 == kind::CONNECT || (*first == 22 && bytes.len() < 5) || (text && bytes.len() < 12);
    if few && from_start && could_become {
        return Kind::Wait;
    }
    if port_hint && from_start && !text { Kind::Mqtt } else { Kind::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_and_the_port_is_a_hint() {
        let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
        assert_eq!(recognise(connect, false, true), Kind::Mqtt);
        for few in 1..8 {
            assert_eq!(recognise(&connect[..few], false, true), Kind::Wait, "{few}");
        }
        assert_eq!(recognise(b"GET /mqtt HTTP/1.1\r\n", true, true), Kind::WebSocket);
        assert_eq!(recognise(b"G", false, true), Kind::Wait);
        assert_eq!(recognise(b"SSH-2.0-OpenSSH_9.6\r\n", true, true), Kind::Other);
        assert_eq!(recognise(&[22, 3, 1, 2, 0, 1, 0, 1, 252], true, true), Kind::Tls);
        assert_eq!(recognise(&[0xf0, 0xff, 0xff, 0xff, 0xff, 0xff], true, true), Kind::Mqtt);
        assert_eq!(recognise(&[0xf0, 0xff, 0xff, 0xff, 0xff, 0xff], false, true), Kind::Other);
        assert_eq!(recognise(&[0xc0, 0], true, false), Kind::Mqtt);
        assert_eq!(recognise(&[0xc0, 0], false, false), Kind::Other);
        assert!(is_mqtt_port([40_000, 1883]) && !is_mqtt_port([8883, 443]));
    }
}

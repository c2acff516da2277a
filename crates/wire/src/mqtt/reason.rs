//! Return codes and version 5's reason codes: their names and the control packets that may have them (MQTT 5.0, table
//! 2-6).

use super::Version;
use super::kind::{AUTH, CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK, UNSUBACK};

/// Code, name, and the control packets that may have it.
type Row = (u8, &'static str, &'static [u8]);

const REASONS: &[Row] = &[
    (0x00, "Success", &[CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK, AUTH]),
    (0x00, "Normal disconnection", &[DISCONNECT]),
    (0x00, "Granted QoS 0", &[SUBACK]),
    (0x01, "Granted QoS 1", &[SUBACK]),
    (0x02, "Granted QoS 2", &[SUBACK]),
    (0x04, "Disconnect with Will Message", &[DISCONNECT]),
    (0x10, "No matching subscribers", &[PUBACK, PUBREC]),
    (0x11, "No subscription existed", &[UNSUBACK]),
    (0x18, "Continue authentication", &[AUTH]),
    (0x19, "Re-authenticate", &[AUTH]),
    (0x80, "Unspecified error", &[CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT]),
    (0x81, "Malformed Packet", &[CONNACK, DISCONNECT]),
    (0x82, "Protocol Error", &[CONNACK, DISCONNECT]),
    (0x83, "Implementation specific error", &[CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT]),
    (0x84, "Unsupported Protocol Version", &[CONNACK]),
    (0x85, "Client Identifier not valid", &[CONNACK]),
    (0x86, "Bad User Name or Password", &[CONNACK]),
    (0x87, "Not authorized", &[CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT]),
    (0x88, "Server unavailable", &[CONNACK]),
    (0x89, "Server busy", &[CONNACK, DISCONNECT]),
    (0x8a, "Banned", &[CONNACK]),
    (0x8b, "Server shutting down", &[DISCONNECT]),
    (0x8c, "Bad authentication method", &[CONNACK, DISCONNECT]),
    (0x8d, "Keep Alive timeout", &[DISCONNECT]),
    (0x8e, "Session taken over", &[DISCONNECT]),
    (0x8f, "Topic Filter invalid", &[SUBACK, UNSUBACK, DISCONNECT]),
    (0x90, "Topic Name invalid", &[CONNACK, PUBACK, PUBREC, DISCONNECT]),
    (0x91, "Packet Identifier in use", &[PUBACK, PUBREC, SUBACK, UNSUBACK]),
    (0x92, "Packet Identifier not found", &[PUBREL, PUBCOMP]),
    (0x93, "Receive Maximum exceeded", &[DISCONNECT]),
    (0x94, "Topic Alias invalid", &[DISCONNECT]),
    (0x95, "Packet too large", &[CONNACK, DISCONNECT]),
    (0x96, "Message rate too high", &[DISCONNECT]),
    (0x97, "Quota exceeded", &[CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT]),
    (0x98, "Administrative action", &[DISCONNECT]),
    (0x99, "Payload format invalid", &[CONNACK, PUBACK, PUBREC, DISCONNECT]),
    (0x9a, "Retain not supported", &[CONNACK, DISCONNECT]),
    (0x9b, "QoS not supported", &[CONNACK, DISCONNECT]),
    (0x9c, "Use another server", &[CONNACK, DISCONNECT]),
    (0x9d, "Server moved", &[CONNACK, DISCONNECT]),
    (0x9e, "Shared Subscriptions not supported", &[SUBACK, DISCONNECT]),
    (0x9f, "Connection rate exceeded", &[CONNACK, DISCONNECT]),
    (0xa0, "Maximum connect time", &[DISCONNECT]),
    (0xa1, "Subscription Identifiers not supported", &[SUBACK, DISCONNECT]),
    (0xa2, "Wildcard Subscriptions not supported", &[SUBACK, DISCONNECT]),
];

/// MQTT 3.1.1, table 3.1, and SUBACK's codes (3.9.3).
const RETURN_CODES: &[Row] = &[
    (0, "Connection Accepted", &[CONNACK]),
    (1, "Connection Refused, unacceptable protocol version", &[CONNACK]),
    (2, "Connection Refused, identifier rejected", &[CONNACK]),
    (3, "Connection Refused, Server unavailable", &[CONNACK]),
    (4, "Connection Refused, bad user name or password", &[CONNACK]),
    (5, "Connection Refused, not authorized", &[CONNACK]),
    (0, "Success - Maximum QoS 0", &[SUBACK]),
    (1, "Success - Maximum QoS 1", &[SUBACK]),
    (2, "Success - Maximum QoS 2", &[SUBACK]),
    (0x80, "Failure", &[SUBACK]),
];

/// The standard's name of a return or reason code in a control packet of the given type; `None` if that type may not
/// have it.
pub fn reason_name(version: Version, kind: u8, code: u8) -> Option<&'static str> {
    let table = if version == Version::V5 { REASONS } else { RETURN_CODES };
    table.iter().find(|(row, _, kinds)| *row == code && kinds.contains(&kind)).map(|(_, name, _)| *name)
}

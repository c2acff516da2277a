//! Violations of single messages, a case for each; and docs/violations.md, which is generated from the table.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;
use std::path::Path;

use citronella_wire::mqtt::{Limits, Step, Version, Violation, decode, fixed_header};
use support::build::{ack, codes, connack, connect, field, packet, publish, subscribe, unsubscribe};

fn ids(bytes: &[u8], version: Version) -> Vec<&'static str> {
    let Step::Done(header) = fixed_header(bytes) else { panic!("a whole header") };
    let limits = Limits { topic_bytes: 20, ..Limits::default() };
    let found = decode(&header, &bytes[header.header_len..], version, &limits).violations;
    found.iter().map(Violation::id).collect()
}

#[test]
fn violations_of_single_messages() {
    use Version::{V5, V31, V311};
    let odd_name = packet(0x10, &[field(b"MQTS"), vec![4, 2, 0, 60], field(b"id")].concat());
    let long = [b'x'; 30];
    let cases: Vec<(&[&str], Version, Vec<u8>)> = vec![
        (&["unassigned_msg_type"], V311, packet(0x00, b"x")),
        (&["invalid_qos_level"], V311, publish(6, b"a", Some(1), None, b"")),
        (&["invalid_qos_level"], V311, subscribe(1, None, &[(b"a", 3)])),
        (&["missing_msg_id", "malformed_traffic", "truncated"], V311, packet(0x32, &field(b"a"))),
        (&["bad_header_flags"], V311, packet(0x80, &[0, 1, 0, 1, b'a', 0])),
        (&[], V31, packet(0x8a, &[0, 1, 0, 1, b'a', 0])),
        (&["bad_header_flags"], V5, packet(0xc1, &[])),
        (&["remaining_length_not_minimal"], V311, vec![0xc0, 0x80, 0x00]),
        (&["dup_without_qos"], V311, publish(8, b"a", None, None, b"")),
        (&["malformed_traffic", "truncated"], V311, packet(0x30, &[0, 9, b'a'])),
        (&["trailing_bytes"], V311, ack(4, 1, b"x")),
        (&["bad_utf8"], V311, publish(0, b"\xff", None, None, b"")),
        (&["null_in_text"], V311, publish(0, b"a\0", None, None, b"")),
        (&["control_in_text"], V311, publish(0, b"a\x07", None, None, b"")),
        (&["packet_id_zero"], V311, publish(2, b"a", Some(0), None, b"")),
        (&["packet_id_zero"], V5, unsubscribe(0, Some(&[]), &[b"a"])),
        (&["unknown_reason_code"], V311, connack(false, false, 6, &[])),
        (&["unknown_reason_code"], V5, ack(6, 1, &[0x10])),
        (&["unknown_reason_code"], V311, codes(9, 1, None, &[3])),
        (&["unknown_protocol_name"], V311, odd_name),
        (&["unknown_protocol_level"], V311, connect(6, 2, 60, &[], &[b"id"])),
        (&[], V311, connect(0x84, 2, 60, &[], &[b"id"])),
        (&["reserved_connect_flag"], V311, connect(4, 3, 60, &[], &[b"id"])),
        (&["will_flags_inconsistent"], V311, connect(4, 0x22, 60, &[], &[b"id"])),
        (&["will_flags_inconsistent"], V311, connect(4, 0x0a, 60, &[], &[b"id"])),
        (&["invalid_qos_level"], V311, connect(4, 0x1e, 60, &[], &[b"id", b"w", b""])),
        (&["password_without_username"], V311, connect(4, 0x42, 60, &[], &[b"id", b"pw"])),
        (&[], V5, connect(5, 0x42, 60, &[], &[b"id", b"pw"])),
        (&["empty_client_id"], V311, connect(4, 0, 60, &[], &[b""])),
        (&["client_id_too_long"], V31, connect(3, 2, 60, &[], &[&long])),
        (&["reserved_connack_flag"], V311, packet(0x20, &[2, 0])),
        (&["session_present_on_error"], V311, connack(false, true, 5, &[])),
        (&["wildcard_in_topic"], V311, publish(0, b"a/#", None, None, b"")),
        (&["wildcard_in_topic"], V311, connect(4, 6, 60, &[], &[b"id", b"w/+", b""])),
        (&["empty_topic"], V311, publish(0, b"", None, None, b"")),
        (&[], V5, publish(0, b"", None, Some(&[35, 0, 1]), b"")),
        (&["topic_too_long"], V311, publish(0, &long, None, None, b"")),
        (&["bad_topic_filter"], V311, subscribe(1, None, &[(b"a/#/b", 0)])),
        (&["bad_topic_filter"], V5, unsubscribe(1, Some(&[]), &[b"$share//a"])),
        (&["no_topics"], V311, subscribe(1, None, &[])),
        (&["no_topics"], V5, unsubscribe(1, Some(&[]), &[])),
        (&["bad_subscription_options"], V311, subscribe(1, None, &[(b"a", 4)])),
        (&["bad_subscription_options"], V5, subscribe(1, Some(&[]), &[(b"a", 0x30)])),
        (&["bad_subscription_options"], V5, subscribe(1, Some(&[]), &[(b"$share/g/a", 4)])),
        (&["malformed_traffic", "property_unknown"], V5, publish(0, b"a", None, Some(&[99, 0]), b"")),
        (&["property_not_allowed"], V5, publish(0, b"a", None, Some(&[33, 0, 1]), b"")),
        (&["property_repeated"], V5, publish(0, b"a", None, Some(&[1, 1, 1, 1]), b"")),
        (&["property_value"], V5, publish(0, b"a", None, Some(&[1, 2]), b"")),
        (&["property_value"], V5, publish(0, b"a", None, Some(&[35, 0, 0]), b"")),
        (&["property_value"], V5, publish(0, b"a", None, Some(&[8, 0, 1, b'#']), b"")),
        (&["malformed_traffic", "property_length"], V5, publish(0, b"a", None, Some(&[35, 0]), b"")),
        (&["malformed_traffic", "truncated", "property_length"], V5, packet(0x30, &[0, 1, b'a', 9])),
    ];
    for (wanted, version, bytes) in cases {
        assert_eq!(ids(&bytes, version), wanted, "{bytes:02x?}");
    }
}

#[test]
fn the_document_matches_the_table() {
    let mut text = String::from(
        "# Violations\n\n\
         The violations of MQTT traffic that `citronella` reports. The ids are stable: tools may rely on them. A clause is \
         that of MQTT 3.1.1 and, after a semicolon, of MQTT 5.0 if its number differs. The last column is Suricata's event \
         for it.\n\n\
         | id | clause | meaning | Suricata |\n|---|---|---|---|\n",
    );
    for rule in Violation::TABLE {
        let clause = rule.clause.unwrap_or("");
        let event = rule.violation.suricata_event().unwrap_or("");
        writeln!(text, "| `{}` | {clause} | {} | {event} |", rule.id, rule.text).unwrap();
    }
    text.push_str("\nThis page is generated from the table in `crates/wire/src/mqtt/violation.rs`: ");
    text.push_str("`WRITE_DOCS=1 cargo test -p citronella-wire --test violations`.\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/violations.md");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/violations.md is stale: run the command in its last line");
}

//! Real captures: expected violations, and none in benign traffic.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use citronella_wire::mqtt::{Limits, RecordState, Violation, kind};
use support::{follow, lab_captures, read_pcap, shared_data};

/// Violations of a case of suricata-verify by id, with their number.
fn violations(case: &str) -> Option<BTreeMap<&'static str, usize>> {
    let frames = read_pcap(&shared_data(&format!("suricata-verify/{case}/input.pcap"))?).unwrap();
    let mut found = BTreeMap::new();
    follow(&frames, 1883, Limits::default(), |observed| {
        observed.violations.iter().for_each(|violation| *found.entry(violation.id()).or_default() += 1);
    });
    Some(found)
}

#[test]
fn suricatas_events_are_found() {
    for (case, wanted) in [
        ("mqtt-events-missing-connect", vec![("missing_connect", 1)]),
        ("mqtt-events-unintroduced", vec![("early_message", 1)]),
        ("mqtt-ping", vec![("unintroduced_message", 2)]),
    ] {
        let Some(found) = violations(case) else { return };
        assert_eq!(found, wanted.into_iter().collect(), "{case}");
    }
    let Some(found) = violations("mqtt5-excessiveproplen") else { return };
    assert_eq!(found.get("malformed_traffic"), Some(&1));
    assert_eq!(Violation::EarlyMessage.suricata_event(), Some("unintroduced_message"));
}

#[test]
fn valid_sessions_of_every_version_have_no_violations() {
    for version in ["mqtt31", "mqtt311", "mqtt5"] {
        for case in ["pub-qos1", "pub-userpass", "sub-userpass", "unsub-qos2"] {
            let Some(found) = violations(&format!("{version}-{case}")) else { return };
            assert!(found.is_empty(), "{version}-{case}: {found:?}");
        }
    }
}

#[test]
fn a_session_has_every_field() {
    let Some(path) = shared_data("suricata-verify/mqtt5-unsub-qos2/input.pcap") else { return };
    let connections = follow(&read_pcap(&path).unwrap(), 1883, Limits::default(), |_| {});
    let [connection] = &connections[..] else { panic!("one connection") };
    let session = &connection.session;
    assert_eq!(session.client_id(), b"myvoiceismypassport");
    assert_eq!((session.username(), session.password_bytes()), (Some(&b"user"[..]), Some(4)));
    assert_eq!((session.connack_code(), session.open_exchanges()), (Some(0), 0));
    assert!(session.closed().is_some());
    assert!(session.subscriptions().is_empty(), "all were unsubscribed");
}

#[test]
fn long_messages_are_cut_to_the_cap() {
    let Some(path) = shared_data("suricata-verify/mqtt-limit-2/input.pcap") else { return };
    let mut cut = Vec::new();
    let limits = Limits { message_bytes: 500, ..Limits::default() };
    follow(&read_pcap(&path).unwrap(), 1883, limits, |observed| {
        if observed.state == RecordState::OverCap {
            assert_eq!(observed.header.kind, kind::PUBLISH);
            cut.push(observed.header.total_len());
        }
        assert!(observed.violations.is_empty());
    });
    assert_eq!(cut, [100_011, 100_009, 1_010]);
}

#[test]
fn benign_recordings_have_no_violations() {
    for path in lab_captures() {
        // Left out: recordings that begin in mid-stream, where an unknown version is guessed wrongly, and tools-*,
        // hard-* and judge-*, where some clients break the standard.
        const NOT: [&str; 7] = ["malformed", "benign-", "run-5", "run-6", "tools-", "hard-", "judge-"];
        let name = path.to_string_lossy();
        if NOT.iter().any(|part| name.contains(part)) {
            continue;
        }
        let mut messages = 0;
        follow(&read_pcap(&path).unwrap(), 1883, Limits::default(), |observed| {
            messages += 1;
            let mut found = observed.violations;
            found.remove(Violation::EarlyMessage);
            assert!(found.is_empty(), "{}: {observed:?}", path.display());
        });
        assert!(messages > 100, "{}: {messages} messages", path.display());
    }
}

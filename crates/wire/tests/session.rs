//! Sessions: violations of order, a case for each.
#![allow(clippy::unwrap_used)]

mod support;

use citronella_wire::mqtt::{Closed, Direction, Limits, Session, Stream, Version, Violation, kind};
use support::build::{ack, codes, connack, connect, packet, publish, subscribe, unsubscribe};

use Direction::{ToClient, ToServer};

/// A message and its direction.
type Sent = (Direction, Vec<u8>);

/// Feeds messages, a second apart, and returns the violations of the last one.
fn last(session: &mut Session, messages: &[Sent]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (second, (direction, bytes)) in (0..).zip(messages) {
        Stream::new(Limits::default()).push(bytes, |record| {
            let observed = session.observe(*direction, &record, second * 1_000_000);
            names = observed.violations.iter().map(Violation::id).collect();
        });
    }
    names
}

/// The violations of the last of some messages after an accepted CONNECT of version 3.1.1.
fn after_connect(messages: &[Sent]) -> Vec<&'static str> {
    let begin = [(ToServer, connect(4, 2, 60, &[], &[b"id"])), (ToClient, connack(false, false, 0, &[]))];
    last(&mut Session::new(Limits::default()), &[&begin[..], messages].concat())
}

fn qos(level: u8, id: u16) -> Vec<u8> {
    publish(level << 1, b"a/b", Some(id), None, b"1")
}

#[test]
fn a_valid_session_has_no_violations() {
    let messages = [
        (ToServer, subscribe(1, None, &[(b"a/#", 2)])),
        (ToClient, codes(9, 1, None, &[1])),
        (ToServer, qos(1, 2)),
        (ToClient, ack(4, 2, &[])),
        (ToServer, qos(2, 3)),
        (ToClient, qos(2, 3)),
        (ToClient, ack(5, 3, &[])),
        (ToServer, ack(5, 3, &[])),
        (ToServer, ack(6, 3, &[])),
        (ToClient, ack(6, 3, &[])),
        (ToClient, ack(7, 3, &[])),
        (ToServer, ack(7, 3, &[])),
        (ToServer, unsubscribe(4, None, &[b"a/#"])),
        (ToClient, ack(11, 4, &[])),
        (ToServer, packet(0xc0, &[])),
        (ToClient, packet(0xd0, &[])),
        (ToServer, packet(0xe0, &[])),
    ];
    for end in 1..=messages.len() {
        assert_eq!(after_connect(&messages[..end]), Vec::<&str>::new(), "message {end}");
    }
}

#[test]
fn violations_of_order() {
    let cases: Vec<(&str, Vec<Sent>)> = vec![
        ("double_connect", vec![(ToServer, connect(4, 2, 60, &[], &[b"id"]))]),
        ("missing_connect", vec![(ToClient, connack(false, false, 0, &[]))]),
        ("missing_publish", vec![(ToClient, ack(4, 9, &[]))]),
        ("missing_publish", vec![(ToClient, ack(5, 9, &[]))]),
        ("missing_publish", vec![(ToServer, ack(6, 9, &[]))]),
        ("missing_publish", vec![(ToClient, ack(7, 9, &[]))]),
        ("missing_subscribe", vec![(ToClient, codes(9, 9, None, &[0]))]),
        ("missing_unsubscribe", vec![(ToClient, ack(11, 9, &[]))]),
        ("qos2_broken", vec![(ToServer, qos(2, 1)), (ToServer, ack(6, 1, &[]))]),
        ("qos2_broken", vec![(ToServer, qos(2, 1)), (ToClient, ack(4, 1, &[]))]),
        ("qos2_broken", vec![(ToServer, qos(1, 1)), (ToClient, ack(5, 1, &[]))]),
        ("qos2_broken", vec![(ToServer, qos(2, 1)), (ToClient, ack(7, 1, &[]))]),
        ("packet_id_in_use", vec![(ToServer, qos(1, 1)), (ToServer, qos(1, 1))]),
        ("wrong_direction", vec![(ToServer, packet(0xd0, &[]))]),
        ("wrong_direction", vec![(ToClient, packet(0xe0, &[]))]),
        ("after_disconnect", vec![(ToServer, packet(0xe0, &[])), (ToServer, packet(0xc0, &[]))]),
        (
            "answer_mismatch",
            vec![(ToServer, subscribe(1, None, &[(b"a", 0)])), (ToClient, codes(9, 1, None, &[0, 0]))],
        ),
        (
            "bad_grant",
            vec![(ToServer, subscribe(1, None, &[(b"a", 0)])), (ToClient, codes(9, 1, None, &[2]))],
        ),
        ("unassigned_msg_type", vec![(ToServer, packet(0x00, &[]))]),
        ("unassigned_msg_type", vec![(ToServer, packet(0xf0, &[]))]),
    ];
    for (wanted, messages) in cases {
        assert_eq!(after_connect(&messages), [wanted]);
    }
}

#[test]
fn messages_before_the_handshake_are_violations() {
    let ping = (ToServer, packet(0xc0, &[]));
    let connect = (ToServer, connect(4, 2, 60, &[], &[b"id"]));
    let refusal = (ToClient, connack(false, false, 5, &[]));
    let new = || Session::new(Limits::default());
    assert_eq!(last(&mut new(), std::slice::from_ref(&ping)), ["unintroduced_message"]);
    assert_eq!(last(&mut new(), &[connect.clone(), ping.clone()]), ["early_message"]);
    assert_eq!(last(&mut new(), &[connect.clone(), (ToClient, packet(0xd0, &[]))]), ["unintroduced_message"]);
    assert_eq!(last(&mut new(), &[connect.clone(), refusal.clone(), ping]), ["unintroduced_message"]);
    let mut session = new();
    last(&mut session, &[connect, refusal]);
    assert_eq!(session.closed(), Some(Closed::Refused(5)));
}

#[test]
fn silence_beyond_the_keep_alive_is_a_violation() {
    let mut session = Session::new(Limits::default());
    let begin = [(ToServer, connect(4, 2, 2, &[], &[b"id"])), (ToClient, connack(false, false, 0, &[]))];
    last(&mut session, &begin);
    assert!(!session.keep_alive_exceeded(3_000_000));
    assert!(session.keep_alive_exceeded(3_000_001));
    let mut names = Vec::new();
    Stream::new(Limits::default()).push(&packet(0xc0, &[]), |record| {
        names = session.observe(ToServer, &record, 3_500_000).violations.iter().collect();
    });
    assert_eq!(names, [Violation::KeepAliveExceeded]);
}

#[test]
fn limits_hold_and_count() {
    let limits =
        Limits { exchanges: 2, exchange_messages: 3, subscriptions: 2, topics: 1, ..Limits::default() };
    let mut session = Session::new(limits);
    let dup = |id| publish(0x0a, b"a/b", Some(id), None, b"1");
    last(
        &mut session,
        &[(ToServer, connect(4, 2, 60, &[], &[b"id"])), (ToClient, connack(false, false, 0, &[]))],
    );
    assert_eq!(last(&mut session, &[(ToServer, qos(1, 1)), (ToServer, qos(1, 2))]), Vec::<&str>::new());
    assert_eq!(last(&mut session, &[(ToServer, qos(1, 3))]), ["too_many_transactions"]);
    assert_eq!((session.open_exchanges(), session.dropped()), (2, 1));
    assert_eq!(last(&mut session, &[(ToServer, dup(3)), (ToServer, dup(3))]), Vec::<&str>::new());
    assert_eq!(last(&mut session, &[(ToServer, dup(3))]), ["too_many_messages"]);
    last(&mut session, &[(ToServer, subscribe(9, None, &[(b"a", 0), (b"b", 0), (b"+", 0)]))]);
    last(&mut session, &[(ToServer, publish(0, b"other", None, None, b""))]);
    assert_eq!((session.subscriptions().len(), session.topics().count()), (2, 1));
    // Two exchanges, a subscription and a topic.
    assert_eq!(session.dropped(), 4);
}

#[test]
fn topic_aliases_are_resolved_and_checked() {
    let mut session = Session::new(Limits::default());
    let alias = |topic: &[u8], number| publish(0, topic, None, Some(&[35, 0, number]), b"1");
    let begin = [
        (ToServer, connect(5, 2, 60, &[], &[b"id"])),
        (ToClient, connack(true, false, 0, &[34, 0, 5])),
        (ToServer, alias(b"a/b", 5)),
        (ToServer, alias(b"", 5)),
    ];
    assert_eq!(last(&mut session, &begin), Vec::<&str>::new());
    assert_eq!(session.aliased_topic(ToServer, 5), Some(&b"a/b"[..]));
    assert_eq!(last(&mut session, &[(ToServer, alias(b"a/c", 6))]), ["topic_alias_unknown"]);
    assert_eq!(last(&mut session, &[(ToServer, alias(b"", 4))]), ["topic_alias_unknown"]);
    assert_eq!(last(&mut session, &[(ToClient, alias(b"a/b", 1))]), ["topic_alias_unknown"]);
}

#[test]
fn the_version_is_negotiated_or_guessed() {
    let mut session = Session::mid_stream(Limits::default());
    assert_eq!(session.version(), (Version::V311, true));
    last(&mut session, &[(ToClient, ack(4, 1, &[0x10]))]);
    last(&mut session, &[(ToServer, subscribe(1, Some(&[]), &[(b"a", 0)]))]);
    assert_eq!(session.version(), (Version::V5, true));
    let mut learnt = Session::new(Limits::default());
    last(&mut learnt, &[(ToServer, connect(3, 2, 60, &[], &[b"id"]))]);
    assert_eq!(learnt.version(), (Version::V31, false));
    assert_eq!((learnt.count(ToServer, kind::CONNECT), learnt.messages(ToClient)), (1, 0));
}

#[test]
fn a_connect_is_stored_without_its_password() {
    let mut session = Session::new(Limits::default());
    last(
        &mut session,
        &[(ToServer, connect(4, 0xee, 7, &[], &[b"id", b"w/t", b"gone", b"user", b"secret"]))],
    );
    assert_eq!((session.client_id(), session.username()), (&b"id"[..], Some(&b"user"[..])));
    assert_eq!((session.keep_alive_secs(), session.clean_start()), (7, true));
    let will = session.will().unwrap();
    assert_eq!((&*will.topic, will.payload_bytes, will.qos, will.retain), (&b"w/t"[..], 4, 1, true));
    assert_eq!(session.password_bytes(), Some(6));
    let secret = format!("{:?}", b"secret");
    assert!(!format!("{session:?}").contains(secret.trim_matches(['[', ']'])));
}

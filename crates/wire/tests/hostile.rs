//! Nothing panics on any input: random bytes, and valid ones with a few bytes changed or cut.
#![allow(clippy::unwrap_used)]

mod support;

use citronella_wire::mqtt::{self, Direction, Limits, Session, Step, Stream, Version, Violation};
use citronella_wire::websocket::WebSocket;
use citronella_wire::{LinkType, decode_frame, tls};
use proptest::prelude::*;
use support::build::{ack, connack, connect, publish, subscribe, unsubscribe};

const LINKS: [LinkType; 8] = [
    LinkType::Null,
    LinkType::Loop,
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::RawIpv4,
    LinkType::RawIpv6,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
];

fn check_frame(bytes: &[u8]) {
    for link in LINKS {
        let mut frame = Some(decode_frame(link, bytes));
        while let Some(found) = frame {
            assert!(found.payload_len >= found.payload.len());
            assert!(found.payload.len() <= bytes.len());
            assert!(found.transport.is_none() || found.ip.is_some());
            frame = found.inner();
        }
    }
}

fn check_mqtt(bytes: &[u8]) {
    let limits = Limits {
        message_bytes: 64,
        exchanges: 4,
        subscriptions: 3,
        topics: 3,
        aliases: 2,
        ..Limits::default()
    };
    let mut session = Session::new(limits);
    for (direction, mut stream) in
        [(Direction::ToServer, Stream::new(limits)), (Direction::ToClient, Stream::mid_stream(limits))]
    {
        let mut sink = |record: mqtt::Record<'_>| {
            let observed = session.observe(direction, &record, 0);
            assert!(!format!("{observed:?}").is_empty());
        };
        bytes.chunks(17).for_each(|chunk| stream.push(chunk, &mut sink));
        stream.finish(&mut sink);
    }
    assert!(session.open_exchanges() <= 4 && session.subscriptions().len() <= 3);
    assert!(session.topics().count() <= 3);
    for version in [Version::V31, Version::V311, Version::V5] {
        if let Step::Done(header) = mqtt::fixed_header(bytes) {
            let _ = mqtt::decode(&header, &bytes[header.header_len..], version, &limits);
        }
    }
    let _ = (mqtt::connect(bytes), mqtt::connack(bytes), mqtt::looks_like_mqtt(bytes, true));
    let _ = (tls::client_hello(bytes), tls::looks_like_tls(bytes));
    WebSocket::new().push(bytes, |_| {});
}

/// Valid bytes to mutate.
fn valid() -> Vec<u8> {
    [
        connect(5, 0xc6, 30, &[17, 0, 0, 0, 9, 33, 0, 20], &[b"id"]),
        connect(4, 0xc6, 30, &[], &[b"id", b"will", b"gone", b"user", b"pass"]),
        connack(true, false, 0, &[34, 0, 10]),
        subscribe(1, Some(&[11, 5]), &[(b"a/#", 1), (b"$share/g/b", 2)]),
        publish(4, b"a/b", Some(2), Some(&[35, 0, 1, 38, 0, 1, b'k', 0, 1, b'v']), b"payload"),
        ack(5, 2, &[]),
        ack(6, 2, &[0]),
        ack(7, 2, &[0x92, 0]),
        unsubscribe(3, Some(&[]), &[b"a/#"]),
        publish(0, b"a/b", None, None, &[0; 200]),
        vec![0xe0, 2, 4, 0, 0xf0, 2, 0x18, 0],
    ]
    .concat()
}

fn frame() -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([
        0x81, 0, 0, 5, 0x08, 0x00, 0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    bytes.extend([0x80, 0, 0x07, 0x5b, 0, 0, 0, 1, 0, 0, 0, 2, 0xa0, 0x18, 1, 0, 0, 0, 0, 0]);
    bytes.extend([2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7]);
    bytes
}

fn mutate(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)], cut: prop::sample::Index) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes.truncate(cut.index(bytes.len() + 1));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_frame(&bytes);
        check_mqtt(&bytes);
    }

    #[test]
    fn changed_messages(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6), cut in any::<prop::sample::Index>()) {
        check_mqtt(&mutate(valid(), &changes, cut));
    }

    #[test]
    fn changed_frames(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6), cut in any::<prop::sample::Index>()) {
        check_frame(&mutate(frame(), &changes, cut));
    }
}

#[test]
fn every_violation_has_its_own_id_and_text() {
    let mut ids: Vec<_> = Violation::TABLE.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Violation::TABLE.len());
    for (index, rule) in Violation::TABLE.iter().enumerate() {
        assert_eq!(rule.violation as usize, index);
        assert!(rule.text.ends_with('.'));
    }
}

//! Streams: any chunking gives the same records; losses, caps and mid-stream starts.
#![allow(clippy::unwrap_used)]

mod support;

use citronella_wire::mqtt::{Limits, RecordState, Stream};
use proptest::prelude::*;
use support::build::{ack, connack, connect, packet, publish, subscribe};

type Stored = (u8, u8, u32, Vec<u8>, RecordState, u64);

fn store(records: &mut Vec<Stored>) -> impl FnMut(citronella_wire::mqtt::Record<'_>) + '_ {
    |record| {
        let header = record.header;
        let body = record.body.to_vec();
        records.push((header.kind, header.flags, header.remaining_length, body, record.state, record.offset));
    }
}

fn split(bytes: &[u8], cuts: &[usize], limits: Limits) -> (Vec<Stored>, u64, bool) {
    let mut stream = Stream::new(limits);
    let mut records = Vec::new();
    let mut at = 0;
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    for cut in cuts.into_iter().chain([bytes.len()]) {
        stream.push(&bytes[at..cut], store(&mut records));
        at = cut;
    }
    let boundary = stream.is_at_boundary();
    stream.finish(store(&mut records));
    assert_eq!(stream.offset(), bytes.len() as u64);
    (records, stream.skipped_bytes(), boundary)
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(first, body)| packet(first, &body)),
        (0..3u8, "[a-z/]{1,20}", prop::collection::vec(any::<u8>(), 0..200)).prop_map(
            |(qos, topic, payload)| {
                publish(qos << 1, topic.as_bytes(), (qos > 0).then_some(7), None, &payload)
            }
        ),
        Just(packet(0xc0, &[])),
    ]
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_records(
        messages in prop::collection::vec(message(), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
        message_bytes in prop_oneof![Just(0u32), 1..50u32, Just(1_000_000)],
    ) {
        let bytes = [messages.concat(), tail].concat();
        let limits = Limits { message_bytes, ..Limits::default() };
        let whole = split(&bytes, &[], limits);
        prop_assert_eq!(&whole, &split(&bytes, &cuts, limits));
        let each_byte: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&whole, &split(&bytes, &each_byte, limits));
    }

    #[test]
    fn a_stream_of_messages_gives_every_message(messages in prop::collection::vec(message(), 0..12)) {
        let (records, skipped, boundary) = split(&messages.concat(), &[], Limits::default());
        prop_assert_eq!(skipped, 0);
        prop_assert!(boundary);
        let again: Vec<Vec<u8>> =
            records.iter().map(|(kind, flags, _, body, ..)| packet(kind << 4 | flags, body)).collect();
        prop_assert_eq!(again, messages);
    }

    #[test]
    fn random_bytes_with_losses_stay_within_the_cap(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0..300u64), 0..20),
    ) {
        let limits = Limits { message_bytes: 100, ..Limits::default() };
        let mut stream = Stream::mid_stream(limits);
        let mut total = 0;
        for (bytes, lost) in parts {
            stream.push(&bytes, |record| assert!(record.body.len() <= 100));
            stream.gap(lost, |record| assert!(record.body.len() <= 100));
            total += bytes.len() as u64 + lost;
            prop_assert!(stream.memory_bytes() <= 4_096);
        }
        stream.finish(|record| assert!(record.body.len() <= 100));
        prop_assert_eq!(stream.offset(), total);
    }
}

#[test]
fn a_loss_within_a_payload_keeps_the_stream_in_sync() {
    let long = publish(0, b"a/b", None, None, &[b'x'; 1_000]);
    let mut stream = Stream::new(Limits::default());
    let mut records = Vec::new();
    stream.push(&long[..100], store(&mut records));
    stream.gap(500, store(&mut records));
    stream.push(&long[600..], store(&mut records));
    stream.push(&packet(0xc0, &[]), store(&mut records));
    let states: Vec<_> = records.iter().map(|record| (record.0, record.4)).collect();
    assert_eq!(states, [(3, RecordState::Gap), (12, RecordState::Whole)]);
    assert_eq!((records[0].3.len(), stream.skipped_bytes(), stream.resyncs()), (97, 0, 0));
}

#[test]
fn after_a_loss_over_a_boundary_the_stream_resynchronises() {
    let mut stream = Stream::new(Limits::default());
    let mut records = Vec::new();
    stream.push(&publish(0, b"a/b", None, None, &[b'x'; 1_000])[..100], store(&mut records));
    stream.gap(5_000, store(&mut records));
    let tail = [&[b'x'; 30][..], &publish(2, b"a/c", Some(1), None, b"1"), &ack(6, 1, &[])].concat();
    stream.push(&tail, store(&mut records));
    let kinds: Vec<_> = records.iter().map(|record| (record.0, record.4)).collect();
    assert_eq!(kinds, [(3, RecordState::Gap), (3, RecordState::Whole), (6, RecordState::Whole)]);
    assert_eq!((stream.skipped_bytes(), stream.resyncs()), (30, 1));
}

#[test]
fn a_mid_stream_start_synchronises() {
    for begin in [
        publish(0, b"lab/s1/temperature", None, None, b"21.5"),
        packet(0xc0, &[]),
        subscribe(3, None, &[(b"a/#", 1)]),
        connect(4, 2, 60, &[], &[b"id"]),
        connack(false, false, 0, &[]),
    ] {
        let mut stream = Stream::mid_stream(Limits::default());
        let mut records = Vec::new();
        stream.push(&begin, store(&mut records));
        assert_eq!(records.len(), 1, "{begin:02x?}");
        assert_eq!(stream.skipped_bytes(), 0);
    }
}

#[test]
fn an_invalid_length_ends_the_stream() {
    let bytes = [&packet(0xc0, &[])[..], &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01], &packet(0xc0, &[])].concat();
    let (records, skipped, _) = split(&bytes, &[], Limits::default());
    assert_eq!(records.len(), 2);
    assert_eq!((records[1].4, records[1].5, skipped), (RecordState::BadLength, 2, 8));
    assert_eq!(split(&bytes, &[4, 5, 7], Limits::default()).1, 8);
}

#[test]
fn a_message_of_256_mb_costs_the_cap_only() {
    let limits = Limits { message_bytes: 65_536, ..Limits::default() };
    let mut stream = Stream::new(limits);
    stream.push(&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a'], |_| panic!("not yet"));
    assert_eq!(stream.incomplete().unwrap().remaining_length, 268_435_455);
    let chunk = vec![0; 1_000_000];
    let mut seen = 0;
    for _ in 0..269 {
        stream.push(&chunk, |record| {
            if record.state == RecordState::OverCap {
                assert_eq!((record.body.len(), record.missing()), (65_536, 268_435_455 - 65_536));
                seen += 1;
            }
        });
        assert!(stream.memory_bytes() <= 2 * 65_536);
    }
    assert_eq!(seen, 1);
}

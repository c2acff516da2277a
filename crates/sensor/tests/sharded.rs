//! The flows of a capture do not depend on the number of threads.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

use std::io::Cursor;

use citronella_sensor::{
    capture::Capture,
    feature::{
        biflow::{BiflowLevel, BiflowRow},
        packet::Attacker,
        uniflow::{UniflowLevel, UniflowRow},
    },
    flow::ids2020::{Counters, Limits},
};
use proptest::prelude::*;

/// Raw IP; a packet's time in microseconds, its two hosts, its ports and its bytes of payload.
type Packet = (u32, (u8, u8), (u16, u16), u16);

fn pcap(packets: &[Packet]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        out.extend(word.to_le_bytes());
    }
    for (micros, hosts, ports, payload) in packets {
        let total = 28 + payload;
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, hosts.0, 10, 0, 0, hosts.1];
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes.extend([ports.0, ports.1, 8 + payload, 0].into_iter().flat_map(u16::to_be_bytes));
        bytes.resize(usize::from(total), 0);
        for word in [micros / 1_000_000, micros % 1_000_000, total.into(), total.into()] {
            out.extend(word.to_le_bytes());
        }
        out.extend(bytes);
    }
    out
}

type Flows = (Vec<UniflowRow>, Vec<BiflowRow>, Counters);

fn on_one_thread(bytes: &[u8], limits: Limits) -> Flows {
    let open = || Capture::from_reader("test", Box::new(Cursor::new(bytes.to_vec()))).unwrap();
    let attacker = Attacker::One("10.0.0.1".parse().unwrap());
    let (mut uniflows, mut biflows) =
        (UniflowLevel::new(attacker, limits), BiflowLevel::new(attacker, limits));
    let mut capture = open();
    while let Ok(Some(packet)) = capture.next() {
        uniflows.add(&packet);
        biflows.add(&packet);
    }
    let (uniflows, biflows) = (uniflows.finish(), biflows.finish());
    let losses = uniflows.counters();
    assert_eq!(losses, biflows.counters());
    (uniflows.collect(), biflows.collect(), losses)
}

fn on_threads(bytes: &[u8], limits: Limits, threads: usize) -> Flows {
    let open = || Capture::from_reader("test", Box::new(Cursor::new(bytes.to_vec()))).unwrap();
    let known = (Attacker::One("10.0.0.1".parse().unwrap()), limits);
    let (uniflows, ended) = UniflowLevel::of_capture(&mut open(), known, threads, |_| ());
    ended.unwrap();
    let (biflows, ended) = BiflowLevel::of_capture(&mut open(), known, threads, |_| ());
    ended.unwrap();
    let losses = uniflows.counters();
    assert_eq!(losses, biflows.counters());
    (uniflows.collect(), biflows.collect(), losses)
}

fn packets(most: usize) -> impl Strategy<Value = Vec<Packet>> {
    let packet = (0..400_u32, (0..3_u8, 0..3_u8), (0..4_u16, 0..4_u16), 0..1500_u16);
    prop::collection::vec(packet, 0..most).prop_map(|mut packets| {
        for (at, packet) in packets.iter_mut().enumerate() {
            // Forward on the whole, with steps back.
            packet.0 += 20 * at as u32;
        }
        packets
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Late packets, and conversations beyond the cap, included.
    #[test]
    fn any_traffic_gives_the_same_flows(
        packets in packets(4000),
        window in 1..40_usize,
        most in prop_oneof![1..12_usize, Just(1 << 24)],
        threads in 2..5_usize,
    ) {
        let limits = Limits { max_conversations: most, sort_window_packets: window };
        let bytes = pcap(&packets);
        let expected = on_one_thread(&bytes, limits);
        prop_assert_eq!(&on_threads(&bytes, limits, threads), &expected);
    }
}

#[test]
fn late_packets_and_a_full_table_are_covered() {
    // Some packets are 800 late, more than the window of 16; 200 conversations exceed the capacity of 150.
    let packets: Vec<Packet> = (0..60_000_u32)
        .map(|at| {
            let late = if at % 1000 == 999 { 8000 } else { 0 };
            (
                1000 + at * 10 - late,
                (1 + (at % 7) as u8, 200),
                (1000 + (at * at % 200) as u16, 1883),
                (at % 900) as u16,
            )
        })
        .collect();
    let bytes = pcap(&packets);
    let limits = Limits { max_conversations: 150, sort_window_packets: 16 };
    let expected = on_one_thread(&bytes, limits);
    assert!(expected.2.packets_over_cap > 0 && expected.2.packets_too_late > 0, "{:?}", expected.2);
    assert!(expected.0.len() >= 150);
    for threads in 2..5 {
        assert!(on_threads(&bytes, limits, threads) == expected, "{threads} threads");
    }
}

#[test]
fn packets_before_an_error_are_counted() {
    let packets: Vec<Packet> = (0..9_000).map(|at| (at, (1, 2), (at as u16 % 50, 1883), 100)).collect();
    let mut bytes = pcap(&packets);
    bytes.truncate(bytes.len() - 7);
    let expected = on_one_thread(&bytes, Limits::default());
    let mut capture = Capture::from_reader("test", Box::new(Cursor::new(bytes))).unwrap();
    let known = (Attacker::One("10.0.0.1".parse().unwrap()), Limits::default());
    let (rows, ended) = UniflowLevel::of_capture(&mut capture, known, 3, |_| ());
    let error = ended.unwrap_err();
    assert!(error.is_cut() && error.to_string().contains("packet 9000"), "{error}");
    assert_eq!(rows.collect::<Vec<_>>(), expected.0);
}

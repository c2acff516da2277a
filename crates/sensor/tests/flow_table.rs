//! The live flow table: when flows start and end, and its cap.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use citronella_sensor::flow::{EndReason, FlowEvent, FlowKey, FlowPacket, FlowTable, Phase, table::Limits};
use citronella_wire::TcpFlags;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;
const SYN: u16 = TcpFlags::SYN;
const ACK: u16 = TcpFlags::ACK;
const FIN: u16 = TcpFlags::FIN;
const RST: u16 = TcpFlags::RST;

fn host(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

/// A packet of 100 bytes; no flags: UDP.
fn packet(secs: f64, from: (u32, u16), to: (u32, u16), flags: Option<u16>) -> FlowPacket {
    let protocol = if flags.is_some() { 6 } else { 17 };
    let (key, direction) = FlowKey::new((host(from.0), from.1), (host(to.0), to.1), protocol);
    let time_nanos = 1_700_000_000 * SECOND + (secs * 1e9) as i64;
    FlowPacket { time_nanos, key, direction, len: 100, payload_len: 60, tcp: flags.map(TcpFlags) }
}

const A: (u32, u16) = (1, 40_000);
const B: (u32, u16) = (2, 1883);

fn there(secs: f64, flags: u16) -> FlowPacket {
    packet(secs, A, B, Some(flags))
}

fn back(secs: f64, flags: u16) -> FlowPacket {
    packet(secs, B, A, Some(flags))
}

/// Packets and end reason of each flow, in order of the ends.
fn endings(limits: Limits, packets: &[FlowPacket]) -> Vec<(u64, EndReason)> {
    let mut table = FlowTable::new(limits);
    let mut ended = Vec::new();
    let mut observe = |event: FlowEvent<'_>| {
        if let FlowEvent::Ended { flow, reason, .. } = event {
            ended.push((flow.packets(), reason));
        }
    };
    for packet in packets {
        table.add(packet, &mut observe);
    }
    table.finish(&mut observe);
    assert_eq!(table.counters().started, table.counters().ended);
    assert_eq!(ended.iter().map(|(packets, _)| packets).sum::<u64>(), packets.len() as u64);
    ended
}

#[test]
fn a_syn_after_fin_or_rst_starts_a_new_flow() {
    let packets = [
        there(0.0, SYN),
        back(0.1, SYN | ACK),
        there(0.2, FIN | ACK),
        back(0.3, FIN | ACK),
        there(0.4, ACK),
        there(1.0, SYN),
        there(1.1, SYN),
        back(1.2, RST | ACK),
        there(2.0, SYN),
    ];
    let expected = [(5, EndReason::Finished), (3, EndReason::Reset), (1, EndReason::Capture)];
    assert_eq!(endings(Limits::default(), &packets), expected);
}

#[test]
fn idle_flows_end_while_others_continue() {
    let limits = Limits::default();
    let mut packets = vec![packet(0.0, (7, 5353), (8, 5353), None), there(0.0, SYN)];
    packets.extend((0..200).map(|at| packet(f64::from(at), (3, 9), (4, 9), None)));
    let expected = [(1, EndReason::Idle), (1, EndReason::Idle), (200, EndReason::Capture)];
    assert_eq!(endings(limits, &packets), expected);
}

#[test]
fn a_packet_after_the_idle_timeout_starts_a_new_flow() {
    let packets = [there(0.0, SYN), there(60.5, SYN)];
    assert_eq!(endings(Limits::default(), &packets), [(1, EndReason::Idle), (1, EndReason::Capture)]);
    let packets = [there(0.0, SYN), back(0.1, SYN | ACK), there(599.0, ACK)];
    assert_eq!(endings(Limits::default(), &packets), [(3, EndReason::Capture)]);
}

#[test]
fn flows_end_at_the_active_timeout() {
    let limits = Limits { active: Duration::from_secs(100), ..Limits::default() };
    let packets: Vec<FlowPacket> = (0..250).map(|at| packet(f64::from(at), A, B, None)).collect();
    assert_eq!(
        endings(limits, &packets),
        [(100, EndReason::Active), (100, EndReason::Active), (50, EndReason::Capture)]
    );
}

#[test]
fn a_step_back_of_time_ends_no_flow() {
    let packets = [there(7200.0, SYN), back(7200.1, SYN | ACK), there(3600.0, ACK), back(3600.5, ACK)];
    assert_eq!(endings(Limits::default(), &packets), [(4, EndReason::Capture)]);
}

#[test]
fn a_full_table_evicts_the_idlest_flow() {
    let limits = Limits { max_flows: 3, ..Limits::default() };
    let mut packets: Vec<FlowPacket> =
        (0..3).map(|at| packet(f64::from(at), (10 + at, 1), (99, 1), None)).collect();
    packets.push(packet(5.0, (10, 1), (99, 1), None));
    packets.push(packet(6.0, (50, 1), (99, 1), None));
    let mut table = FlowTable::new(limits);
    let mut ended = Vec::new();
    for packet in &packets {
        let slot = table.add(packet, |event| {
            if let FlowEvent::Ended { flow, reason, .. } = event {
                ended.push((flow.src().0, reason));
            }
        });
        assert!(slot < 3);
    }
    assert_eq!(ended, [(host(11), EndReason::Evicted)]);
    assert_eq!((table.len(), table.counters().evicted), (3, 1));
}

#[test]
fn the_initiator_is_found_without_a_syn() {
    let mut table = FlowTable::new(Limits::default());
    let mut src_of = |packet: FlowPacket| {
        let slot = table.add(&packet, |_| {});
        table.get(slot).map(|flow| flow.src().0)
    };
    assert_eq!(src_of(there(0.0, SYN)), Some(host(1)));
    assert_eq!(src_of(packet(0.0, B, (5, 40_001), Some(SYN | ACK))), Some(host(5)));
    assert_eq!(src_of(packet(0.0, B, (6, 40_001), Some(ACK))), Some(host(6)));
    assert_eq!(src_of(packet(0.0, (7, 53), (8, 4000), None)), Some(host(7)));
}

#[test]
fn statistics_are_those_of_the_packets() {
    let mut table = FlowTable::new(Limits::default());
    let times = [0.0, 0.5, 0.75, 3.0];
    let mut slot = 0;
    for secs in times {
        slot = table.add(&there(secs, ACK | TcpFlags::PSH), |_| {});
    }
    let flow = table.get(slot).unwrap();
    let side = &flow.sides[0];
    assert_eq!(flow.phase, Phase::Unanswered);
    assert_eq!((side.packets, side.bytes, side.payload_bytes, side.psh), (4, 400, 240, 4));
    assert!((side.mean_gap_secs() - 1.0).abs() < 1e-12);
    let variance: f64 = [0.5_f64, 0.25, 2.25].iter().map(|gap| (gap - 1.0).powi(2)).sum::<f64>() / 3.0;
    assert!((side.std_gap_secs() - variance.sqrt()).abs() < 1e-12);
    assert_eq!((side.min_gap_nanos, side.max_gap_nanos), (250_000_000, 2_250_000_000));
    assert_eq!((side.mean_len(), side.std_len()), (100.0, 0.0));
}

#[test]
fn a_million_half_open_flows_stay_within_the_cap() {
    let limits = Limits { max_flows: 100_000, ..Limits::default() };
    let mut table = FlowTable::new(limits);
    let mut highest = 0;
    let mut evicted = 0;
    for number in 0..1_000_000_u32 {
        let port = (number % 60_000) as u16;
        let packet = packet(f64::from(number) * 1e-5, (1000 + number / 60_000, port), B, Some(SYN));
        let slot = table.add(&packet, |event| {
            evicted += u64::from(matches!(event, FlowEvent::Ended { reason: EndReason::Evicted, .. }));
        });
        highest = highest.max(slot);
    }
    assert_eq!(table.len(), 100_000);
    assert_eq!(highest, 99_999);
    assert_eq!((table.counters().evicted, evicted), (900_000, 900_000));
}

#[test]
fn simultaneous_timeouts_are_spread_over_several_packets() {
    let mut table = FlowTable::new(Limits::default());
    for number in 0..10_000_u32 {
        table.add(&packet(0.0, (1000 + number, 1), B, Some(SYN)), |_| ());
    }
    let mut ended = Vec::new();
    for later in 0..4 {
        let mut now = 0;
        let mut observe = |event: FlowEvent<'_>| now += u32::from(matches!(event, FlowEvent::Ended { .. }));
        match later {
            0 => table.tick(1_700_000_300 * SECOND, &mut observe),
            _ => drop(table.add(&packet(300.0, A, B, Some(SYN)), &mut observe)),
        }
        ended.push(now);
    }
    assert_eq!(ended, [4096, 4096, 1808, 0]);

    // At the capture's end in the order of the slots, a few at a time.
    for number in 0..10_u32 {
        table.add(&packet(301.0, (1000 + number, 1), B, Some(SYN)), |_| ());
    }
    let (mut from, mut ended) = (Some(0), Vec::new());
    while let Some(slot) = from {
        let mut now = 0;
        from = table.finish_some(slot, 4, |event| now += u32::from(matches!(event, FlowEvent::Ended { .. })));
        ended.push(now);
    }
    assert_eq!(ended, [4, 4, 3]);
    assert!(table.is_empty());
}

proptest! {
    /// For any packets: every flow starts and ends once, every packet belongs to one, the cap holds.
    #[test]
    fn events_are_well_formed(
        packets in prop::collection::vec(
            (0_u32..5, 0_u16..3, 0_u32..5, 0_u16..3, prop::option::of(0_u16..64), -5.0..400.0_f64), 0..200),
        max_flows in 1_usize..8,
    ) {
        let mut table = FlowTable::new(Limits { max_flows, ..Limits::default() });
        let mut open = std::collections::HashMap::new();
        let (mut ended, mut at) = (0, 0.0);
        let mut observe = |event: FlowEvent<'_>| match event {
            FlowEvent::New { slot, flow } => assert!(open.insert(slot, (flow.id, 0)).is_none()),
            FlowEvent::Packet { slot, flow, .. } => {
                let known = open.get_mut(&slot).unwrap();
                known.1 += 1;
                assert_eq!(*known, (flow.id, flow.packets()));
            }
            FlowEvent::Ended { slot, flow, .. } => {
                assert_eq!(open.remove(&slot), Some((flow.id, flow.packets())));
                ended += 1;
            }
        };
        for (a, p, b, q, flags, step) in &packets {
            at += step;
            table.add(&packet(at, (*a, *p), (*b, *q), *flags), &mut observe);
            prop_assert!(table.len() <= max_flows);
        }
        table.finish(&mut observe);
        prop_assert!(open.is_empty());
        prop_assert_eq!(table.counters().ended, ended);
        prop_assert_eq!(table.counters().packets, packets.len() as u64);
    }
}

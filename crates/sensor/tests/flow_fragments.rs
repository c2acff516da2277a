//! IP reassembly: fragments of any size in any order give the datagram, faults are reported, caps hold.
#![allow(clippy::unwrap_used)] // tests

use std::time::Duration;

use citronella_sensor::flow::fragments::{Counters, DATAGRAM_BYTES, Fault, Fragments, Limits};
use citronella_wire::{LinkType, Transport, decode_frame};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;

/// A UDP datagram from port 7000 to 9999 with `payload` bytes of payload.
fn datagram(payload: usize) -> Vec<u8> {
    let mut bytes = [7_000_u16, 9_999, 8 + payload as u16, 0].map(u16::to_be_bytes).concat();
    bytes.extend((0..payload).map(|at| (at * 31 % 251) as u8));
    bytes
}

/// Raw IPv4 with bytes `from..to` of `whole`.
fn v4(whole: &[u8], from: usize, to: usize, id: u16) -> Vec<u8> {
    let more = if to < whole.len() { 0x2000 } else { 0 };
    v4_raw(&whole[from..to], more | (from / 8) as u16, id)
}

fn v4_raw(payload: &[u8], flags: u16, id: u16) -> Vec<u8> {
    let head = [0x4500, 20 + payload.len() as u16, id, flags, 0x4011, 0, 0x0a00, 1, 0x0a00, 2];
    [&head.map(u16::to_be_bytes).concat()[..], payload].concat()
}

/// Raw IPv6 with bytes `from..to` of `whole`.
fn v6(whole: &[u8], from: usize, to: usize, id: u32) -> Vec<u8> {
    let more = u16::from(to < whole.len());
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((8 + (to - from) as u16).to_be_bytes());
    bytes.extend([44, 64]);
    bytes.extend([[0xfd; 16], [0xfe; 16]].concat());
    bytes.extend([17, 0]);
    bytes.extend((from as u16 | more).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(&whole[from..to]);
    bytes
}

/// The payload of the UDP datagram that this fragment completes, and the fragment's fault.
fn take(fragments: &mut Fragments, at: i64, bytes: &[u8]) -> (Option<Vec<u8>>, Option<Fault>) {
    let frame = decode_frame(LinkType::RawIp, bytes);
    assert!(frame.is_fragment());
    let mut found = None;
    let whole = fragments.frame(at, frame, |fault| found = Some(fault));
    let payload = whole.transport.map(|transport| {
        assert!(matches!(transport, Transport::Udp(udp) if (udp.src_port, udp.dst_port) == (7_000, 9_999)));
        let ip = whole.ip.unwrap();
        assert_eq!(ip.total_len as usize, usize::from(ip.header_len) + 8 + whole.payload.len());
        assert!(!ip.is_fragment() && whole.stop.is_none());
        whole.payload.to_vec()
    });
    (payload, found)
}

fn all(packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Fault>, Counters) {
    let mut fragments = Fragments::default();
    let (mut wholes, mut faults) = (Vec::new(), Vec::new());
    for packet in packets {
        let (whole, fault) = take(&mut fragments, 0, packet);
        wholes.extend(whole);
        faults.extend(fault);
    }
    (wholes, faults, fragments.counters())
}

proptest! {
    /// Fragments of any size, in any order, repeated before the last one arrives, give one datagram.
    #[test]
    fn any_order_gives_the_datagram(
        payload in 40_usize..3_000,
        cuts in prop::collection::btree_set(1_usize..300, 1..20),
        twice in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        is_v6 in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let whole = datagram(payload);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut * 8).filter(|cut| *cut < whole.len()).collect();
        prop_assume!(!ends.is_empty());
        ends.push(whole.len());
        let mut ranges: Vec<(usize, usize)> =
            ends.iter().scan(0, |from, to| Some((std::mem::replace(from, *to), *to))).collect();
        let mut state = seed;
        for at in (1..ranges.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ranges.swap(at, (state >> 33) as usize % (at + 1));
        }
        for index in &twice {
            let at = index.index(ranges.len() - 1);
            ranges.insert(at, ranges[at]);
        }
        let packet = |(from, to): &(usize, usize)| {
            if is_v6 { v6(&whole, *from, *to, 9) } else { v4(&whole, *from, *to, 9) }
        };
        let (wholes, faults, counters) = all(&ranges.iter().map(packet).collect::<Vec<_>>());
        prop_assert_eq!(wholes, vec![whole[8..].to_vec()]);
        prop_assert_eq!(faults, vec![]);
        prop_assert_eq!((counters.reassembled, counters.kept_bytes), (1, 0));
        prop_assert_eq!(counters.repeated as usize, twice.len());
    }

    /// For any fragments: no panic, the caps hold, and a datagram is never longer than the sum of its fragments.
    #[test]
    fn hostile_fragments_are_bounded(
        parts in prop::collection::vec((0_u16..0x2000, any::<bool>(), 0_usize..200, 0_u16..4, any::<u8>(), any::<bool>()), 0..80),
        near in any::<bool>(),
    ) {
        let limits = Limits { datagrams: 3, bytes_in_all: 4_000, runs_per_datagram: 5, ..Limits::default() };
        let mut fragments = Fragments::new(limits);
        let mut given = 0;
        for (at, (offset, more, len, id, byte, is_v6)) in parts.into_iter().enumerate() {
            let offset = if near { offset % 32 } else { offset };
            let payload = vec![byte; len];
            let bytes = if is_v6 {
                let mut bytes = v6(&payload, 0, len, u32::from(id));
                bytes[42..44].copy_from_slice(&(offset << 3 | u16::from(more)).to_be_bytes());
                bytes
            } else {
                v4_raw(&payload, offset | u16::from(more) << 13, id)
            };
            let frame = decode_frame(LinkType::RawIp, &bytes);
            given += len;
            let whole = fragments.frame(at as i64 * SECOND, frame, |_| ());
            prop_assert!(whole.payload.len() <= given);
            let counters = fragments.counters();
            prop_assert!(fragments.len() <= 3 && counters.kept_bytes <= 4_000, "{counters:?}");
        }
        // All datagrams time out.
        let last = v4_raw(&[0; 8], 0x2000, 99);
        let _ = fragments.frame(10_000 * SECOND, decode_frame(LinkType::RawIp, &last), |_| ());
        prop_assert_eq!(fragments.len(), 1);
        prop_assert!(fragments.counters().kept_bytes <= DATAGRAM_BYTES + 64 + 16);
    }
}

#[test]
fn the_first_copy_wins_in_ipv4() {
    let whole = datagram(56);
    let other: Vec<u8> = whole.iter().map(|byte| byte ^ 0xff).collect();
    let (wholes, faults, counters) =
        all(&[v4(&whole, 0, 32, 1), v4(&other, 24, 48, 1), v4(&whole, 32, 48, 1), v4(&whole, 48, 64, 1)]);
    let expected = [&whole[8..32], &other[32..48], &whole[48..]].concat();
    assert_eq!((wholes, faults), (vec![expected], vec![Fault::Conflict, Fault::Conflict]));
    assert_eq!((counters.faulty, counters.repeated), (2, 2));
    // The same bytes, partly repeated.
    let (wholes, faults, _) = all(&[v4(&whole, 0, 32, 1), v4(&whole, 24, 48, 1), v4(&whole, 48, 64, 1)]);
    assert_eq!((wholes, faults), (vec![whole[8..].to_vec()], vec![Fault::Overlap]));
}

#[test]
fn an_overlap_discards_an_ipv6_datagram() {
    let whole = datagram(56);
    let (wholes, faults, counters) =
        all(&[v6(&whole, 0, 32, 1), v6(&whole, 24, 48, 1), v6(&whole, 0, 32, 1), v6(&whole, 32, 64, 1)]);
    assert_eq!((wholes, faults), (vec![], vec![Fault::Overlap]));
    assert_eq!((counters.given_up, counters.kept_bytes), (1, DATAGRAM_BYTES));
}

#[test]
fn impossible_fragments_are_reported() {
    let whole = datagram(56);
    let longer = datagram(120);
    let cases: [(&[Vec<u8>], Fault); 6] = [
        (&[v4(&whole, 0, 32, 1), v4(&whole, 32, 64, 2), v4(&longer, 80, 88, 2)], Fault::End),
        (&[v4(&whole, 32, 64, 1), v4(&longer, 72, 128, 1)], Fault::End),
        (&[v4(&longer, 72, 80, 1), v4(&whole, 32, 64, 1)], Fault::End),
        (&[v4_raw(&[7; 16], 0x1fff, 1)], Fault::TooLong),
        (&[v4_raw(&[], 0x2000, 1)], Fault::Length),
        (&[v4_raw(&[7; 15], 0x2000, 1)], Fault::Length),
    ];
    for (packets, fault) in cases {
        let (wholes, faults, _) = all(packets);
        assert_eq!((wholes, faults), (vec![], vec![fault]));
    }
}

#[test]
fn an_incomplete_datagram_times_out() {
    let whole = datagram(56);
    for (seconds, completes) in [(59, true), (60, false)] {
        let mut fragments = Fragments::default();
        take(&mut fragments, 0, &v4(&whole, 0, 32, 1));
        let (found, _) = take(&mut fragments, seconds * SECOND, &v4(&whole, 32, 64, 1));
        assert_eq!((found.is_some(), fragments.counters().timed_out), (completes, u64::from(!completes)));
    }
}

#[test]
fn the_oldest_datagram_is_evicted() {
    let whole = datagram(56);
    let limits = Limits { datagrams: 100, timeout: Duration::MAX, ..Limits::default() };
    let mut fragments = Fragments::new(limits);
    for id in 0..1_000 {
        take(&mut fragments, 0, &v4(&whole, 0, 32, id));
    }
    assert_eq!((fragments.len(), fragments.counters().evicted), (100, 900));
    assert_eq!(take(&mut fragments, 0, &v4(&whole, 32, 64, 950)).0.unwrap(), &whole[8..]);
    assert_eq!(take(&mut fragments, 0, &v4(&whole, 32, 64, 850)).0, None);
}

/// Fragments with a hole after each, and datagrams that never end.
#[test]
fn a_flood_stays_below_the_cap_on_bytes() {
    let limits = Limits { bytes_in_all: 1 << 20, ..Limits::default() };
    let mut fragments = Fragments::new(limits);
    for number in 0..300_000_u32 {
        let bytes = v4_raw(&[7; 8], 0x2000 | ((number * 2) as u16 & 0x1fff), (number / 300) as u16);
        take(&mut fragments, 0, &bytes);
        assert!(fragments.counters().kept_bytes <= 1 << 20);
    }
    let counters = fragments.counters();
    assert_eq!(counters.fragments, 300_000);
    // 300 runs exceed the limit of a datagram.
    assert_eq!(counters.given_up, 1_000);
}

#[test]
fn a_truncated_fragment_is_not_reassembled() {
    let whole = datagram(56);
    let mut fragments = Fragments::default();
    let first = v4(&whole, 0, 32, 1);
    let (found, _) = {
        let frame = decode_frame(LinkType::RawIp, &first[..40]);
        let seen = fragments.frame(0, frame, |_| ());
        (seen.transport, seen.payload_len)
    };
    assert!(matches!(found, Some(Transport::Udp(udp)) if udp.dst_port == 9_999));
    assert_eq!(take(&mut fragments, 0, &v4(&whole, 32, 64, 1)).0, None);
    assert_eq!(fragments.counters().cut, 1);
}

//! The flow levels, by the rules of the data set.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

use citronella_sensor::{
    capture::Packet,
    feature::{
        biflow::{BiflowLevel, BiflowRow},
        packet::{Attacker, Cell},
        schema::{Kind, Level},
        uniflow::{UniflowLevel, UniflowRow},
    },
    flow::ids2020::Limits,
};
use citronella_wire::LinkType;

const SECOND: i64 = 1_000_000_000;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// An IPv4 datagram with a transport header and `payload` bytes of payload.
fn datagram(protocol: u8, from: (u8, u16), to: (u8, u16), payload: usize) -> Vec<u8> {
    let header = if protocol == TCP { 20 } else { 8 };
    let total = (20 + header + payload) as u16;
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0];
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    if protocol == TCP {
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    } else {
        bytes.extend(((8 + payload) as u16).to_be_bytes());
        bytes.extend([0, 0]);
    }
    bytes.resize(usize::from(total), 0);
    bytes
}

fn packet(time_nanos: i64, bytes: &[u8]) -> Packet<'_> {
    Packet { number: 1, time_nanos, link: LinkType::RawIp, wire_len: bytes.len() as u32, bytes }
}

fn uniflows(limits: Limits, packets: &[(i64, Vec<u8>)]) -> Vec<UniflowRow> {
    let mut level = UniflowLevel::new(Attacker::One("10.0.0.9".parse().unwrap()), limits);
    packets.iter().for_each(|(time, bytes)| assert!(level.add(&packet(*time, bytes))));
    level.finish().collect()
}

fn biflows(packets: &[(i64, Vec<u8>)]) -> Vec<BiflowRow> {
    let mut level = BiflowLevel::new(Attacker::Unknown, Limits::default());
    for (time, bytes) in packets {
        level.add(&packet(*time, bytes));
    }
    level.finish().collect()
}

fn ports(row: &BiflowRow) -> (u16, u16) {
    (row.src.1, row.dst.1)
}

#[test]
fn arrival_times_are_sorted_before_they_are_summed() {
    let start = 1_581_000_000 * SECOND;
    let at = |secs: f64| (start + (secs * 1e9) as i64, datagram(UDP, (1, 5), (2, 6), 10));
    let ordered = uniflows(Limits::default(), &[at(0.0), at(1.0), at(4.0), at(4.5)]);
    let mixed = uniflows(Limits::default(), &[at(4.0), at(0.0), at(4.5), at(1.0)]);
    assert_eq!(ordered, mixed);
    let gaps = ordered[0].flow.gaps();
    assert_eq!((gaps.mean, gaps.min, gaps.max), (1.5, 0.5, 3.0));
    assert_eq!(gaps.mean_offset, (1.0 + 4.0 + 4.5) / 3.0);
    let variance: f64 = [1.0_f64, 3.0, 0.5].iter().map(|gap| (gap - 1.5).powi(2)).sum::<f64>() / 3.0;
    assert!((gaps.std - variance.sqrt()).abs() < 1e-15);
}

#[test]
fn a_packet_that_is_too_late_to_be_sorted_is_counted() {
    let limits = Limits { sort_window_packets: 2, ..Limits::default() };
    let mut level = UniflowLevel::new(Attacker::Unknown, limits);
    let bytes = datagram(UDP, (1, 5), (2, 6), 10);
    for secs in [10, 11, 12, 13, 1] {
        level.add(&packet(secs * SECOND, &bytes));
    }
    let rows = level.finish();
    assert_eq!(rows.counters().packets_too_late, 1);
    assert_eq!(rows.map(|row| row.flow.packets).collect::<Vec<_>>(), [5]);
}

#[test]
fn conversations_are_capped_and_further_packets_counted() {
    let limits = Limits { max_conversations: 2, ..Limits::default() };
    let mut level = BiflowLevel::new(Attacker::Unknown, limits);
    let taken: Vec<bool> =
        (1..6).map(|port| level.add(&packet(SECOND, &datagram(UDP, (1, port), (2, 6), 10)))).collect();
    assert_eq!(taken, [true, true, false, false, false]);
    let rows = level.finish();
    assert_eq!(rows.counters().packets_over_cap, 3);
    assert_eq!(rows.count(), 2);
}

#[test]
fn tcp_without_a_reply_has_no_row_and_udp_without_one_comes_last() {
    let rows = biflows(&[
        (0, datagram(UDP, (1, 1000), (2, 53), 10)),
        (1, datagram(TCP, (1, 1001), (2, 22), 0)),
        (2, datagram(TCP, (1, 1002), (2, 1883), 0)),
        (3, datagram(TCP, (2, 1883), (1, 1002), 4)),
        (4, datagram(UDP, (3, 7), (3, 7), 0)),
    ]);
    assert_eq!(rows.iter().map(ports).collect::<Vec<_>>(), [(1002, 1883), (7, 7), (1000, 53)]);
    assert_eq!((rows[0].forward.bytes, rows[0].backward.bytes), (40, 44));
    assert_eq!(rows[2].forward, rows[2].backward);
    let sources: Vec<(u64, f64)> = rows.iter().map(|row| (row.source.flows, row.source.port_delta)).collect();
    assert_eq!(sources, [(2, 1830.0), (1, 7.0), (2, 1830.0)]);
}

#[test]
fn only_ipv4_tcp_and_udp_have_rows() {
    let mut level = UniflowLevel::new(Attacker::Unknown, Limits::default());
    let mut six = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
    six.resize(48, 1);
    let mut icmp = datagram(UDP, (1, 2), (3, 4), 0);
    icmp[9] = 1;
    assert!(!level.add(&packet(0, &six)));
    assert!(!level.add(&packet(0, &icmp)));
    // Only the first fragment of a datagram has ports.
    let mut first = datagram(UDP, (1, 2), (3, 4), 8);
    first[6] = 0x20;
    let mut second = first.clone();
    second[6] = 0x00;
    second[7] = 2;
    assert!(level.add(&packet(0, &first)));
    assert!(!level.add(&packet(0, &second)));
}

#[test]
fn deviations_are_exact_after_years() {
    // Gaps of one year and then of a microsecond, at nanoseconds since 1970.
    let year = 31_557_600 * SECOND;
    let bytes = datagram(UDP, (1, 5), (2, 6), 10);
    let packets: Vec<(i64, Vec<u8>)> =
        [year, 2 * year, 2 * year + 1000].map(|time| (time, bytes.clone())).into();
    let gaps = uniflows(Limits::default(), &packets)[0].flow.gaps();
    let (a, b) = (31_557_600.0, 1e-6);
    assert!((gaps.std - (a - b) / 2.0).abs() / gaps.std < 1e-15);
    let close: Vec<(i64, Vec<u8>)> = (0..1000).map(|at| (year + at * 1000 + at % 2, bytes.clone())).collect();
    let gaps = uniflows(Limits::default(), &close)[0].flow.gaps();
    assert!((gaps.std - 1e-9).abs() < 1e-15, "{}", gaps.std);
}

#[test]
fn cells_fit_their_columns() {
    let packets = [(0, datagram(TCP, (9, 1), (2, 2), 0)), (1, datagram(TCP, (2, 2), (9, 1), 0))];
    let row = uniflows(Limits::default(), &packets)[0];
    fits(&row.cells(), Level::Uniflow);
    fits(&row.extended_cells(), Level::UniflowExtended);
    assert_eq!(row.is_attack, Some(true));
    let row = biflows(&packets)[0];
    fits(&row.cells(), Level::Biflow);
    fits(&row.extended_cells(), Level::BiflowExtended);
}

fn fits(cells: &[Cell], level: Level) {
    assert_eq!(cells.len(), level.columns().len());
    for (cell, column) in cells.iter().zip(level.columns()) {
        let kind = match cell {
            Cell::Address(_) | Cell::Name(_) => Kind::Text,
            Cell::UInt(_) => Kind::UInt,
            Cell::Float(_) => Kind::Float,
            Cell::Flag(_) => Kind::Flag,
            Cell::Micros(_) => Kind::Timestamp,
            Cell::Empty => column.kind,
        };
        assert_eq!(kind, column.kind, "{}", column.name);
    }
}

#[test]
fn columns_are_in_published_order() {
    let names = |level: Level| level.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(Level::Uniflow),
        "ip_src ip_dst prt_src prt_dst proto num_pkts mean_iat std_iat min_iat max_iat mean_pkt_len num_bytes \
         num_psh_flags num_rst_flags num_urg_flags std_pkt_len min_pkt_len max_pkt_len is_attack"
    );
    assert_eq!(
        names(Level::Biflow),
        "ip_src ip_dst prt_src prt_dst proto fwd_num_pkts bwd_num_pkts fwd_mean_iat bwd_mean_iat fwd_std_iat \
         bwd_std_iat fwd_min_iat bwd_min_iat fwd_max_iat bwd_max_iat fwd_mean_pkt_len bwd_mean_pkt_len \
         fwd_std_pkt_len bwd_std_pkt_len fwd_min_pkt_len bwd_min_pkt_len fwd_max_pkt_len bwd_max_pkt_len \
         fwd_num_bytes bwd_num_bytes fwd_num_psh_flags bwd_num_psh_flags fwd_num_rst_flags bwd_num_rst_flags \
         fwd_num_urg_flags bwd_num_urg_flags is_attack"
    );
}

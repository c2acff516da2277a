//! The level as a whole: what rows depend on, and what they must not depend on.

use std::net::Ipv4Addr;

use citronella_wire::{Frame, LinkType, decode_frame};

use super::*;
use crate::flow::initiator::Count;

const SECOND: i64 = 1_000_000_000;

/// A TCP segment over IPv4 over Ethernet.
fn segment(src: (u8, u16), dst: (u8, u16), seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((40 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, src.0, 10, 0, 0, dst.0]);
    bytes.extend(src.1.to_be_bytes());
    bytes.extend(dst.1.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const RST: u8 = 4;
const PSH_ACK: u8 = 24;
const FIN_ACK: u8 = 17;
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";

fn add(level: &mut SequenceLevel, at: i64, bytes: &[u8]) -> SequenceRow {
    level.frame(at, &decode_frame(LinkType::Ethernet, bytes)).unwrap()
}

fn value(row: &SequenceRow, name: &str) -> f32 {
    let index = SEQUENCE.iter().position(|column| column.name == name).unwrap();
    row.features[index]
}

fn small() -> Config {
    let flows = table::Limits { max_flows: 64, ..table::Limits::default() };
    Config { flows, ..Config::default() }
}

/// A login with this CONNACK code; the connection is not used afterwards.
fn login(level: &mut SequenceLevel, at: i64, port: u16, code: u8) -> SequenceRow {
    login_of(level, at, (5, port), code)
}

fn login_of(level: &mut SequenceLevel, at: i64, client: (u8, u16), code: u8) -> SequenceRow {
    let broker = (9, 1883);
    add(level, at, &segment(client, broker, 100, SYN, b""));
    add(level, at + 1_000, &segment(broker, client, 900, SYN_ACK, b""));
    add(level, at + 2_000, &segment(client, broker, 101, PSH_ACK, CONNECT));
    add(level, at + 3_000, &segment(broker, client, 901, PSH_ACK, &[0x20, 2, 0, code]))
}

#[test]
fn logins_are_counted_by_the_brokers_response() {
    let mut level = SequenceLevel::new(small());
    let row = login(&mut level, SECOND, 40_000, 5);
    assert_eq!(value(&row, "login_refused"), 1.0);
    assert!(value(&row, "host_refused_60s") > 0.09 && value(&row, "host_held") == 0.0);
    for n in 0..4 {
        login(&mut level, SECOND * 2, 41_000 + n, 0);
    }
    let row = login(&mut level, SECOND * 2, 42_000, 0);
    assert_eq!(value(&row, "login_accepted"), 1.0);
    assert!((value(&row, "host_held") - columns::log_scaled(5.0, 1.0, 1_000.0)).abs() < 1e-6);
    // A FIN releases one, the end of the capture all.
    let row = add(&mut level, SECOND * 3, &segment((5, 42_000), (9, 1883), 116, FIN_ACK, b""));
    assert!((value(&row, "host_held") - columns::log_scaled(4.0, 1.0, 1_000.0)).abs() < 1e-6);
    assert_eq!(level.finish().len(), 6);
    let left = level.shared.hosts.with([10, 0, 0, 5].into(), SECOND * 3, |host, _| (host.held, host.idle));
    assert_eq!(left, Some((0, 0)));
}

/// A device that retries its outdated password does not guess.
#[test]
fn new_passwords_count_and_repeated_ones_do_not() {
    let counted = |password: &dyn Fn(u8) -> u8| {
        let mut level = SequenceLevel::new(small());
        let mut last = None;
        for n in 0..20 {
            let (client, broker) = ((5, 40_000 + u16::from(n)), (9, 1883));
            let connect = [
                b"\x10\x13\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x01".as_slice(),
                &[password(n)],
            ];
            add(&mut level, SECOND, &segment(client, broker, 100, SYN, b""));
            last = Some(add(&mut level, SECOND, &segment(client, broker, 101, PSH_ACK, &connect.concat())));
        }
        value(&last.unwrap(), "host_credentials_60s")
    };
    let scaled = |count| columns::log_scaled(count, 1.0, 1_000.0);
    assert_eq!(counted(&|_| b'x'), scaled(1.0));
    assert_eq!(counted(&|n| b'a' + n), scaled(20.0));
}

/// Each source of a distributed attack does little, but all of it hits one target.
#[test]
fn an_attack_from_many_sources_shows_at_its_target() {
    let mut level = SequenceLevel::new(small());
    let scaled = |count| columns::log_scaled(count, 1.0, 1_000.0);
    for n in 1..=3u8 {
        let row = ssh_refused(&mut level, (100 + n, 40_000));
        assert_eq!(value(&row, "host_refused_60s"), scaled(1.0));
        assert_eq!(value(&row, "end_refused_60s"), scaled(f32::from(n)));
    }
    // The next flow to this port has the count from its first packet on; a flow to another port does not.
    let next = add(&mut level, SECOND, &segment((5, 40_000), (9, 22), 1, SYN, b""));
    assert_eq!(value(&next, "end_refused_60s"), scaled(3.0));
    let other = add(&mut level, SECOND, &segment((5, 40_001), (9, 1884), 1, SYN, b""));
    assert_eq!((value(&other, "end_refused_60s"), value(&other, "responder_failed_60s")), (0.0, scaled(2.0)));
    let answer = add(&mut level, SECOND, &segment((9, 1884), (5, 40_001), 1, SYN_ACK, b""));
    assert_eq!(value(&answer, "responder_failed_60s"), scaled(1.0));
    // A reset is not an answer.
    add(&mut level, SECOND, &segment((6, 40_001), (9, 1885), 1, SYN, b""));
    let reset = add(&mut level, SECOND, &segment((9, 1885), (6, 40_001), 1, RST | 16, b""));
    assert_eq!(value(&reset, "responder_failed_60s"), scaled(2.0));
    // MQTT credentials are readable: a device with an outdated password is not counted with a guesser.
    let row = login(&mut level, SECOND, 41_000, 5);
    assert_eq!((value(&row, "login_refused"), value(&row, "end_refused_60s")), (1.0, 0.0));
}

/// An SSH connection that ends without an accepted login; returns the row of its FIN.
fn ssh_refused(level: &mut SequenceLevel, client: (u8, u16)) -> SequenceRow {
    const NEW_KEYS: [u8; 16] = [0, 0, 0, 12, 10, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let server = (9, 22);
    add(level, SECOND, &segment(client, server, 99, SYN, b""));
    add(level, SECOND, &segment(server, client, 899, SYN_ACK, b""));
    add(level, SECOND, &segment(client, server, 100, PSH_ACK, b"SSH-2.0-x\r\n"));
    add(level, SECOND, &segment(server, client, 900, PSH_ACK, &NEW_KEYS));
    add(level, SECOND, &segment(client, server, 111, PSH_ACK, &NEW_KEYS));
    add(level, SECOND, &segment(server, client, 916, PSH_ACK, &[1; 80]));
    add(level, SECOND, &segment(client, server, 127, FIN_ACK, b""))
}

/// A client that only waits for messages counts as held until one arrives.
#[test]
fn a_connection_without_a_publish_is_held() {
    let mut level = SequenceLevel::new(small());
    let scaled = |count| columns::log_scaled(count, 1.0, 1_000.0);
    let (client, broker) = ((5, 40_000), (9, 1883));
    login(&mut level, SECOND, 40_000, 0);
    let subscribe = b"\x82\x06\x00\x01\x00\x01a\x00";
    let row = add(&mut level, SECOND, &segment(client, broker, 116, PSH_ACK, subscribe));
    assert_eq!((value(&row, "mqtt_subscribe"), value(&row, "host_held")), (1.0, scaled(1.0)));
    // A connection without CONNECT is held from its TCP handshake on.
    add(&mut level, SECOND, &segment((5, 40_001), broker, 1, SYN, b""));
    let row = add(&mut level, SECOND, &segment(broker, (5, 40_001), 1, SYN_ACK, b""));
    assert_eq!(value(&row, "host_held"), scaled(2.0));
    let row = add(&mut level, SECOND, &segment(broker, client, 905, PSH_ACK, b"\x30\x03\x00\x01a"));
    assert_eq!((value(&row, "mqtt_publish"), value(&row, "host_held")), (1.0, scaled(1.0)));
    let row = add(&mut level, SECOND, &segment(broker, (5, 40_001), 2, RST | 16, b""));
    assert_eq!(value(&row, "host_held"), 0.0);
}

/// A scan of more ports than are stored has new endpoints to its end.
#[test]
fn a_long_scan_has_new_endpoints() {
    let mut level = SequenceLevel::new(small());
    let probe = |level: &mut SequenceLevel, n: u16, port: u16| {
        let row = add(level, SECOND * i64::from(n), &segment((5, 50_000), (9, port), 1, SYN, b""));
        add(level, SECOND * i64::from(n), &segment((9, port), (5, 50_000), 1, RST | 16, b""));
        value(&row, "new_end")
    };
    let scanned: f32 = (1..1_000).map(|n| probe(&mut level, n, n)).sum();
    assert!(scanned > 990.0, "{scanned}");
    let again: f32 = (1_000..1_100).map(|n| probe(&mut level, n, 7_000)).sum();
    assert_eq!(again, 1.0);
}

#[test]
fn a_scan_counts_failures_at_once_and_an_answer_takes_one_back() {
    let mut level = SequenceLevel::new(small());
    let mut last = None;
    for port in 1..=30 {
        add(&mut level, SECOND, &segment((5, 50_000), (9, port), 1, SYN, b""));
        last = Some(add(&mut level, SECOND + 1, &segment((9, port), (5, 50_000), 1, RST | 16, b"")));
    }
    let row = last.unwrap();
    assert!(value(&row, "host_failed_10s") > 0.45 && value(&row, "host_ports_60s") > 0.45);
    let mut level = SequenceLevel::new(small());
    for port in 1..=30 {
        add(&mut level, SECOND, &segment((5, 50_000), (9, port), 1, SYN, b""));
        last = Some(add(&mut level, SECOND + 1, &segment((9, port), (5, 50_000), 1, SYN_ACK, b"")));
    }
    assert!(value(&last.unwrap(), "host_failed_10s") < 1e-3);
}

#[test]
fn a_service_is_known_by_its_endpoint_before_its_first_bytes() {
    let mut level = SequenceLevel::new(small());
    assert_eq!(value(&login(&mut level, SECOND, 40_000, 0), "mqtt"), 1.0);
    let row = add(&mut level, SECOND * 9, &segment((6, 40_000), (9, 1883), 1, SYN, b""));
    assert_eq!(value(&row, "mqtt"), 1.0);
    // The port alone is not evidence.
    let row = add(&mut level, SECOND * 9, &segment((6, 40_000), (8, 1883), 1, SYN, b""));
    assert_eq!(value(&row, "mqtt"), 0.0);
}

/// Rows do not depend on addresses, ports and the time of day.
#[test]
fn other_addresses_ports_and_times_give_the_same_rows() {
    let rows = |host: u8, port: u16, at: i64| {
        let mut level = SequenceLevel::new(small());
        let (client, broker) = ((host, 40_000 + port), (host + 1, port));
        let packets = [
            segment(client, broker, 100, SYN, b""),
            segment(broker, client, 900, SYN_ACK, b""),
            segment(client, broker, 101, PSH_ACK, CONNECT),
            segment(broker, client, 901, PSH_ACK, b"\x20\x02\x00\x00"),
            segment(client, broker, 116, PSH_ACK, b"\x30\x05\x00\x03a/b"),
            segment(client, broker, 123, FIN_ACK, b""),
        ];
        let all = (0..).zip(packets).map(|(n, packet)| add(&mut level, at + n * 1_000_000, &packet).features);
        all.collect::<Vec<_>>()
    };
    let plain = rows(5, 1883, SECOND);
    assert_eq!(plain, rows(77, 9_001, 1_700_000_000 * SECOND));
}

#[test]
fn every_feature_is_between_0_and_1_on_any_input() {
    let mut level = SequenceLevel::new(small());
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut at = 0i64;
    for _ in 0..20_000 {
        let payload: Vec<u8> = (0..random() % 40).map(|_| random() as u8).collect();
        let payload = if random() % 4 == 0 { [CONNECT, &payload].concat() } else { payload };
        let (src, dst) = ((random() as u8 % 8, random() as u16 % 8), (random() as u8 % 8, 1_883));
        let bytes = segment(src, dst, random() as u32 % 64, random() as u8, &payload);
        at = if random() % 500 == 0 { random() as i64 * SECOND } else { at + random() as i64 % SECOND };
        let row = level.frame(at, &decode_frame(LinkType::Ethernet, &bytes));
        for (column, value) in SEQUENCE.iter().zip(row.into_iter().flat_map(|row| row.features)) {
            assert!((0.0..=1.0).contains(&value), "{} is {value}", column.name);
        }
        assert!(level.len() <= 64);
    }
    assert!(level.evictions().flows > 0);
}

/// A packet's row depends only on earlier packets, not on the calling API or on later packets.
#[test]
fn streamed_and_collected_rows_are_equal() {
    let frames: Vec<(i64, Vec<u8>)> = (0..300u32)
        .map(|n| {
            let client = ((n % 5) as u8, 40_000 + (n % 7) as u16);
            let flags = if n % 11 == 0 { SYN } else { PSH_ACK };
            (i64::from(n) * SECOND / 10, segment(client, (9, 1883), 100 + n, flags, CONNECT))
        })
        .collect();
    let gather = |frames: &[(i64, Vec<u8>)]| {
        let mut level = SequenceLevel::new(small());
        let decoded: Vec<Frame<'_>> =
            frames.iter().map(|(_, bytes)| decode_frame(LinkType::Ethernet, bytes)).collect();
        let rows = frames.iter().zip(&decoded).map(|((at, _), frame)| level.frame(*at, frame).unwrap());
        rows.collect::<Vec<_>>()
    };
    let all = gather(&frames);
    assert_eq!(gather(&frames[..150]), all[..150]);
    let mut level = SequenceLevel::new(small());
    for ((at, bytes), row) in frames.iter().zip(&all) {
        let packet = Packet {
            number: 1,
            time_nanos: *at,
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        };
        assert_eq!(level.packet(&packet), Some(*row));
    }
}

#[test]
fn shards_with_shared_hosts_count_one_scanner() {
    let hosts = Arc::new(Initiators::new(initiator::Limits::default(), 42));
    let mut shards: Vec<SequenceLevel> =
        (0..2).map(|_| SequenceLevel::with_hosts(small(), Arc::clone(&hosts))).collect();
    for port in 1..=20 {
        let bytes = segment((5, 50_000), (9, port), 1, SYN, b"");
        add(&mut shards[usize::from(port % 2)], SECOND, &bytes);
    }
    let row = add(&mut shards[0], SECOND, &segment((5, 50_000), (9, 99), 1, SYN, b""));
    assert!((value(&row, "host_flows_10s") - columns::log_scaled(21.0, 1.0, 1_000.0)).abs() < 1e-4);
    let unknown = hosts.with(Ipv4Addr::new(1, 2, 3, 4).into(), SECOND, |host, _| host.fast(Count::Flows));
    assert_eq!(unknown, Some(0.0));
}

/// A frame of `segment` cut into fragments of `size` bytes of the IP payload.
fn fragments(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, payload) = frame.split_at(34);
    let parts = payload.chunks(size).enumerate().map(|(at, part)| {
        let more = if (at + 1) * size < payload.len() { 0x20 } else { 0 };
        let mut bytes = [head, part].concat();
        bytes[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        bytes[20..22].copy_from_slice(&[more, (at * size / 8) as u8]);
        bytes
    });
    parts.collect()
}

#[test]
fn fragments_give_the_row_of_the_datagram() {
    let (mut whole, mut parts) = (SequenceLevel::new(small()), SequenceLevel::new(small()));
    let syn = segment((5, 40_000), (9, 1883), 100, SYN, b"");
    assert_eq!(add(&mut whole, SECOND, &syn), add(&mut parts, SECOND, &syn));
    let connect = segment((5, 40_000), (9, 1883), 101, PSH_ACK, CONNECT);
    let expected = add(&mut whole, SECOND * 2, &connect);
    assert_eq!(value(&expected, "mqtt_connect"), 1.0);
    let rows: Vec<_> = fragments(&connect, 16)
        .iter()
        .map(|bytes| parts.frame(SECOND * 2, &decode_frame(LinkType::Ethernet, bytes)))
        .collect();
    assert_eq!(rows, [None, None, Some(expected)]);
}

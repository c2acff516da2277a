//! Which messages end in which segment; the expected results were taken from Wireshark.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

use std::path::Path;

use citronella_sensor::capture::Capture;
use citronella_sensor::feature::packet::wireshark::mqtt_stream::{PacketStreams, SegmentView};
use citronella_wire::{LinkType, Transport, decode_frame};
use proptest::prelude::*;

const ACK: u8 = 0x10;
const RST: u8 = 0x04;

/// A connection between a client and a server, whose segments are dissected in order.
struct Connection {
    streams: PacketStreams,
    ports: (u16, u16),
    time_nanos: i64,
}

impl Connection {
    fn to(port: u16) -> Connection {
        Connection { streams: PacketStreams::new(), ports: (40_000, port), time_nanos: 0 }
    }

    fn segment(&mut self, from_client: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> SegmentView {
        self.time_nanos += 1_000_000_000;
        let (client, server) = (([10, 0, 0, 1], self.ports.0), ([10, 0, 0, 2], self.ports.1));
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
        bytes.extend(from.0);
        bytes.extend(to.0);
        bytes.extend(from.1.to_be_bytes());
        bytes.extend(to.1.to_be_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(ack.to_be_bytes());
        bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        let total = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&total);
        let frame = decode_frame(LinkType::RawIp, &bytes);
        let Some(Transport::Tcp(tcp)) = frame.transport else { panic!("no TCP") };
        self.streams.segment(self.time_nanos, &frame.ip.unwrap(), &tcp, frame.payload, frame.payload_len)
    }

    fn client(&mut self, seq: u32, payload: &[u8]) -> SegmentView {
        self.segment(true, seq, 1, ACK, payload)
    }
}

fn message(view: &SegmentView) -> Option<(u8, u32, Option<u8>)> {
    view.first_message.map(|cells| (cells.kind, cells.remaining_length, cells.connect_flags))
}

const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\xc2\x00\x3c\x00\x00";
const PING: &[u8] = b"\xc0\x00";

#[test]
fn a_segment_shows_its_first_message_and_its_first_connect_flags() {
    let mut connection = Connection::to(1883);
    let both = [PING, CONNECT, CONNECT].concat();
    assert_eq!(message(&connection.client(100, &both)), Some((12, 0, Some(0xc2))));
}

#[test]
fn a_message_is_shown_in_its_last_segment() {
    for cut in 1..CONNECT.len() {
        let mut connection = Connection::to(1883);
        let first = connection.client(100, &CONNECT[..cut]);
        assert_eq!((message(&first), first.protocol, first.is_incomplete), (None, Some("TCP"), true));
        let last = connection.client(100 + cut as u32, &[&CONNECT[cut..], PING].concat());
        assert_eq!(message(&last), Some((1, 12, Some(0xc2))), "cut at {cut}");
        assert!(last.shows_mqtt && !last.is_incomplete);
    }
}

#[test]
fn a_length_cut_off_by_the_segments_end_drops_the_rest() {
    let mut connection = Connection::to(1883);
    let cut = connection.client(100, b"\x30\xa2");
    assert_eq!((message(&cut), cut.is_incomplete), (None, false));
    assert_eq!(message(&connection.client(102, PING)), Some((12, 0, None)));
}

#[test]
fn a_huge_length_hides_the_following_messages() {
    let mut connection = Connection::to(1883);
    assert!(connection.client(100, b"\x30\xff\xff\xff\x7f\x00").is_incomplete);
    let hidden = connection.client(106, PING);
    assert_eq!((message(&hidden), hidden.protocol), (None, Some("TCP")));
    let answer = connection.segment(false, 1, 108, ACK, b"\x20\x02\x00\x00");
    assert_eq!(message(&answer), Some((2, 2, None)));
}

#[test]
fn lengths_of_more_than_four_bytes_are_read() {
    let mut connection = Connection::to(1883);
    let view = connection.client(100, b"\x30\x81\x80\x80\x80\x00x\xc0\x00");
    assert_eq!(message(&view), Some((3, 1, None)));
}

#[test]
fn connect_flags_beyond_the_messages_end_are_not_shown() {
    let mut connection = Connection::to(1883);
    let view = connection.client(100, b"\x10\x08\x00\x06MQIsdp\x03\x02");
    assert_eq!(message(&view), Some((1, 8, None)));
}

#[test]
fn retransmissions_and_resets_are_not_dissected() {
    let mut connection = Connection::to(1883);
    assert!(connection.client(100, PING).shows_mqtt);
    let again = connection.client(100, PING);
    assert_eq!((again.dissect, again.protocol, message(&again)), (false, Some("TCP"), None));
    let keep_alive = connection.client(101, &PING[1..]);
    assert!(!keep_alive.dissect);
    assert!(!connection.segment(true, 102, 1, ACK | RST, PING).dissect);
    assert!(connection.client(104, PING).shows_mqtt);
}

#[test]
fn dissection_continues_after_a_lost_segment() {
    let mut connection = Connection::to(1883);
    connection.client(100, PING);
    assert!(connection.client(200, PING).shows_mqtt);
}

#[test]
fn a_connect_identifies_mqtt_on_any_port() {
    let mut connection = Connection::to(18_830);
    assert_eq!(connection.client(100, PING).protocol, None);
    assert!(connection.client(102, CONNECT).shows_mqtt);
    assert!(connection.client(116, PING).shows_mqtt);
}

#[test]
fn ssh_is_named_by_the_clients_banner() {
    let mut connection = Connection::to(22);
    let names = [
        connection.segment(false, 1, 100, ACK, b"SSH-2.0-server\r\n").protocol,
        connection.client(100, b"SSH-2.0-client\r\n").protocol,
        // A packet of 12 bytes in two segments, then a packet with an impossible length.
        connection.client(116, b"\0\0\0\x08\x04\x14").protocol,
        connection.client(122, b"abcdef").protocol,
        connection.segment(false, 17, 128, ACK, b"Protocol major versions differ.\n").protocol,
    ];
    assert_eq!(names, ["SSH", "SSH", "TCP", "SSHv2", "TCP"].map(Some));
}

#[test]
fn http_is_shown_in_the_segment_that_ends_its_body() {
    let mut connection = Connection::to(8080);
    assert_eq!(connection.client(100, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").protocol, Some("HTTP"));
    let head = b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(connection.segment(false, 1, 126, ACK, head).protocol, Some("TCP"));
    let body = connection.segment(false, 1 + head.len() as u32, 126, ACK, b"abcd");
    assert_eq!(body.protocol, Some("HTTP"));
}

proptest! {
    /// For any segments in any order: no panic, and a segment that is not dissected shows no MQTT.
    #[test]
    fn hostile_segments_do_not_panic(
        port in prop::sample::select(vec![1883_u16, 22, 8080, 5000]),
        segments in prop::collection::vec(
            (any::<bool>(), 0_u32..64, any::<u8>(), prop::collection::vec(any::<u8>(), 0..24)), 0..40),
        begin in any::<u32>(),
    ) {
        let mut connection = Connection::to(port);
        for (from_client, seq, flags, payload) in &segments {
            let view = connection.segment(*from_client, begin.wrapping_add(*seq), begin, *flags, payload);
            prop_assert!(view.dissect || !view.shows_mqtt);
        }
    }

    /// Well-formed messages in segments of two bytes or more: each is shown once, where it ends.
    #[test]
    fn any_segmentation_shows_every_message(sizes in prop::collection::vec(0_usize..300, 1..8), cuts in prop::collection::vec(2_usize..90, 1..20)) {
        let stream: Vec<u8> = sizes.iter().flat_map(|size| {
            let mut message = vec![0x30];
            if *size >= 128 {
                message.extend([(size % 128) as u8 | 0x80, (size / 128) as u8]);
            } else {
                message.push(*size as u8);
            }
            message.resize(message.len() + size, 7);
            message
        }).collect();
        let ends: Vec<usize> = sizes.iter().scan(0, |at, size| {
            *at += size + if *size >= 128 { 3 } else { 2 };
            Some(*at)
        }).collect();
        let mut connection = Connection::to(1883);
        let (mut from, mut cuts) = (0, cuts.iter().cycle());
        while from < stream.len() {
            let to = (from + cuts.next().unwrap()).min(stream.len());
            // Wireshark drops a length that is cut in two: not tested here.
            let begin = ends.iter().rev().find(|end| **end <= to).copied().unwrap_or(0);
            if to - begin == 2 && stream[begin + 1] & 0x80 != 0 {
                return Ok(());
            }
            let view = connection.client(1000 + from as u32, &stream[from..to]);
            let first = ends.iter().position(|end| *end > from && *end <= to);
            let expected = first.map(|at| (3, sizes[at] as u32, None));
            prop_assert_eq!(message(&view), expected);
            from = to;
        }
    }
}

#[test]
fn captures_are_read_to_their_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab/run-1");
    let mut capture = Capture::open(&folder.join("malformed.pcap.zst")).unwrap();
    let (mut streams, mut shown, mut incomplete) = (PacketStreams::new(), 0, 0);
    while let Some(packet) = capture.next().unwrap() {
        let frame = decode_frame(packet.link, packet.bytes);
        if let (Some(ip), Some(Transport::Tcp(tcp))) = (&frame.ip, &frame.transport) {
            let view = streams.segment(packet.time_nanos, ip, tcp, frame.payload, frame.payload_len);
            shown += u64::from(view.shows_mqtt);
            incomplete += u64::from(view.is_incomplete);
        }
    }
    assert!(shown > 9_000 && incomplete > 100, "{shown} shown, {incomplete} incomplete");
    assert_eq!(streams.evicted(), 0);
}

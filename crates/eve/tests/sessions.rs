//! Sessions and EVE records through the public API: segmentation, caps, passwords, WebSocket.
#![allow(clippy::unwrap_used)] // tests

use citronella_eve::{Encoder, EveCounters, EveOptions};
use citronella_sensor::{
    capture::Packet,
    flow::sessions::{Counters, Limits, Sessions},
};
use citronella_wire::LinkType;
use serde_json::Value;

const CONNECT: &[u8] = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02c1\x00\x04user\x00\x04pass";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PUBLISH: &[u8] = b"\x32\x09\x00\x03a/b\x00\x07hi";
const PUBACK: &[u8] = b"\x40\x02\x00\x07";
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A TCP connection, captured as raw IPv4.
struct Wire {
    sessions: Sessions,
    eve: Encoder<Vec<u8>>,
    packets: u64,
    seq: [u32; 2],
    ports: [u16; 2],
}

impl Wire {
    fn new(limits: Limits, options: EveOptions, port: u16) -> Wire {
        let eve = Encoder::new(Vec::new(), options);
        Wire {
            sessions: Sessions::new(limits),
            eve,
            packets: 0,
            seq: [0xffff_fff0, 77],
            ports: [40_000, port],
        }
    }

    fn raw(&mut self, side: usize, flags: u8, payload: &[u8], seq: u32) {
        let bytes = self.segment(side, flags, payload, seq);
        self.packet(&bytes);
    }

    fn segment(&self, side: usize, flags: u8, payload: &[u8], seq: u32) -> Vec<u8> {
        let mut bytes = vec![0x45, 0];
        bytes.extend((40 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1 + side as u8, 10, 0, 0, 2 - side as u8]);
        bytes.extend(self.ports[side].to_be_bytes());
        bytes.extend(self.ports[1 - side].to_be_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(self.seq[1 - side].to_be_bytes());
        bytes.extend([0x50, flags, 255, 255, 0, 0, 0, 0]);
        bytes.extend(payload);
        bytes
    }

    fn packet(&mut self, bytes: &[u8]) {
        self.packets += 1;
        let packet = Packet {
            number: self.packets,
            time_nanos: 1_600_000_000_000_000_000 + self.packets as i64 * 1_000_000,
            link: LinkType::from_pcap(101_u32).unwrap(),
            wire_len: bytes.len() as u32,
            bytes,
        };
        let Wire { sessions, eve, .. } = self;
        sessions.packet(&packet, |event| eve.write(event).unwrap());
    }

    fn send(&mut self, side: usize, flags: u8, payload: &[u8]) {
        let seq = self.seq[side];
        self.raw(side, flags, payload, seq);
        let control = u32::from(flags & (SYN | FIN) != 0);
        self.seq[side] = seq.wrapping_add(payload.len() as u32 + control);
    }

    fn open(&mut self) {
        self.send(0, SYN, b"");
        self.send(1, SYN | ACK, b"");
    }

    fn end(mut self) -> (Vec<Value>, Counters, EveCounters) {
        let Wire { sessions, eve, .. } = &mut self;
        sessions.finish(|event| eve.write(event).unwrap());
        let (counters, written) = (sessions.counters(), eve.counters());
        assert_eq!((counters.buffered_bytes, counters.connections, written.pending_bytes), (0, 0, 0));
        let text = String::from_utf8(self.eve.finish().unwrap()).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), counters, written)
    }
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event_type"] == kind).collect()
}

/// The dialogue with a client's bytes cut into segments of `size`.
fn dialogue(
    size: usize,
    port: u16,
    limits: Limits,
    options: EveOptions,
) -> (Vec<Value>, Counters, EveCounters) {
    let mut wire = Wire::new(limits, options, port);
    wire.open();
    for part in CONNECT.chunks(size) {
        wire.send(0, ACK, part);
    }
    wire.send(1, ACK, CONNACK);
    for part in PUBLISH.chunks(size) {
        wire.send(0, ACK, part);
    }
    wire.send(1, ACK, PUBACK);
    wire.send(0, ACK, b"\xe0\x00");
    wire.send(0, ACK | FIN, b"");
    wire.send(1, ACK | FIN, b"");
    wire.end()
}

#[test]
fn any_segmentation_gives_the_same_transactions() {
    for port in [1883, 5_555] {
        for size in 1..CONNECT.len() {
            let (events, counters, _) = dialogue(size, port, Limits::default(), EveOptions::default());
            let [connect, publish, disconnect] = of(&events, "mqtt")[..] else {
                panic!("{size}: {events:#?}")
            };
            assert_eq!(connect["mqtt"]["connect"]["client_id"], "c1");
            assert_eq!(connect["mqtt"]["connack"]["return_code"], 0);
            assert_eq!(publish["mqtt"]["publish"]["message"], "hi");
            assert_eq!(publish["mqtt"]["puback"]["message_id"], 7);
            assert!(disconnect["mqtt"]["disconnect"].is_object());
            assert_eq!(counters.messages, 5);
            assert!(of(&events, "anomaly").is_empty());
            let flow = of(&events, "flow")[0];
            assert!(flow["flow_id"].as_u64().is_some_and(|id| id > 0 && id < 1 << 51));
            assert_eq!((&flow["app_proto"], &flow["tcp"]["state"]), (&"mqtt".into(), &"closed".into()));
            assert!(
                events.iter().all(|event| event["flow_id"] == flow["flow_id"]
                    && event["community_id"] == flow["community_id"])
            );
        }
    }
}

#[test]
fn a_password_is_written_only_on_request() {
    let (events, ..) = dialogue(100, 1883, Limits::default(), EveOptions::default());
    assert!(!events.iter().any(|event| event.to_string().contains("\"pass\"")));
    assert_eq!(events[0]["metadata"]["pktvars"][0]["password_length"], 4);
    let options = EveOptions { log_passwords: true, ..EveOptions::default() };
    let (events, ..) = dialogue(100, 1883, Limits::default(), options);
    assert_eq!(events[0]["mqtt"]["connect"]["password"], "pass");
}

#[test]
fn lost_bytes_are_reported_and_the_rest_is_read() {
    let mut wire = Wire::new(Limits::default(), EveOptions::default(), 1883);
    wire.open();
    wire.send(0, ACK, CONNECT);
    wire.send(1, ACK, CONNACK);
    wire.seq[0] = wire.seq[0].wrapping_add(30);
    wire.send(0, ACK, PUBLISH);
    wire.send(1, ACK, PUBACK);
    let (events, ..) = wire.end();
    let [gap] = of(&events, "anomaly")[..] else { panic!("{events:#?}") };
    assert_eq!(gap["anomaly"]["event"], "stream.reassembly_seq_gap");
    assert_eq!(gap["metadata"]["pktvars"][0]["missing_bytes"], 30);
    assert_eq!(of(&events, "mqtt").len(), 2);
}

#[test]
fn the_cap_on_connections_holds() {
    let mut wire = Wire::new(Limits { connections: 10, ..Limits::default() }, EveOptions::default(), 1883);
    for port in 0..100 {
        wire.ports[0] = 20_000 + port;
        wire.open();
        wire.send(0, ACK, CONNECT);
        assert!(wire.sessions.counters().connections <= 10);
    }
    let (events, counters, _) = wire.end();
    assert_eq!((of(&events, "mqtt").len(), of(&events, "flow").len()), (10, 100));
    assert_eq!(counters.connections_over_cap, 90);
}

/// Messages that announce 256 MB in many connections: buffered bytes stay below the cap.
#[test]
fn the_cap_on_incomplete_messages_holds() {
    let cap = 300_000;
    let mut wire = Wire::new(Limits { total_bytes: cap, ..Limits::default() }, EveOptions::default(), 1883);
    let begin = [b"\x30\xff\xff\xff\x7f\x00\x03a/b", &[b'x'; 1_300][..]].concat();
    for port in 0..20 {
        wire.ports[0] = 20_000 + port;
        wire.open();
        wire.send(0, ACK, CONNECT);
        wire.send(0, ACK, &begin);
        for _ in 0..100 {
            wire.send(0, ACK, &[b'x'; 1_300]);
            assert!(wire.sessions.counters().buffered_bytes <= cap);
        }
    }
    let (events, counters, _) = wire.end();
    assert!(counters.connections_abandoned > 0);
    let cut: Vec<_> =
        of(&events, "mqtt").into_iter().filter_map(|event| event["mqtt"].get("publish")).collect();
    assert_eq!(cut.len(), 20);
    assert!(cut.iter().all(|publish| publish["truncated"] == true && publish["topic"] == "a/b"));
}

#[test]
fn the_cap_on_waiting_transactions_holds() {
    let options = EveOptions { pending_bytes: 1_000, ..EveOptions::default() };
    let mut wire = Wire::new(Limits::default(), options, 1883);
    wire.open();
    wire.send(0, ACK, CONNECT);
    wire.send(1, ACK, CONNACK);
    for id in 1..=100 {
        wire.send(0, ACK, &[b"\x32\x09\x00\x03a/b\x00", &[id][..], b"hi"].concat());
        assert!(wire.eve.counters().pending_bytes <= 1_000);
    }
    let (events, _, written) = wire.end();
    assert!(written.written_early > 80);
    assert_eq!(of(&events, "mqtt").len(), 101);
}

#[test]
fn mqtt_over_websocket_is_recognised_by_its_handshake() {
    let mut wire = Wire::new(Limits::default(), EveOptions::default(), 9_001);
    wire.open();
    wire.send(0, ACK, b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n");
    wire.send(1, ACK, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    let frame = |bytes: &[u8]| [&[0x82, bytes.len() as u8][..], bytes].concat();
    wire.send(0, ACK, &frame(CONNECT));
    wire.send(1, ACK, &frame(CONNACK));
    let (events, ..) = wire.end();
    assert_eq!(of(&events, "mqtt")[0]["mqtt"]["connack"]["return_code"], 0);
    let flow = of(&events, "flow")[0];
    assert_eq!((&flow["app_proto"], &flow["app_proto_orig"]), (&"mqtt".into(), &"websocket".into()));
}

#[test]
fn a_violation_has_its_clause_and_suricatas_event() {
    let mut wire = Wire::new(Limits::default(), EveOptions::default(), 1883);
    wire.open();
    wire.send(0, ACK, CONNECT);
    wire.send(1, ACK, CONNACK);
    wire.send(0, ACK, CONNECT);
    wire.send(0, ACK, b"\x30\x05\x00\x03a/#");
    let (events, ..) = wire.end();
    let anomalies = of(&events, "anomaly");
    let names: Vec<_> = anomalies.iter().map(|event| event["anomaly"]["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["double_connect", "wildcard_in_topic"]);
    let first = |n: usize| &anomalies[n]["metadata"]["pktvars"][0];
    assert_eq!(first(0)["clause"], "MQTT-3.1.0-2");
    assert_eq!(first(1)["violation"], "wildcard_in_topic");
}

/// The datagram `whole` cut into fragments of 16 bytes of its payload.
fn fragments(whole: &[u8]) -> Vec<Vec<u8>> {
    let (head, payload) = whole.split_at(20);
    let parts = payload.chunks(16).enumerate().map(|(at, part)| {
        let more = if (at + 1) * 16 < payload.len() { 0x20 } else { 0 };
        let mut bytes = [head, part].concat();
        bytes[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&[more, at as u8 * 2]);
        bytes
    });
    parts.collect()
}

#[test]
fn a_fragmented_login_is_read_and_an_overlap_is_reported() {
    for tunnelled in [false, true] {
        let mut wire = Wire::new(Limits::default(), EveOptions::default(), 1883);
        wire.open();
        let whole = wire.segment(0, ACK, CONNECT, wire.seq[0]);
        let mut parts = fragments(&whole);
        parts.reverse();
        // The middle fragment, retransmitted with other bytes.
        let mut other = parts[1].clone();
        other[20..].fill(0xff);
        parts.insert(2, other);
        for part in parts {
            // RFC 2003: IP in IP.
            let outer = [0x45, 0, 0, 20 + part.len() as u8, 0, 0, 0, 0, 64, 4, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
            wire.packet(&if tunnelled { [&outer, &part[..]].concat() } else { part });
        }
        wire.seq[0] = wire.seq[0].wrapping_add(CONNECT.len() as u32);
        wire.send(1, ACK, CONNACK);
        let (events, counters, _) = wire.end();
        let connect = of(&events, "mqtt")[0];
        assert_eq!(connect["mqtt"]["connect"]["client_id"], "c1");
        let [anomaly] = of(&events, "anomaly")[..] else { panic!("{events:#?}") };
        assert_eq!(anomaly["anomaly"]["event"], "decoder.ipv4.frag_overlap");
        assert_eq!(anomaly["metadata"]["pktvars"][0]["fault"], "fragment_conflict");
        assert!(anomaly.get("flow_id").is_none() && anomaly["src_ip"] == "10.0.0.1");
        let level = counters.fragments[usize::from(tunnelled)];
        assert_eq!((level.fragments, level.reassembled, level.faulty, level.kept_bytes), (4, 1, 1, 0));
    }
}

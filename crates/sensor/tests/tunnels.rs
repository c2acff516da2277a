//! Tunnels: `inspect` decodes one level of encapsulation; the packet level shows the outermost headers.

#![allow(clippy::unwrap_used)] // tests

use citronella_sensor::{
    capture::Packet,
    feature::packet::{Attacker, PacketLevel, PacketRow},
    inspect::{Inspector, Summary},
};
use citronella_wire::LinkType;

const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02c1";
const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];

fn ipv4(host: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let head = [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0, host, 0, 0, 1, host, 0, 0, 2];
    [&head[..], payload].concat()
}

fn ipv6(host: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
    for last in [1, 2] {
        bytes.extend([0x20, 1, 0x0d, 0xb8, host, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    [&bytes[..], payload].concat()
}

/// A segment from a client's port to a broker's.
fn tcp(payload: &[u8]) -> Vec<u8> {
    let head = [0x9c, 0x40, 0x07, 0x5b, 0, 0, 0, 9, 0, 0, 0, 9, 0x50, 0x18, 255, 255, 0, 0, 0, 0];
    [&head[..], payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    let port = port.to_be_bytes();
    [&[0xc3, 0x50, port[0], port[1], len[0], len[1], 0, 0], payload].concat()
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    udp(4789, &[&[8, 0, 0, 0, 0, 0, 7, 0], frame].concat())
}

/// A CONNECT over IP within each kind of tunnel.
fn tunnels() -> Vec<(&'static str, Vec<u8>)> {
    let (four, six) = (ipv4(10, 6, &tcp(CONNECT)), ipv6(10, 6, &tcp(CONNECT)));
    let ethernet = [&ETHERNET[..], &four].concat();
    vec![
        ("ip_in_ip", ipv4(1, IPV4_IN_IP, &four)),
        ("ip_in_ip", ipv6(1, IPV4_IN_IP, &four)),
        ("ipv6_in_ip", ipv4(1, IPV6_IN_IP, &six)),
        ("ipv6_in_ip", ipv6(1, IPV6_IN_IP, &six)),
        ("gre", ipv4(1, GRE, &[&[0, 0, 8, 0], &four[..]].concat())),
        ("gre", ipv4(1, GRE, &[&[0, 0, 0x86, 0xdd], &six[..]].concat())),
        ("gre", ipv4(1, GRE, &[&[0, 0, 0x65, 0x58], &ethernet[..]].concat())),
        ("vxlan", ipv4(1, 17, &vxlan(&ethernet))),
        ("geneve", ipv4(1, 17, &udp(6081, &[&[0, 0, 0x65, 0x58, 0, 0, 7, 0], &ethernet[..]].concat()))),
    ]
}

fn packet(bytes: &[u8]) -> Packet<'_> {
    let link = LinkType::from_pcap(101_u32).unwrap();
    let time_nanos = 1_600_000_000_000_000_000;
    Packet { number: 1, time_nanos, link, wire_len: bytes.len() as u32, bytes }
}

fn inspect(bytes: &[u8]) -> Summary {
    let mut inspector = Inspector::default();
    inspector.packet(&packet(bytes));
    inspector.finish()
}

fn row(bytes: &[u8]) -> Option<PacketRow> {
    PacketLevel::new(Attacker::Unknown).row(&packet(bytes))
}

#[test]
fn a_message_in_a_tunnel_is_decoded() {
    for (kind, bytes) in tunnels() {
        let summary = inspect(&bytes);
        assert_eq!(summary.tunnels.into_iter().collect::<Vec<_>>(), [(kind, 1)]);
        assert_eq!(summary.mqtt.messages, [("connect", 1)], "{kind}");
        assert_eq!(summary.applications.get("mqtt"), Some(&1), "{kind}");
    }
}

#[test]
fn a_tunnel_in_a_tunnel_is_not_decoded() {
    let (_, inner) = tunnels().swap_remove(0);
    let summary = inspect(&ipv4(2, IPV4_IN_IP, &inner));
    assert_eq!(summary.tunnels.get("ip_in_ip"), Some(&1));
    assert!(summary.mqtt.messages.is_empty());
}

#[test]
fn a_truncated_tunnel_is_decoded_as_far_as_possible() {
    for (kind, bytes) in tunnels() {
        let head = bytes.len() - CONNECT.len();
        for len in 0..bytes.len() {
            let mqtt = inspect(&bytes[..len]).mqtt;
            assert!(len > head || mqtt == Default::default(), "{kind}, {len} bytes: {mqtt:?}");
            assert!(mqtt.messages.iter().map(|(_, count)| count).sum::<u64>() <= 1, "{kind}, {len} bytes");
        }
    }
}

#[test]
fn rows_show_the_outermost_headers() {
    for (kind, bytes) in tunnels() {
        let row = row(&bytes);
        if !matches!(kind, "vxlan" | "geneve") {
            assert_eq!(row, None, "{kind}");
            continue;
        }
        let row = row.unwrap();
        assert_eq!((row.src.to_string(), row.src_port, row.tcp), ("1.0.0.1".to_owned(), 50_000, None));
        // Wireshark's column has the highest layer, inside the tunnel too.
        assert_eq!((row.protocol, row.mqtt), ("MQTT", None), "{kind}");
    }
}

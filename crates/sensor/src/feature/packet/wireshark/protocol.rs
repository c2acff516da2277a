//! The name of a packet's highest layer, as in Wireshark's Protocol column.
//!
//! In: decoded frames in capture order. Out: a name from a fixed set, and the first MQTT message that ends in the
//! frame. Some names need state of the conversation (framing of services over TCP, TFTP's reply port): it is capped.

use std::net::IpAddr;

use citronella_wire::{Frame, Transport};
use hashbrown::HashSet;

use super::{MqttCells, mqtt_stream::PacketStreams, services::HTTP_METHODS};

const TFTP_PORT: u16 = 69;
const L2TP_PORT: u16 = 1701;
/// Cap of the TFTP and of the L2TP table, which is cleared when it is full.
const MAX_CONVERSATIONS: usize = 65_536;

type Random = foldhash::quality::RandomState;
type Endpoint = (IpAddr, u16);

/// What Wireshark shows of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dissection {
    /// The Protocol column: the name of the highest layer.
    pub protocol: &'static str,
    /// The first MQTT message that ends in the frame.
    pub mqtt: Option<MqttCells>,
}

/// Dissects frames in capture order.
#[derive(Default)]
pub struct Dissector {
    streams: PacketStreams,
    /// A client's endpoint and its TFTP server: their further packets are TFTP on any server port.
    tftp: HashSet<(Endpoint, IpAddr), Random>,
    /// The same for L2TP.
    l2tp: HashSet<(Endpoint, IpAddr), Random>,
}

impl Dissector {
    /// Dissects the next frame. A tunnel over UDP shows the packet that it carries, one level deep.
    pub fn dissect(&mut self, time_nanos: i64, frame: &Frame<'_>) -> Dissection {
        match (&frame.transport, frame.inner()) {
            (Some(Transport::Udp(_)), Some(inner)) if inner.ip.is_some() => {
                Dissection { protocol: self.layers(time_nanos, &inner).protocol, mqtt: None }
            }
            _ => self.layers(time_nanos, frame),
        }
    }

    fn layers(&mut self, time_nanos: i64, frame: &Frame<'_>) -> Dissection {
        let plain = |protocol| Dissection { protocol, mqtt: None };
        let Some(ip) = &frame.ip else { return plain(not_ip(frame.ether_type)) };
        match &frame.transport {
            Some(Transport::Tcp(tcp)) => {
                let view = self.streams.segment(time_nanos, ip, tcp, frame.payload, frame.payload_len);
                let protocol =
                    view.protocol.unwrap_or_else(|| if is_http(frame.payload) { "HTTP" } else { "TCP" });
                Dissection { protocol, mqtt: view.first_message }
            }
            Some(Transport::Udp(udp)) => {
                plain(self.udp(((ip.src, udp.src_port), (ip.dst, udp.dst_port)), frame.payload))
            }
            Some(Transport::Icmp(icmp)) => plain(if icmp.version == 4 { "ICMP" } else { "ICMPv6" }),
            None => plain(other_ip(ip.protocol, ip.src.is_ipv4())),
        }
    }

    fn udp(&mut self, (from, to): (Endpoint, Endpoint), payload: &[u8]) -> &'static str {
        if payload.is_empty() {
            return "UDP";
        }
        if self.tftp.contains(&(from, to.0)) || self.tftp.contains(&(to, from.0)) {
            return "TFTP";
        }
        if to.1 == TFTP_PORT && matches!(payload, [0, 1 | 2, ..]) {
            remember(&mut self.tftp, (from, to.0));
        }
        if self.l2tp.contains(&(from, to.0)) || self.l2tp.contains(&(to, from.0)) {
            match payload.get(1).map(|version| version & 0x0f) {
                Some(2) => return "L2TP",
                Some(3) => return "L2TPv3",
                _ => {}
            }
        }
        if to.1 == L2TP_PORT {
            remember(&mut self.l2tp, (from, to.0));
        }
        udp_by_port(from.1.min(to.1), payload)
            .or_else(|| udp_by_port(from.1.max(to.1), payload))
            .unwrap_or(if is_mpeg_ts(payload) { "MPEG TS" } else { "UDP" })
    }
}

fn remember(table: &mut HashSet<(Endpoint, IpAddr), Random>, client_and_server: (Endpoint, IpAddr)) {
    if table.len() >= MAX_CONVERSATIONS {
        table.clear();
    }
    table.insert(client_and_server);
}

/// A UDP service by its port, if the payload can be one of its messages.
fn udp_by_port(port: u16, payload: &[u8]) -> Option<&'static str> {
    let first = payload.first().copied()?;
    let has = |bytes: usize| payload.len() >= bytes;
    match port {
        7 => Some("ECHO"),
        53 if has(12) => Some("DNS"),
        67 | 68 => Some("DHCP"),
        TFTP_PORT => Some("TFTP"),
        111 if has(24) => Some(if is_call(payload, 100_000) { "Portmap" } else { "RPC" }),
        123 => Some("NTP"),
        137 if has(12) => Some("NBNS"),
        138 => Some("NBDS"),
        161 | 162 => Some("SNMP"),
        177 => Some("XDMCP"),
        389 => Some("CLDAP"),
        427 => Some("SRVLOC"),
        443 if has(13) && matches!(first, 20..=23) => Some("DTLS"),
        500 => Some("ISAKMP"),
        514 => Some("Syslog"),
        520 => Some(if payload.get(1) == Some(&2) { "RIPv2" } else { "RIPv1" }),
        546 | 547 => Some("DHCPv6"),
        623 if has(4) => {
            Some(if payload.get(3).is_some_and(|class| class & 0x0f == 7) { "IPMB" } else { "ASF" })
        }
        1645 | 1646 | 1812 | 1813 => Some("RADIUS"),
        L2TP_PORT if has(2) => {
            Some(if payload.get(1).is_some_and(|v| v & 0x0f == 3) { "L2TPv3" } else { "L2TP" })
        }
        1900 => Some("SSDP"),
        2049 if is_call(payload, 100_003) => Some("NFS"),
        4500 => Some(if payload.starts_with(&[0; 4]) { "ISAKMP" } else { "ESP" }),
        4672 if matches!(first, 0xc5 | 0xe3..=0xe5) => Some("eDonkey"),
        5351 => Some("NAT-PMP"),
        5353 if has(12) => Some("MDNS"),
        5355 if has(12) => Some("LLMNR"),
        _ => None,
    }
}

/// Whether the payload is an ONC RPC version 2 call to a program (RFC 5531, section 9).
fn is_call(payload: &[u8], program: u32) -> bool {
    let word =
        |at: usize| payload.get(at..at + 4).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
    word(4) == Some(0) && word(8) == Some(2) && word(12) == Some(program)
}

/// MPEG transport stream: whole packets of 188 bytes that start with the sync byte 0x47 (ISO/IEC 13818-1, 2.4.3.2).
fn is_mpeg_ts(payload: &[u8]) -> bool {
    payload.len() >= 188
        && payload.len().is_multiple_of(188)
        && payload.chunks(188).all(|cell| cell.first() == Some(&0x47))
}

/// Further words that start an HTTP message on any port.
const MORE_HTTP_METHODS: [&[u8]; 5] =
    [b"CCM_POST", b"RPC_IN_DATA", b"RPC_OUT_DATA", b"VERSION-CONTROL", b"BASELINE-CONTROL"];

fn is_http(payload: &[u8]) -> bool {
    let head = payload.get(..24).unwrap_or(payload);
    let Some(space) = head.iter().position(|byte| *byte == b' ') else { return false };
    let word = head.get(..space).unwrap_or_default();
    word.starts_with(b"HTTP/") || HTTP_METHODS.contains(&word) || MORE_HTTP_METHODS.contains(&word)
}

fn not_ip(ether_type: Option<u16>) -> &'static str {
    match ether_type {
        Some(0x0806) => "ARP",
        Some(0x8035) => "RARP",
        Some(0x888e) => "EAPOL",
        Some(0x88cc) => "LLDP",
        _ => "Ethernet",
    }
}

fn other_ip(protocol: u8, v4: bool) -> &'static str {
    match protocol {
        1 => "ICMP",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        89 => "OSPF",
        112 => "VRRP",
        132 => "SCTP",
        _ if v4 => "IPv4",
        _ => "IPv6",
    }
}

//! The name of a packet's highest layer, as Wireshark's Protocol column has it.
//!
//! In: a decoded frame, in capture order. Out: a name from a fixed set. Some names need memory of the conversation
//! (SSH's version, TFTP's reply port): bounded, and forgotten when full.

use std::net::IpAddr;

use citronella_wire::{Frame, Transport, mqtt};
use hashbrown::{HashMap, HashSet};

const SSH_PORT: u16 = 22;
const TFTP_PORT: u16 = 69;
pub(crate) const MQTT_PORT: u16 = 1883;
/// Conversations whose SSH version or TFTP port is remembered.
const MAX_CONVERSATIONS: usize = 65_536;

type Random = foldhash::quality::RandomState;
type Endpoint = (IpAddr, u16);

/// Names the highest layer of frames that come in capture order.
#[derive(Default)]
pub struct ProtocolNames {
    /// The version that a conversation's first SSH banner gave, by the smaller endpoint and the other.
    ssh: HashMap<(Endpoint, Endpoint), &'static str, Random>,
    /// Endpoints that asked a TFTP server: what they and that server exchange from then on is TFTP.
    tftp: HashSet<(Endpoint, IpAddr), Random>,
}

impl ProtocolNames {
    /// The name of the frame's highest layer. `mqtt` says whether an MQTT message ends in it.
    pub fn name(&mut self, frame: &Frame<'_>, mqtt: bool) -> &'static str {
        let Some(ip) = &frame.ip else { return not_ip(frame.ether_type) };
        match &frame.transport {
            Some(Transport::Tcp(tcp)) => {
                let ends = ((ip.src, tcp.src_port), (ip.dst, tcp.dst_port));
                if frame.payload.is_empty() || tcp.flags.rst() {
                    "TCP"
                } else if mqtt {
                    "MQTT"
                } else if tcp.src_port == SSH_PORT || tcp.dst_port == SSH_PORT {
                    self.ssh(ends, frame.payload)
                } else {
                    tcp_by_bytes(frame.payload)
                }
            }
            Some(Transport::Udp(udp)) => {
                let ends = ((ip.src, udp.src_port), (ip.dst, udp.dst_port));
                self.udp(ends, frame.payload)
            }
            Some(Transport::Icmp(icmp)) => {
                if icmp.version == 4 {
                    "ICMP"
                } else {
                    "ICMPv6"
                }
            }
            None => other_ip(ip.protocol, ip.src.is_ipv4()),
        }
    }

    /// The first banner and what comes before it is "SSH"; what follows carries the banner's version.
    fn ssh(&mut self, (from, to): (Endpoint, Endpoint), payload: &[u8]) -> &'static str {
        let key = (from.min(to), from.max(to));
        if let Some(version) = self.ssh.get(&key) {
            return version;
        }
        if payload.starts_with(b"SSH-") {
            if self.ssh.len() >= MAX_CONVERSATIONS {
                self.ssh.clear();
            }
            let second = payload.starts_with(b"SSH-2.") || payload.starts_with(b"SSH-1.99");
            self.ssh.insert(key, if second { "SSHv2" } else { "SSHv1" });
        }
        "SSH"
    }

    fn udp(&mut self, (from, to): (Endpoint, Endpoint), payload: &[u8]) -> &'static str {
        if payload.is_empty() {
            return "UDP";
        }
        if self.tftp.contains(&(from, to.0)) || self.tftp.contains(&(to, from.0)) {
            return "TFTP";
        }
        if to.1 == TFTP_PORT && matches!(payload, [0, 1 | 2, ..]) {
            if self.tftp.len() >= MAX_CONVERSATIONS {
                self.tftp.clear();
            }
            self.tftp.insert((from, to.0));
        }
        udp_by_port(from.1.min(to.1), payload)
            .or_else(|| udp_by_port(from.1.max(to.1), payload))
            .unwrap_or(if is_mpeg_ts(payload) { "MPEG TS" } else { "UDP" })
    }
}

/// A UDP service by its port, where the payload can be its message.
fn udp_by_port(port: u16, payload: &[u8]) -> Option<&'static str> {
    let first = payload.first().copied()?;
    let has = |bytes: usize| payload.len() >= bytes;
    match port {
        7 => Some("ECHO"),
        53 if has(12) => Some("DNS"),
        67 | 68 => Some("DHCP"),
        TFTP_PORT => Some("TFTP"),
        111 if has(24) => Some(rpc(payload, 100_000, "Portmap")),
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
        1701 if has(2) => Some(if payload.get(1).is_some_and(|v| v & 0x0f == 3) { "L2TPv3" } else { "L2TP" }),
        1900 => Some("SSDP"),
        2049 if has(24) => Some(rpc(payload, 100_003, "NFS")),
        4500 => Some(if payload.starts_with(&[0; 4]) { "ISAKMP" } else { "ESP" }),
        4672 if matches!(first, 0xc5 | 0xe3..=0xe5) => Some("eDonkey"),
        5351 => Some("NAT-PMP"),
        5353 if has(12) => Some("MDNS"),
        5355 if has(12) => Some("LLMNR"),
        _ => None,
    }
}

/// ONC RPC (RFC 5531, section 9): a call of the port's own program carries its name, all else is RPC.
fn rpc(payload: &[u8], program: u32, name: &'static str) -> &'static str {
    let word = |at: usize| {
        payload.get(at..at + 4).and_then(|bytes| bytes.first_chunk()).map(|b| u32::from_be_bytes(*b))
    };
    if word(4) == Some(0) && word(12) == Some(program) { name } else { "RPC" }
}

/// MPEG transport stream: whole packets of 188 bytes, each begun by the sync byte 0x47 (ISO/IEC 13818-1, 2.4.3.2).
fn is_mpeg_ts(payload: &[u8]) -> bool {
    payload.len() >= 188
        && payload.len().is_multiple_of(188)
        && payload.chunks(188).all(|cell| cell.first() == Some(&0x47))
}

fn tcp_by_bytes(payload: &[u8]) -> &'static str {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"HTTP/1."];
    match payload {
        [0x14..=0x17, 3, 1, ..] => "TLSv1",
        [0x14..=0x17, 3, 3, ..] => "TLSv1.2",
        _ if METHODS.iter().any(|method| payload.starts_with(method)) => "HTTP",
        _ => "TCP",
    }
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

/// Whether a TCP payload is MQTT: on its registered port whatever the bytes, as Wireshark has it, else by its bytes.
pub(crate) fn is_mqtt(frame: &Frame<'_>) -> bool {
    match &frame.transport {
        Some(Transport::Tcp(tcp)) if !frame.payload.is_empty() => {
            tcp.src_port == MQTT_PORT
                || tcp.dst_port == MQTT_PORT
                || mqtt::looks_like_mqtt(frame.payload, false)
        }
        _ => false,
    }
}

//! The packet level: one row per TCP segment or UDP datagram.
//!
//! In: a packet of a capture. Out: a [`PacketRow`], and its cells in the order of
//! [`schema::PACKET`](super::schema::PACKET).

use std::net::IpAddr;

use citronella_wire::{Frame, TcpFlags, Transport, decode_frame};

pub mod wireshark;

use self::wireshark::{MqttCells, protocol::Dissector};
use crate::{capture::Packet, flow::fragments::Fragments};

/// One cell of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// The field does not apply to this packet.
    Empty,
    /// Microseconds since 1970-01-01 UTC.
    Micros(i64),
    /// An address.
    Address(IpAddr),
    /// One of a fixed set of names.
    Name(&'static str),
    /// An unsigned integer.
    UInt(u32),
    /// 0 or 1.
    Flag(bool),
    /// A number.
    Float(f64),
}

/// One row of the packet level, typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketRow {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// Wireshark's name of the highest layer.
    pub protocol: &'static str,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// IP datagram length in bytes.
    pub ip_len: u32,
    /// IPv4's flags (DF, MF, reserved); `None` for IPv6.
    pub ip_flags: Option<[bool; 3]>,
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// TCP's flags; `None` for UDP.
    pub tcp: Option<TcpFlags>,
    /// The MQTT cells; `None` if no message ends in the packet.
    pub mqtt: Option<MqttCells>,
    /// Whether the attacker sends or receives it; `None` if the capture is not labelled.
    pub is_attack: Option<bool>,
}

impl PacketRow {
    /// The row's 31 cells in the published order.
    #[inline]
    pub fn cells(&self) -> [Cell; 31] {
        use Cell::{Address, Empty, Flag, Micros, Name, UInt};
        let ip =
            |bit: usize| self.ip_flags.map_or(Empty, |flags| Flag(flags.get(bit).copied().unwrap_or(false)));
        let tcp = |bits: u16| self.tcp.map_or(Empty, |flags| Flag(flags.0 & bits != 0));
        let connect = self.mqtt.and_then(|m| m.connect_flags);
        let flag = |mask: u8| connect.map_or(Empty, |flags| Flag(flags & mask != 0));
        [
            Micros(self.time_nanos.div_euclid(1000)),
            Address(self.src),
            Address(self.dst),
            Name(self.protocol),
            UInt(self.ttl.into()),
            UInt(self.ip_len),
            ip(0),
            ip(1),
            ip(2),
            UInt(self.src_port.into()),
            UInt(self.dst_port.into()),
            tcp(0xe00),
            tcp(0x100),
            tcp(0x080),
            tcp(0x040),
            tcp(0x020),
            tcp(0x010),
            tcp(0x008),
            tcp(0x004),
            tcp(0x002),
            tcp(0x001),
            self.mqtt.map_or(Empty, |m| UInt(m.kind.into())),
            self.mqtt.map_or(Empty, |m| UInt(m.remaining_length)),
            flag(0x80),
            flag(0x40),
            flag(0x20),
            connect.map_or(Empty, |flags| UInt(u32::from(flags >> 3 & 3))),
            flag(0x04),
            flag(0x02),
            flag(0x01),
            self.is_attack.map_or(Empty, Flag),
        ]
    }
}

/// The attacker of a capture, from which rows are labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attacker {
    /// Not known: rows have no label.
    Unknown,
    /// None: every row is benign.
    Nobody,
    /// One host: rows that it sends or receives are attacks.
    One(IpAddr),
    /// Several hosts, or a host with benign traffic of its own.
    Several(Attackers),
}

/// Attacking hosts, and the ports of their benign traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attackers {
    /// The hosts.
    pub hosts: [Option<IpAddr>; MAX_ATTACKERS],
    /// First and last of the attackers' own ports whose traffic is benign.
    pub benign_ports: Option<(u16, u16)>,
}

/// Maximum number of attackers in a capture.
pub const MAX_ATTACKERS: usize = 8;

impl Attacker {
    /// Whether a packet between these endpoints belongs to the attack; `None` if the attacker is not known.
    pub fn label(self, src: (IpAddr, u16), dst: (IpAddr, u16)) -> Option<bool> {
        match self {
            Attacker::Unknown => None,
            Attacker::Nobody => Some(false),
            Attacker::One(address) => Some(address == src.0 || address == dst.0),
            Attacker::Several(Attackers { hosts, benign_ports }) => {
                let is_benign =
                    |port| benign_ports.is_some_and(|(first, last)| (first..=last).contains(&port));
                let attacks = |(host, port): (IpAddr, u16)| hosts.contains(&Some(host)) && !is_benign(port);
                Some(attacks(src) || attacks(dst))
            }
        }
    }

    /// [`Attacker::label`] of a decoded packet; ICMP has port 0. Also `None` without an IP header.
    pub fn label_of(self, frame: &Frame<'_>) -> Option<bool> {
        let ip = frame.ip?;
        let (src, dst) = match &frame.transport {
            Some(Transport::Tcp(tcp)) => (tcp.src_port, tcp.dst_port),
            Some(Transport::Udp(udp)) => (udp.src_port, udp.dst_port),
            Some(Transport::Icmp(_)) | None => (0, 0),
        };
        self.label((ip.src, src), (ip.dst, dst))
    }

    /// The attacking hosts.
    pub fn hosts(self) -> impl Iterator<Item = IpAddr> {
        let hosts = match self {
            Attacker::Unknown | Attacker::Nobody => [None; MAX_ATTACKERS],
            Attacker::One(address) => std::array::from_fn(|index| (index == 0).then_some(address)),
            Attacker::Several(attackers) => attackers.hosts,
        };
        hosts.into_iter().flatten()
    }

    /// Whether a host is one of the attackers, whatever its ports.
    pub fn includes(self, host: IpAddr) -> bool {
        self.hosts().any(|one| one == host)
    }
}

/// Extracts the rows of a capture's packets, in capture order.
pub struct PacketLevel {
    attacker: Attacker,
    fragments: Box<Fragments>,
    dissector: Dissector,
}

impl PacketLevel {
    /// An extractor for one capture.
    pub fn new(attacker: Attacker) -> PacketLevel {
        PacketLevel { attacker, fragments: Box::default(), dissector: Dissector::default() }
    }

    /// The packet's row; `None` without a TCP or UDP header. As in Wireshark, a fragmented datagram has its row at the
    /// fragment that completes it, with that fragment's IP fields.
    pub fn row(&mut self, packet: &Packet<'_>) -> Option<PacketRow> {
        let frame = decode_frame(packet.link, packet.bytes);
        let ip = frame.ip?;
        let frame = self.fragments.frame(packet.time_nanos, frame, |_| ());
        let (src_port, dst_port, tcp) = match frame.transport.as_ref()? {
            Transport::Tcp(tcp) => (tcp.src_port, tcp.dst_port, Some(tcp.flags)),
            Transport::Udp(udp) => (udp.src_port, udp.dst_port, None),
            Transport::Icmp(_) => return None,
        };
        let dissection = self.dissector.dissect(packet.time_nanos, &frame);
        Some(PacketRow {
            time_nanos: packet.time_nanos,
            src: ip.src,
            dst: ip.dst,
            protocol: dissection.protocol,
            ttl: ip.ttl,
            ip_len: ip.total_len,
            ip_flags: ip.src.is_ipv4().then_some([ip.dont_fragment, ip.more_fragments, ip.reserved]),
            src_port,
            dst_port,
            tcp,
            mqtt: dissection.mqtt,
            is_attack: self.attacker.label((ip.src, src_port), (ip.dst, dst_port)),
        })
    }
}

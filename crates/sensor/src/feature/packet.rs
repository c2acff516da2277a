//! The packet level: one row per TCP segment or UDP datagram.
//!
//! In: a packet of a capture. Out: a [`PacketRow`], and its cells in the order of
//! [`schema::PACKET`](super::schema::PACKET).

use std::net::IpAddr;

use citronella_wire::{Frame, TcpFlags, Transport, decode_frame};

use super::protocol::ProtocolNames;
use crate::{capture::Packet, flow::fragments::Fragments};

/// One cell of a row: what a writer or a data set takes.
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

/// The MQTT cells of a packet: those of the first message that ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MqttCells {
    /// Control packet type, 0 to 15.
    pub kind: u8,
    /// Remaining Length in bytes.
    pub remaining_length: u32,
    /// The CONNECT flags byte; `None` for every other type.
    pub connect_flags: Option<u8>,
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
    /// The MQTT cells; `None` where no message ends in the packet.
    pub mqtt: Option<MqttCells>,
    /// Whether the attacker sent or receives it; `None` where no manifest says.
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

/// Who attacks in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attacker {
    /// Nothing is known: rows are not labelled.
    Unknown,
    /// Nobody: every row is benign.
    Nobody,
    /// This host: rows that it sends or receives are attacks.
    Is(IpAddr),
    /// Several, or one that does honest work too.
    These(Attackers),
}

/// Hosts that attack, and how their honest work is told from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attackers {
    /// The hosts.
    pub hosts: [Option<IpAddr>; MOST_ATTACKERS],
    /// Of an attacking host, what it sends from or receives at these ports (first and last) is honest.
    pub honest_ports: Option<(u16, u16)>,
}

/// Attackers that a capture may have.
pub const MOST_ATTACKERS: usize = 8;

impl Attacker {
    /// Whether a packet between these ends (address and port) belongs to the attack; `None` where nothing is known.
    pub fn label(self, src: (IpAddr, u16), dst: (IpAddr, u16)) -> Option<bool> {
        match self {
            Attacker::Unknown => None,
            Attacker::Nobody => Some(false),
            Attacker::Is(address) => Some(address == src.0 || address == dst.0),
            Attacker::These(Attackers { hosts, honest_ports }) => {
                let honest = |port| honest_ports.is_some_and(|(first, last)| (first..=last).contains(&port));
                let attacks = |end: (IpAddr, u16)| hosts.contains(&Some(end.0)) && !honest(end.1);
                Some(attacks(src) || attacks(dst))
            }
        }
    }

    /// [`Attacker::label`] of a packet; ICMP has port 0. `None` without an IP header, too.
    pub fn label_of(self, frame: &Frame<'_>) -> Option<bool> {
        let ip = frame.ip?;
        let (src, dst) = match &frame.transport {
            Some(Transport::Tcp(tcp)) => (tcp.src_port, tcp.dst_port),
            Some(Transport::Udp(udp)) => (udp.src_port, udp.dst_port),
            Some(Transport::Icmp(_)) | None => (0, 0),
        };
        self.label((ip.src, src), (ip.dst, dst))
    }

    /// The hosts that attack.
    pub fn hosts(self) -> impl Iterator<Item = IpAddr> {
        let hosts = match self {
            Attacker::Unknown | Attacker::Nobody => [None; MOST_ATTACKERS],
            Attacker::Is(address) => std::array::from_fn(|place| (place == 0).then_some(address)),
            Attacker::These(attackers) => attackers.hosts,
        };
        hosts.into_iter().flatten()
    }

    /// Whether a host is one of those that attack, whatever it does in a packet.
    pub fn is(self, host: IpAddr) -> bool {
        self.hosts().any(|one| one == host)
    }
}

/// Makes rows of packets that come in capture order.
pub struct PacketLevel {
    attacker: Attacker,
    fragments: Box<Fragments>,
    names: ProtocolNames,
}

impl PacketLevel {
    /// For one capture, whose attacker is known or not.
    pub fn new(attacker: Attacker) -> PacketLevel {
        PacketLevel { attacker, fragments: Box::default(), names: ProtocolNames::default() }
    }

    /// The packet's row; `None` unless it carries a TCP or UDP header. A datagram in fragments has its row with the
    /// fragment that completes it, whose IP fields the row shows, as Wireshark does.
    pub fn row(&mut self, packet: &Packet<'_>) -> Option<PacketRow> {
        let frame = decode_frame(packet.link, packet.bytes);
        let ip = frame.ip?;
        let frame = self.fragments.frame(packet.time_nanos, frame, |_| ());
        let (src_port, dst_port, tcp) = match frame.transport.as_ref()? {
            Transport::Tcp(tcp) => (tcp.src_port, tcp.dst_port, Some(tcp.flags)),
            Transport::Udp(udp) => (udp.src_port, udp.dst_port, None),
            Transport::Icmp(_) => return None,
        };
        let shown = self.names.show(packet.time_nanos, &frame);
        Some(PacketRow {
            time_nanos: packet.time_nanos,
            src: ip.src,
            dst: ip.dst,
            protocol: shown.protocol,
            ttl: ip.ttl,
            ip_len: ip.total_len,
            ip_flags: ip.src.is_ipv4().then_some([ip.dont_fragment, ip.more_fragments, ip.reserved]),
            src_port,
            dst_port,
            tcp,
            mqtt: shown.mqtt,
            is_attack: self.attacker.label((ip.src, src_port), (ip.dst, dst_port)),
        })
    }
}

//! One flow of the policy `live`: its key, phase, times and statistics.
//!
//! Constant memory: integer sums for lengths, Welford's running moments for inter-arrival times.

use std::net::IpAddr;

use citronella_wire::{Frame, TcpFlags, Transport};

use super::key::{Direction, FlowKey};

/// The fields of a packet that the flow table uses.
#[derive(Clone, Copy, Debug)]
pub struct FlowPacket {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// The flow's key.
    pub key: FlowKey,
    /// Which endpoint of the key sent it.
    pub direction: Direction,
    /// Bytes of the IP datagram.
    pub len: u32,
    /// Bytes of payload after the transport header, on the wire.
    pub payload_len: u32,
    /// TCP's flags; `None` for other protocols.
    pub tcp: Option<TcpFlags>,
}

impl FlowPacket {
    /// The fields of a decoded frame; `None` without a TCP, UDP or ICMP header.
    #[inline]
    pub fn of_frame(time_nanos: i64, frame: &Frame<'_>) -> Option<FlowPacket> {
        let (ip, transport) = (frame.ip.as_ref()?, frame.transport.as_ref()?);
        let (key, direction) = FlowKey::of_headers(ip, transport);
        let tcp = match transport {
            Transport::Tcp(tcp) => Some(tcp.flags),
            _ => None,
        };
        let payload_len = u32::try_from(frame.payload_len).unwrap_or(u32::MAX);
        Some(FlowPacket { time_nanos, key, direction, len: ip.total_len, payload_len, tcp })
    }
}

/// The state of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Only one endpoint has sent packets.
    Unanswered,
    /// Both endpoints have sent packets; the capture may have started in the middle of a TCP connection.
    Answered,
    /// Both endpoints of a TCP connection have sent FIN.
    Finished,
    /// An endpoint of a TCP connection has sent RST.
    Reset,
}

impl Phase {
    /// Whether the TCP connection is over, so that a SYN starts a new flow.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Finished | Phase::Reset)
    }
}

/// Statistics of the packets that one endpoint sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Side {
    /// Packets sent.
    pub packets: u64,
    /// Bytes of IP datagrams.
    pub bytes: u64,
    /// Bytes of payload.
    pub payload_bytes: u64,
    square_bytes: u64,
    /// Shortest datagram in bytes.
    pub min_len: u32,
    /// Longest datagram in bytes.
    pub max_len: u32,
    last_nanos: i64,
    mean_gap: f64,
    square_gap: f64,
    /// Shortest inter-arrival time in nanoseconds; 0 before the second packet.
    pub min_gap_nanos: u64,
    /// Longest inter-arrival time in nanoseconds; 0 before the second packet.
    pub max_gap_nanos: u64,
    /// Segments with PSH.
    pub psh: u32,
    /// Segments with RST.
    pub rst: u32,
    /// Segments with URG, saturating at 65,535.
    pub urg: u16,
    /// Segments with SYN.
    pub syn: u32,
    /// Segments with FIN, saturating at 65,535.
    pub fin: u16,
}

impl Side {
    /// Mean inter-arrival time in seconds; 0 before the second packet.
    pub fn mean_gap_secs(&self) -> f64 {
        self.mean_gap
    }

    /// Population standard deviation of the inter-arrival times in seconds.
    pub fn std_gap_secs(&self) -> f64 {
        let gaps = self.packets.saturating_sub(1);
        if gaps == 0 { 0.0 } else { (self.square_gap / gaps as f64).max(0.0).sqrt() }
    }

    /// Mean datagram length in bytes.
    pub fn mean_len(&self) -> f64 {
        self.bytes as f64 / self.packets.max(1) as f64
    }

    /// Population standard deviation of the datagrams' lengths in bytes.
    pub fn std_len(&self) -> f64 {
        let n = u128::from(self.packets.max(1));
        let scaled = u128::from(self.square_bytes) * n;
        (scaled.saturating_sub(u128::from(self.bytes).pow(2)) as f64).sqrt() / n as f64
    }

    #[inline]
    fn add(&mut self, packet: &FlowPacket) {
        if self.packets == 0 {
            self.min_len = packet.len;
        } else {
            self.add_gap(packet.time_nanos.saturating_sub(self.last_nanos).max(0) as u64);
        }
        self.last_nanos = packet.time_nanos;
        self.packets += 1;
        self.bytes += u64::from(packet.len);
        self.payload_bytes += u64::from(packet.payload_len);
        self.square_bytes += u64::from(packet.len) * u64::from(packet.len);
        self.min_len = self.min_len.min(packet.len);
        self.max_len = self.max_len.max(packet.len);
        if let Some(flags) = packet.tcp {
            let bit = |mask: u16| u32::from(flags.0 & mask != 0);
            self.psh = self.psh.saturating_add(bit(TcpFlags::PSH));
            self.rst = self.rst.saturating_add(bit(TcpFlags::RST));
            self.urg = self.urg.saturating_add(bit(TcpFlags::URG) as u16);
            self.syn = self.syn.saturating_add(bit(TcpFlags::SYN));
            self.fin = self.fin.saturating_add(bit(TcpFlags::FIN) as u16);
        }
    }

    /// Welford 1962. `packets` is the number of gaps, including this one: the packet is not yet counted.
    #[inline]
    fn add_gap(&mut self, nanos: u64) {
        let gap = nanos as f64 * 1e-9;
        let step = gap - self.mean_gap;
        self.mean_gap += step / self.packets as f64;
        self.square_gap += step * (gap - self.mean_gap);
        self.min_gap_nanos = if self.packets == 1 { nanos } else { self.min_gap_nanos.min(nanos) };
        self.max_gap_nanos = self.max_gap_nanos.max(nanos);
    }
}

/// A flow of the live table.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub(super) key: FlowKey,
    /// Number of the flow in its table, from 0.
    pub id: u64,
    /// Time of its first packet, in nanoseconds since 1970-01-01 UTC.
    pub first_nanos: i64,
    /// Time of its latest packet.
    pub last_nanos: i64,
    /// The table's clock at the first packet, in nanoseconds.
    pub(super) first_clock: u64,
    /// The table's clock at the latest packet, in nanoseconds.
    pub(super) last_clock: u64,
    /// Which endpoint of the key initiated it.
    pub initiator: Direction,
    /// The flow's state.
    pub phase: Phase,
    /// Statistics of the initiator's packets, then of the responder's.
    pub sides: [Side; 2],
}

impl Flow {
    pub(super) fn new(id: u64, packet: &FlowPacket, now: u64) -> Flow {
        Flow {
            key: packet.key,
            id,
            first_nanos: packet.time_nanos,
            last_nanos: packet.time_nanos,
            first_clock: now,
            last_clock: now,
            initiator: initiator(packet),
            phase: Phase::Unanswered,
            sides: [Side::default(); 2],
        }
    }

    /// The 5-tuple.
    pub fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The initiator's address and port.
    pub fn src(&self) -> (IpAddr, u16) {
        self.key.sender(self.initiator)
    }

    /// The responder's address and port.
    pub fn dst(&self) -> (IpAddr, u16) {
        self.key.receiver(self.initiator)
    }

    /// Packets of both endpoints.
    pub fn packets(&self) -> u64 {
        self.sides.iter().map(|side| side.packets).sum()
    }

    /// Counts a packet; returns whether the phase changed.
    #[inline]
    pub(super) fn add(&mut self, packet: &FlowPacket, now: u64) -> bool {
        self.last_clock = now;
        self.last_nanos = self.last_nanos.max(packet.time_nanos);
        let [initiator, responder] = &mut self.sides;
        let (own, other) =
            if packet.direction == self.initiator { (initiator, responder) } else { (responder, initiator) };
        own.add(packet);
        if self.phase.is_over() {
            return false;
        }
        let before = self.phase;
        if packet.tcp.is_some_and(TcpFlags::rst) {
            self.phase = Phase::Reset;
        } else if own.fin > 0 && other.fin > 0 {
            self.phase = Phase::Finished;
        } else if other.packets > 0 {
            self.phase = Phase::Answered;
        }
        self.phase != before
    }
}

/// The initiator of the flow whose first captured packet this is: the sender; for a SYN-ACK the receiver; for a TCP
/// connection captured from the middle the endpoint with the higher port.
fn initiator(packet: &FlowPacket) -> Direction {
    let (from, to) = (packet.key.sender(packet.direction).1, packet.key.receiver(packet.direction).1);
    match packet.tcp {
        Some(flags) if flags.syn() && flags.ack() => packet.direction.reverse(),
        Some(flags) if !flags.syn() && from < to => packet.direction.reverse(),
        _ => packet.direction,
    }
}

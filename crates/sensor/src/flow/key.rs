//! Flow keys: a symmetric 5-tuple, the direction of a packet in it, and randomly seeded hashes of flows and host pairs.
//!
//! In: a decoded frame. Out: a [`FlowKey`] that is the same for both directions, and the packet's [`Direction`].

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use citronella_wire::{Frame, Icmp, Ip, Transport};

/// IANA protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// IANA protocol number of UDP.
pub(crate) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Which of a key's two endpoints sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The endpoint with the smaller address and port.
    FromLow,
    /// The other endpoint.
    FromHigh,
}

impl Direction {
    /// The other direction.
    #[inline]
    pub fn reverse(self) -> Direction {
        match self {
            Direction::FromLow => Direction::FromHigh,
            Direction::FromHigh => Direction::FromLow,
        }
    }
}

/// The 5-tuple of a conversation without direction, the smaller endpoint first.
///
/// ICMP has no ports. Queries (echo, timestamp, information, address mask) use their identifier as both ports, so that
/// request and reply have the same key; other messages use type and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: [u64; 2],
    high: [u64; 2],
    /// The low endpoint's port in the upper 16 bits, the high endpoint's in the lower.
    ports: u32,
    protocol: u8,
    is_ipv4: bool,
}

impl FlowKey {
    /// The key of a packet between these endpoints, and which endpoint sent it.
    #[inline]
    pub fn new(
        (src, src_port): (IpAddr, u16),
        (dst, dst_port): (IpAddr, u16),
        protocol: u8,
    ) -> (FlowKey, Direction) {
        let (from, to) = (words(src), words(dst));
        let is_ipv4 = src.is_ipv4();
        let join = |low: u16, high: u16| u32::from(low) << 16 | u32::from(high);
        if (from, src_port) <= (to, dst_port) {
            let ports = join(src_port, dst_port);
            (FlowKey { low: from, high: to, ports, protocol, is_ipv4 }, Direction::FromLow)
        } else {
            let ports = join(dst_port, src_port);
            (FlowKey { low: to, high: from, ports, protocol, is_ipv4 }, Direction::FromHigh)
        }
    }

    /// The key of a decoded frame; `None` without a TCP, UDP or ICMP header.
    #[inline]
    pub fn of_frame(frame: &Frame<'_>) -> Option<(FlowKey, Direction)> {
        Some(FlowKey::of_headers(frame.ip.as_ref()?, frame.transport.as_ref()?))
    }

    /// The key of a packet with these headers, and which endpoint sent it.
    #[inline]
    pub fn of_headers(ip: &Ip, transport: &Transport) -> (FlowKey, Direction) {
        let (src_port, dst_port, protocol) = match transport {
            Transport::Tcp(tcp) => (tcp.src_port, tcp.dst_port, TCP),
            Transport::Udp(udp) => (udp.src_port, udp.dst_port, UDP),
            Transport::Icmp(icmp) => {
                let port = icmp_port(icmp);
                (port, port, if icmp.version == 4 { ICMP } else { ICMPV6 })
            }
        };
        FlowKey::new((ip.src, src_port), (ip.dst, dst_port), protocol)
    }

    /// The sender's address and port of a packet in this direction.
    #[inline]
    pub fn sender(&self, direction: Direction) -> (IpAddr, u16) {
        match direction {
            Direction::FromLow => (self.address(self.low), (self.ports >> 16) as u16),
            Direction::FromHigh => (self.address(self.high), self.ports as u16),
        }
    }

    /// The receiver's address and port of a packet in this direction.
    #[inline]
    pub fn receiver(&self, direction: Direction) -> (IpAddr, u16) {
        self.sender(direction.reverse())
    }

    /// IANA protocol number: 1, 6, 17 or 58.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether both endpoints are the same, so that the key has only one direction.
    #[inline]
    pub fn is_loop(&self) -> bool {
        self.low == self.high && self.ports >> 16 == self.ports & 0xffff
    }

    /// Whether both endpoints have the same address.
    #[inline]
    pub fn is_between_one_host(&self) -> bool {
        self.low == self.high
    }

    fn address(&self, words: [u64; 2]) -> IpAddr {
        if self.is_ipv4 {
            IpAddr::V4(Ipv4Addr::from_bits(words[1] as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(words[0]) << 64 | u128::from(words[1])))
        }
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash_hosts(state);
        state.write_u64(u64::from(self.ports) << 9 | u64::from(self.protocol) << 1 | u64::from(self.is_ipv4));
    }
}

impl FlowKey {
    #[inline]
    fn hash_hosts<H: Hasher>(&self, state: &mut H) {
        if self.is_ipv4 {
            // Two 32-bit addresses fit one word.
            state.write_u64(self.low[1] << 32 | self.high[1]);
        } else {
            state.write_u64(self.low[0]);
            state.write_u64(self.low[1]);
            state.write_u64(self.high[0]);
            state.write_u64(self.high[1]);
        }
    }
}

/// The random seed of a process's flow hashes, so that a sender cannot choose buckets or shards.
#[derive(Clone, Debug, Default)]
pub struct HashSeed(foldhash::fast::RandomState);

impl HashSeed {
    /// A fresh random seed.
    pub fn new() -> HashSeed {
        HashSeed::default()
    }

    /// The flow's hash, the same for both directions.
    #[inline]
    pub fn flow(&self, key: &FlowKey) -> u64 {
        self.0.hash_one(key)
    }

    /// The host pair's hash, the same for all flows between two hosts; it selects the shard.
    #[inline]
    pub fn hosts(&self, key: &FlowKey) -> u64 {
        let mut state = self.0.build_hasher();
        key.hash_hosts(&mut state);
        state.finish()
    }
}

#[inline]
fn words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, u64::from(address.to_bits())],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [(bits >> 64) as u64, bits as u64]
        }
    }
}

/// RFC 792 and RFC 4443: a query and its reply share an identifier, bytes 4 and 5.
fn icmp_port(icmp: &Icmp) -> u16 {
    let is_query = match icmp.version {
        4 => matches!(icmp.kind, 0 | 8 | 13..=18),
        _ => matches!(icmp.kind, 128 | 129),
    };
    if is_query { (icmp.rest >> 16) as u16 } else { u16::from_be_bytes([icmp.kind, icmp.code]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str, port: u16) -> (IpAddr, u16) {
        (text.parse().unwrap(), port)
    }

    #[test]
    fn both_directions_have_one_key_and_one_hash() {
        let seed = HashSeed::new();
        for (a, b) in [("10.0.0.7", "192.168.1.7"), ("::1", "2001:db8::2"), ("10.0.0.7", "10.0.0.7")] {
            let (there, from) = FlowKey::new(endpoint(a, 40_000), endpoint(b, 1883), 6);
            let (back, to) = FlowKey::new(endpoint(b, 1883), endpoint(a, 40_000), 6);
            assert_eq!(there, back);
            assert_eq!(from, to.reverse());
            assert_eq!(seed.flow(&there), seed.flow(&back));
            assert_eq!(there.sender(from), endpoint(a, 40_000));
            assert_eq!(there.receiver(from), endpoint(b, 1883));
            assert_eq!(there.sender(to), endpoint(b, 1883));
        }
    }

    #[test]
    fn the_host_pair_hash_ignores_ports_and_direction() {
        let seed = HashSeed::new();
        let (one, _) = FlowKey::new(endpoint("10.0.0.7", 1), endpoint("10.0.0.9", 2), 6);
        let (other, _) = FlowKey::new(endpoint("10.0.0.9", 53), endpoint("10.0.0.7", 9999), 17);
        assert_eq!(seed.hosts(&one), seed.hosts(&other));
        assert_ne!(seed.flow(&one), seed.flow(&other));
    }

    #[test]
    fn a_mapped_address_is_not_its_ipv4_twin() {
        let (four, _) = FlowKey::new(endpoint("0.0.0.1", 1), endpoint("0.0.0.2", 2), 6);
        let (six, _) = FlowKey::new(endpoint("::1", 1), endpoint("::2", 2), 6);
        assert_ne!(four, six);
        assert!(!four.is_loop());
        assert!(FlowKey::new(endpoint("10.0.0.1", 7), endpoint("10.0.0.1", 7), 6).0.is_loop());
    }
}

//! Augmentation of a capture's traffic: other speed, packet loss, a later start, a thinner, slower or distributed
//! attack, an attack from an inside host, clients behind NAT.
//!
//! In: packets in capture order. Out: packets with other times and addresses, or dropped. The packets change, not the
//! features: those follow from the changed packets as they would live. Every conversation retains its class: if an
//! attack moves to a host with benign traffic, only the attack's conversations are the attack. Deterministic for a
//! seed.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use citronella_sensor::feature::packet::Attacker;
use citronella_wire::{Frame, Transport};

use super::MemoryCapture;

/// How to change a capture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// Seed of every random choice.
    pub seed: u64,
    /// Factor on the time between packets.
    pub time_scale: f64,
    /// Share of packets to drop.
    pub loss: f64,
    /// Seconds to drop at the start; later conversations then start mid-stream.
    pub skip_secs: f64,
    /// Share of the attack's conversations to retain.
    pub attack_share: f64,
    /// Factor on the time between starts of the attack's conversations; each keeps its own pace, and benign traffic
    /// is unchanged. Packets later than the capture's last packet are dropped.
    pub attack_scale: f64,
    /// Number of source addresses of the attack.
    pub attack_sources: u32,
    /// Move the attack to one of the broker's benign clients.
    pub inside: bool,
    /// Number of the broker's clients that share one address, as behind NAT or a gateway. Limits learnt from single
    /// benign hosts are too low for such an address.
    pub nat_clients: u32,
}

impl Variant {
    /// The unchanged capture.
    pub const PLAIN: Variant = Variant {
        seed: 0,
        time_scale: 1.0,
        loss: 0.0,
        skip_secs: 0.0,
        attack_share: 1.0,
        attack_scale: 1.0,
        attack_sources: 1,
        inside: false,
        nat_clients: 0,
    };
}

/// Applies a [`Variant`] to one capture.
pub(super) struct VariantTransform {
    variant: Variant,
    hash: foldhash::fast::FixedState,
    first_nanos: i64,
    last_nanos: i64,
    packets: u64,
    attacker: Attacker,
    /// First packet of each of the attack's conversations, by ports.
    conversation_starts: HashMap<(u16, u16), i64>,
    attack_start: Option<i64>,
    /// The benign client that replaces the attacker.
    inside: Option<IpAddr>,
    /// Hosts behind NAT; the first one's address is the outer address.
    nat_hosts: Vec<IpAddr>,
}

impl VariantTransform {
    /// `frames`: time (Unix nanoseconds) and decoded packet, in capture order.
    pub(super) fn new<'a>(
        variant: Variant,
        capture: &MemoryCapture,
        frames: impl Iterator<Item = (i64, Frame<'a>)> + Clone,
    ) -> VariantTransform {
        let hash = foldhash::fast::FixedState::with_seed(variant.seed);
        let mut times = frames.clone().map(|(time, _)| time);
        let first_nanos = times.next().unwrap_or(0);
        let last_nanos = times.last().unwrap_or(first_nanos);
        let needs_clients = variant.inside || variant.nat_clients > 1;
        let mut nat_hosts = if needs_clients { clients(capture, frames) } else { Vec::new() };
        let index = hash.hash_one(&capture.name) as usize % nat_hosts.len().max(1);
        let inside = nat_hosts.get(index).copied().filter(|_| variant.inside);
        nat_hosts.retain(|host| Some(*host) != inside);
        nat_hosts.sort_by_key(|host| hash.hash_one(host));
        nat_hosts.truncate(variant.nat_clients as usize);
        VariantTransform {
            variant,
            hash,
            first_nanos,
            last_nanos,
            packets: 0,
            attacker: capture.attacker,
            conversation_starts: HashMap::new(),
            attack_start: None,
            inside,
            nat_hosts,
        }
    }

    /// Returns the packet's new time, or `None` if it is dropped. Call in capture order.
    pub(super) fn time(&mut self, time_nanos: i64, frame: &Frame<'_>) -> Option<i64> {
        let since = time_nanos.saturating_sub(self.first_nanos) as f64;
        self.packets += 1;
        if since < self.variant.skip_secs * 1e9 || self.uniform(self.packets) < self.variant.loss {
            return None;
        }
        let mut at = time_nanos;
        if self.is_attack(frame) {
            let ports = ports_of(frame);
            if self.uniform(ports) >= self.variant.attack_share {
                return None;
            }
            let attack_start = *self.attack_start.get_or_insert(time_nanos);
            let start = *self.conversation_starts.entry(ports).or_insert(time_nanos);
            let delay = start.saturating_sub(attack_start) as f64 * (self.variant.attack_scale - 1.0);
            at = at.saturating_add(delay as i64);
            if at > self.last_nanos {
                return None;
            }
        }
        let since = at.saturating_sub(self.first_nanos) as f64 * self.variant.time_scale;
        Some(self.first_nanos.saturating_add(since as i64))
    }

    /// Orders `(time, packet index)` pairs and makes the times monotonic.
    pub(super) fn order(&self, packets: &mut [(i64, usize)]) {
        if self.variant.attack_scale != 1.0 {
            packets.sort_by_key(|(time, index)| (*time, *index));
            return;
        }
        // Capture order: a clock that steps back must not reorder packets.
        let mut latest = i64::MIN;
        for (time, _) in packets {
            latest = latest.max(*time);
            *time = latest;
        }
    }

    /// Whether one of the hosts attacks anywhere in the capture.
    pub(super) fn has_attacker(&self, src: IpAddr, dst: IpAddr) -> bool {
        match self.inside {
            Some(inside) => inside == src || inside == dst,
            None => self.attacker.includes(src) || self.attacker.includes(dst),
        }
    }

    fn is_attack(&self, frame: &Frame<'_>) -> bool {
        self.attacker.label_of(frame) == Some(true)
    }

    /// A value in [0, 1) that depends on the seed and `key` alone.
    fn uniform(&self, key: impl Hash) -> f64 {
        (self.hash.hash_one(key) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Replaces the packet's addresses, and its ports behind NAT.
    pub(super) fn rewrite_addresses(&self, frame: &mut Frame<'_>) {
        if !self.is_attack(frame) {
            self.apply_nat(frame);
            return;
        }
        let sources = u64::from(self.variant.attack_sources.max(1));
        let source = (self.hash.hash_one(ports_of(frame)) >> 7) % sources;
        let rewritten = |attacker: IpAddr| match (source, self.inside, attacker) {
            (0, Some(inside), _) => inside,
            (0, None, _) => attacker,
            // Documentation addresses (RFC 5737, RFC 3849) occur in no recording.
            (n, _, IpAddr::V4(_)) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, n as u8)),
            (n, _, IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16)),
        };
        if let Some(ip) = &mut frame.ip {
            for host in [&mut ip.src, &mut ip.dst] {
                if self.attacker.includes(*host) {
                    *host = rewritten(*host);
                }
            }
        }
    }

    /// Source NAT: all of `nat_hosts` get one address and hashed ports.
    fn apply_nat(&self, frame: &mut Frame<'_>) {
        let (Some(outer), Some(ip)) = (self.nat_hosts.first(), &mut frame.ip) else { return };
        let translate = |host: &mut IpAddr, port: &mut u16| {
            if self.nat_hosts.contains(host) {
                *port = 1_024 + (self.hash.hash_one((&*host, *port)) % 60_000) as u16;
                *host = *outer;
            }
        };
        match &mut frame.transport {
            Some(Transport::Tcp(tcp)) => {
                translate(&mut ip.src, &mut tcp.src_port);
                translate(&mut ip.dst, &mut tcp.dst_port);
            }
            Some(Transport::Udp(udp)) => {
                translate(&mut ip.src, &mut udp.src_port);
                translate(&mut ip.dst, &mut udp.dst_port);
            }
            Some(Transport::Icmp(icmp)) => {
                translate(&mut ip.src, &mut 0);
                translate(&mut ip.dst, &mut 0);
                if let Some(original) = &mut icmp.original {
                    translate(&mut original.src, &mut original.src_port);
                    translate(&mut original.dst, &mut original.dst_port);
                }
            }
            None => {}
        }
    }
}

/// Hosts that send TCP data to the broker, without the attacker, sorted by address.
fn clients<'a>(capture: &MemoryCapture, frames: impl Iterator<Item = (i64, Frame<'a>)>) -> Vec<IpAddr> {
    let client = |(_, frame): (i64, Frame<'a>)| match (frame.ip, frame.transport) {
        (Some(ip), Some(Transport::Tcp(tcp)))
            if Some(ip.dst) == capture.broker && !capture.attacker.includes(ip.src) && tcp.flags.psh() =>
        {
            Some(ip.src)
        }
        _ => None,
    };
    frames.filter_map(client).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The conversation's ports, lower first: equal for both directions and for ICMP errors about it.
fn ports_of(frame: &Frame<'_>) -> (u16, u16) {
    let (a, b) = match &frame.transport {
        Some(Transport::Tcp(tcp)) => (tcp.src_port, tcp.dst_port),
        Some(Transport::Udp(udp)) => (udp.src_port, udp.dst_port),
        Some(Transport::Icmp(icmp)) => match icmp.original {
            Some(original) => (original.src_port, original.dst_port),
            None => ((icmp.rest >> 16) as u16, 0),
        },
        None => (0, 0),
    };
    (a.min(b), a.max(b))
}

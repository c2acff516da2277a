//! The same recording as it might have been: slower or faster, with losses, begun later, its attack thinner or slower,
//! spread over several sources or from a host that also does honest work, its clients behind one address.
//!
//! In: packets. Out: packets at other times, from other hosts, or left out. What is changed is the traffic, not the
//! numbers that are made of it: the counts of the sequence level follow from the changed packets as they would live.
//! A conversation keeps its class: of a host that attacks and does honest work, the attack's conversations are the
//! attack, the others benign. Equal seeds change equally.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use citronella_sensor::feature::packet::Attacker;
use citronella_wire::{Frame, Transport};

use super::recording::Captured;

/// How a recording is changed.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Variant {
    /// Decides what chance decides.
    pub seed: u64,
    /// Times between packets are this many times as long.
    pub time_scale: f64,
    /// Share of packets that are left out.
    pub loss: f64,
    /// Seconds at the begin that are left out: conversations are picked up in mid-stream.
    pub skip_secs: f64,
    /// Share of the attacker's conversations that are kept.
    pub keep_attack: f64,
    /// The attacker's conversations begin this many times as far apart, each at its own pace, while everybody else
    /// goes on as before; those that would begin after the others' last packet are left out.
    pub attack_scale: f64,
    /// Sources that the attack comes from.
    pub sources: u32,
    /// The attack comes from a host that talks to the broker honestly too.
    pub inside: bool,
    /// So many of the broker's clients share one address, as behind a router that translates addresses or a gateway:
    /// what an honest host does at most is no measure of what an honest address does.
    pub shared: u32,
}

impl Variant {
    /// The recording as it is.
    pub const PLAIN: Variant = Variant {
        seed: 0,
        time_scale: 1.0,
        loss: 0.0,
        skip_secs: 0.0,
        keep_attack: 1.0,
        attack_scale: 1.0,
        sources: 1,
        inside: false,
        shared: 0,
    };
}

/// A variant at work on one capture.
pub(super) struct Changer {
    variant: Variant,
    hash: foldhash::fast::FixedState,
    first_nanos: i64,
    last_nanos: i64,
    packets: u64,
    attacker: Attacker,
    /// When each of the attacker's conversations began.
    begun: HashMap<(u16, u16), i64>,
    attack_began: Option<i64>,
    /// In the attacker's place.
    inside: Option<IpAddr>,
    /// Hosts that share the address of the first of them.
    shared: Vec<IpAddr>,
}

impl Changer {
    pub(super) fn new<'a>(
        variant: Variant,
        capture: &Captured,
        frames: impl Iterator<Item = (i64, Frame<'a>)> + Clone,
    ) -> Changer {
        let hash = foldhash::fast::FixedState::with_seed(variant.seed);
        let mut ends = frames.clone().map(|(time, _)| time);
        let first_nanos = ends.next().unwrap_or(0);
        let last_nanos = ends.last().unwrap_or(first_nanos);
        let mut shared =
            if variant.inside || variant.shared > 1 { clients(capture, frames) } else { Vec::new() };
        let place = hash.hash_one(&capture.name) as usize % shared.len().max(1);
        let inside = shared.get(place).copied().filter(|_| variant.inside);
        shared.retain(|host| Some(*host) != inside);
        shared.sort_by_key(|host| hash.hash_one(host));
        shared.truncate(variant.shared as usize);
        Changer {
            variant,
            hash,
            first_nanos,
            last_nanos,
            packets: 0,
            attacker: capture.attacker,
            begun: HashMap::new(),
            attack_began: None,
            inside,
            shared,
        }
    }

    /// A packet's new time; `None` where it is left out. Packets in their order.
    pub(super) fn time(&mut self, time_nanos: i64, frame: &Frame<'_>) -> Option<i64> {
        let since = time_nanos.saturating_sub(self.first_nanos) as f64;
        self.packets += 1;
        if since < self.variant.skip_secs * 1e9 || self.chance(self.packets) < self.variant.loss {
            return None;
        }
        let mut at = time_nanos;
        if self.is_attack(frame) {
            let flow = flow_of(frame);
            if self.share(flow) >= self.variant.keep_attack {
                return None;
            }
            let attack_began = *self.attack_began.get_or_insert(time_nanos);
            let begun = *self.begun.entry(flow).or_insert(time_nanos);
            let later = begun.saturating_sub(attack_began) as f64 * (self.variant.attack_scale - 1.0);
            at = at.saturating_add(later as i64);
            if at > self.last_nanos {
                return None;
            }
        }
        let since = at.saturating_sub(self.first_nanos) as f64 * self.variant.time_scale;
        Some(self.first_nanos.saturating_add(since as i64))
    }

    /// Puts packets into the order of their new times.
    pub(super) fn settle(&self, order: &mut [(i64, usize)]) {
        if self.variant.attack_scale != 1.0 {
            order.sort_by_key(|(time, number)| (*time, *number));
            return;
        }
        // As captured: a clock that steps back does not change the order.
        let mut latest = i64::MIN;
        for (time, _) in order {
            latest = latest.max(*time);
            *time = latest;
        }
    }

    /// Whether an attack comes from one of two hosts, whatever else they do.
    pub(super) fn attacks(&self, src: IpAddr, dst: IpAddr) -> bool {
        match self.inside {
            Some(inside) => inside == src || inside == dst,
            None => self.attacker.includes(src) || self.attacker.includes(dst),
        }
    }

    fn is_attack(&self, frame: &Frame<'_>) -> bool {
        self.attacker.label_of(frame) == Some(true)
    }

    fn chance(&self, of: u64) -> f64 {
        (self.hash.hash_one(of) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn share(&self, flow: (u16, u16)) -> f64 {
        (self.hash.hash_one(flow) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Gives a packet its new hosts.
    pub(super) fn disguise(&self, frame: &mut Frame<'_>) {
        if !self.is_attack(frame) {
            self.translate(frame);
            return;
        }
        let number = (self.hash.hash_one(flow_of(frame)) >> 7) % u64::from(self.variant.sources.max(1));
        let other = |attacker: IpAddr| match (number, self.inside, attacker) {
            (0, Some(inside), _) => inside,
            (0, None, _) => attacker,
            // Documentation addresses (RFC 5737, RFC 3849): nobody in a recording.
            (n, _, IpAddr::V4(_)) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, n as u8)),
            (n, _, IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16)),
        };
        if let Some(ip) = &mut frame.ip {
            for end in [&mut ip.src, &mut ip.dst] {
                if self.attacker.includes(*end) {
                    *end = other(*end);
                }
            }
        }
    }

    /// Gives hosts that share an address that address, and their ports others, as a router does.
    fn translate(&self, frame: &mut Frame<'_>) {
        let (Some(outer), Some(ip)) = (self.shared.first(), &mut frame.ip) else { return };
        let translate = |host: &mut IpAddr, port: &mut u16| {
            if self.shared.contains(host) {
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

/// Hosts that begin TCP conversations with the broker, without the attacker, in order of address.
fn clients<'a>(capture: &Captured, frames: impl Iterator<Item = (i64, Frame<'a>)>) -> Vec<IpAddr> {
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

/// The ports, lower first: the same in both directions, and in an ICMP error about them.
fn flow_of(frame: &Frame<'_>) -> (u16, u16) {
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

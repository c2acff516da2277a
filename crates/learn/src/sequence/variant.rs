//! The same recording as it might have been: slower or faster, with losses, begun later, its attack thinner, spread
//! over several sources or from a host that also does honest work.
//!
//! In: packets. Out: packets at other times, from other hosts, or left out. What is changed is the traffic, not the
//! numbers that are made of it: the counts of the sequence level follow from the changed packets as they would live.
//! Equal seeds change equally.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};

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
    /// Sources that the attack comes from.
    pub sources: u32,
    /// The attack comes from a host that talks to the broker honestly too.
    pub inside: bool,
}

impl Variant {
    /// The recording as it is.
    pub const PLAIN: Variant = Variant {
        seed: 0,
        time_scale: 1.0,
        loss: 0.0,
        skip_secs: 0.0,
        keep_attack: 1.0,
        sources: 1,
        inside: false,
    };
}

/// A variant at work on one capture.
pub(super) struct Changer {
    variant: Variant,
    hash: foldhash::fast::FixedState,
    first_nanos: Option<i64>,
    latest_nanos: i64,
    packets: u64,
    attacker: Option<IpAddr>,
    /// In the attacker's place.
    inside: Option<IpAddr>,
}

impl Changer {
    pub(super) fn new(variant: Variant, capture: &Captured, clients: &[IpAddr]) -> Changer {
        let hash = foldhash::fast::FixedState::with_seed(variant.seed);
        let pick = hash.hash_one(&capture.name) as usize % clients.len().max(1);
        let inside = if variant.inside { clients.get(pick).copied() } else { None };
        Changer {
            variant,
            hash,
            first_nanos: None,
            latest_nanos: i64::MIN,
            packets: 0,
            attacker: capture.attacker,
            inside,
        }
    }

    /// A packet's new time; `frame` gets its new hosts. `None` where it is left out.
    pub(super) fn change(&mut self, time_nanos: i64, frame: &mut Frame<'_>) -> Option<i64> {
        let first = *self.first_nanos.get_or_insert(time_nanos);
        let since = time_nanos.saturating_sub(first);
        self.packets += 1;
        if (since as f64) < self.variant.skip_secs * 1e9 || self.chance(self.packets) < self.variant.loss {
            return None;
        }
        let of_attack = frame.ip.filter(|ip| Some(ip.src) == self.attacker || Some(ip.dst) == self.attacker);
        if of_attack.is_some() {
            let flow = self.hash.hash_one(flow_of(frame));
            if (flow >> 11) as f64 / (1u64 << 53) as f64 >= self.variant.keep_attack {
                return None;
            }
            self.disguise(frame, flow);
        }
        let time = first.saturating_add((since as f64 * self.variant.time_scale) as i64);
        self.latest_nanos = self.latest_nanos.max(time);
        Some(self.latest_nanos)
    }

    fn chance(&self, of: u64) -> f64 {
        (self.hash.hash_one(of) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn disguise(&self, frame: &mut Frame<'_>, flow: u64) {
        let Some(attacker) = self.attacker else { return };
        let number = (flow >> 7) % u64::from(self.variant.sources.max(1));
        let other = match (number, self.inside, attacker) {
            (0, Some(inside), _) => inside,
            (0, None, _) => attacker,
            // TEST-NET-2 (RFC 5737): nobody in a recording.
            (n, _, IpAddr::V4(_)) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, n as u8)),
            (_, _, v6) => v6,
        };
        if let Some(ip) = &mut frame.ip {
            for end in [&mut ip.src, &mut ip.dst] {
                if *end == attacker {
                    *end = other;
                }
            }
        }
    }
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

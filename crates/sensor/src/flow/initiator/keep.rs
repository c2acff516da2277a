//! What of hosts' behaviour outlives the program.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Behaviour, COUNTS, Initiators, lock};

/// A host and what it did, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Host {
    address: IpAddr,
    known_since_nanos: i64,
    last_nanos: i64,
    counts: Vec<f32>,
    recent: Vec<u64>,
}

/// Hosts' behaviour, as it is kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptHosts {
    hosts: Vec<Host>,
}

impl KeptHosts {
    /// Hosts in it.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl Initiators {
    /// What is to be kept.
    pub fn keep(&self) -> KeptHosts {
        let mut hosts = Vec::new();
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            // The young ones last: if not all fit again, they stay.
            for (address, host) in stripe.iter() {
                hosts.push(host.keep(*address));
            }
        }
        KeptHosts { hosts }
    }

    /// Takes up what was kept. Connections that were open are not: `held` and `idle` begin at 0. Hosts whose counts have
    /// another form are left out; returns how many were taken.
    pub fn take_up(&self, kept: &KeptHosts) -> usize {
        let taken = kept.hosts.iter().filter_map(|host| Some((host.address, Behaviour::take_up(host)?)));
        taken
            .filter(|(address, host)| {
                self.with(*address, host.last_nanos, |b, _| *b = host.clone()).is_some()
            })
            .count()
    }
}

impl Behaviour {
    fn keep(&self, address: IpAddr) -> Host {
        let mut recent = Vec::new();
        self.clone().each_recent(|words| recent.extend_from_slice(words));
        Host {
            address,
            known_since_nanos: self.known_since_nanos,
            last_nanos: self.last_nanos,
            counts: self.counts.concat(),
            recent,
        }
    }

    fn take_up(host: &Host) -> Option<Behaviour> {
        let mut behaviour = Behaviour::new(host.last_nanos);
        behaviour.known_since_nanos = host.known_since_nanos;
        let sound = |count: &f32| count.is_finite() && *count >= 0.0;
        if host.counts.len() != 2 * COUNTS || !host.counts.iter().all(sound) {
            return None;
        }
        behaviour.counts.as_flattened_mut().copy_from_slice(&host.counts);
        let mut words = host.recent.iter();
        let mut complete = true;
        behaviour.each_recent(|met| {
            for word in met {
                match words.next() {
                    Some(kept) => *word = *kept,
                    None => complete = false,
                }
            }
        });
        (complete && words.next().is_none()).then_some(behaviour)
    }

    /// The words of all that it met last.
    fn each_recent(&mut self, mut each: impl FnMut(&mut [u64])) {
        each(&mut self.ports.0);
        each(&mut self.hosts.0);
        each(&mut self.ends.0);
        each(&mut self.clients.0);
        each(&mut self.users.0);
        each(&mut self.credentials.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Count, Limits};
    use super::*;

    #[test]
    fn counts_go_on_after_a_restart_and_what_has_another_form_is_left_out() {
        let all = Initiators::new(Limits::default(), 1);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..500 {
            all.with(address(n), i64::from(n), |host, _| {
                host.add(Count::Refused, n as f32);
                host.meets(0x17_0000_0017 + u64::from(n), 3, 4);
                host.held = 3;
            });
        }
        let mut kept = all.keep();
        assert_eq!(kept.len(), 500);
        kept.hosts[0].counts.pop();
        kept.hosts[1].recent.push(0);
        let again = Initiators::new(Limits::default(), 1);
        assert_eq!(again.take_up(&kept), 498);
        again.with(address(7), 7, |host, _| {
            assert_eq!((host.slow(Count::Refused), host.slow(Count::Ports), host.held), (7.0, 1.0, 0));
            host.meets(0x17_0000_0017 + 7, 3, 4);
            assert_eq!((host.slow(Count::Ports), host.known_since_nanos), (1.0, 7));
        });
    }

    #[test]
    fn the_cap_holds() {
        let all = Initiators::new(Limits { max_hosts: 4_096, stripes: 4 }, 1);
        for n in 0..2_000_u32 {
            all.with(IpAddr::from(n.to_be_bytes()), 0, |host, _| host.add(Count::Flows, 1.0));
        }
        let few = Initiators::new(Limits { max_hosts: 64, stripes: 4 }, 1);
        few.take_up(&all.keep());
        assert!(few.len() <= 64 && !few.is_empty());
    }
}

//! Snapshots of the hosts' behaviour, which survive a restart.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Behaviour, COUNTS, Initiators, lock};

/// A host and its behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Host {
    address: IpAddr,
    known_since_nanos: i64,
    last_nanos: i64,
    counts: Vec<f32>,
    recent: Vec<u64>,
}

/// The behaviour of all hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostsSnapshot {
    hosts: Vec<Host>,
}

impl HostsSnapshot {
    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl Initiators {
    /// The hosts' current behaviour.
    pub fn snapshot(&self) -> HostsSnapshot {
        let mut hosts = Vec::new();
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            // The most recent last, so that a smaller table evicts the others.
            for (address, host) in stripe.iter() {
                hosts.push(host.snapshot(*address));
            }
        }
        HostsSnapshot { hosts }
    }

    /// Restores a snapshot and returns the number of restored hosts. Hosts with counts of another format are skipped.
    /// Open connections are not restored: `held` and `idle` start at 0.
    pub fn restore(&self, snapshot: &HostsSnapshot) -> usize {
        let hosts = snapshot.hosts.iter().filter_map(|host| Some((host.address, Behaviour::restore(host)?)));
        hosts
            .filter(|(address, host)| {
                self.with(*address, host.last_nanos, |b, _| *b = host.clone()).is_some()
            })
            .count()
    }
}

impl Behaviour {
    fn snapshot(&self, address: IpAddr) -> Host {
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

    fn restore(host: &Host) -> Option<Behaviour> {
        let mut behaviour = Behaviour::new(host.last_nanos);
        behaviour.known_since_nanos = host.known_since_nanos;
        let is_valid = |count: &f32| count.is_finite() && *count >= 0.0;
        if host.counts.len() != 2 * COUNTS || !host.counts.iter().all(is_valid) {
            return None;
        }
        behaviour.counts.as_flattened_mut().copy_from_slice(&host.counts);
        let mut words = host.recent.iter();
        let mut complete = true;
        behaviour.each_recent(|buckets| {
            for word in buckets {
                match words.next() {
                    Some(saved) => *word = *saved,
                    None => complete = false,
                }
            }
        });
        (complete && words.next().is_none()).then_some(behaviour)
    }

    /// Calls `each` with the buckets of every set of recent hashes.
    fn each_recent(&mut self, mut each: impl FnMut(&mut [u64])) {
        each(&mut self.ports.0);
        each(&mut self.hosts.0);
        each(&mut self.endpoints.0);
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
    fn counts_continue_after_a_restart_and_another_format_is_skipped() {
        let all = Initiators::new(Limits::default(), 1);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..500 {
            all.with(address(n), i64::from(n), |host, _| {
                host.add(Count::Refused, n as f32);
                host.observe_responder(0x17_0000_0017 + u64::from(n), 3, 4);
                host.held = 3;
            });
        }
        let mut snapshot = all.snapshot();
        assert_eq!(snapshot.len(), 500);
        snapshot.hosts[0].counts.pop();
        snapshot.hosts[1].recent.push(0);
        let again = Initiators::new(Limits::default(), 1);
        assert_eq!(again.restore(&snapshot), 498);
        again.with(address(7), 7, |host, _| {
            assert_eq!((host.slow(Count::Refused), host.slow(Count::Ports), host.held), (7.0, 1.0, 0));
            host.observe_responder(0x17_0000_0017 + 7, 3, 4);
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
        few.restore(&all.snapshot());
        assert!(few.len() <= 64 && !few.is_empty());
    }
}

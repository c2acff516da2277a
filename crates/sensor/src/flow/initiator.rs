//! The recent behaviour of hosts that initiate flows: counts that decay over about 10 and 60 seconds, and sets of what
//! each host recently contacted or used, which decide whether a port, responder or credential is new to it.
//!
//! In: a host's address, packet time in nanoseconds, events. Out: a [`Behaviour`] to read and update. Memory: about 750
//! bytes per host, capped by [`Limits::max_hosts`]; beyond it the longest idle hosts are evicted, up to half at a time,
//! and counted. All shards share the table, because a scanner's flows fall into every shard; locks are striped. O(1) per
//! packet; all time is packet time.

mod snapshot;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use snapshot::HostsSnapshot;

use super::clock::SET_BACK_NANOS;
use super::generational_cache::GenerationalCache;

/// Decay times of the counts, in seconds.
pub const DECAY_SECS: [f32; 2] = [10.0, 60.0];

/// Bounds of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Cap of hosts; at least half as many stay after an eviction.
    pub max_hosts: usize,
    /// Parts with a lock each.
    pub stripes: usize,
}

impl Default for Limits {
    /// 65,536 hosts (about 50 MB) in 16 stripes.
    fn default() -> Limits {
        Limits { max_hosts: 1 << 16, stripes: 16 }
    }
}

/// A counted quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Flows initiated.
    Flows,
    /// Flows without an answer, or answered by a reset or an ICMP error.
    Failed,
    /// MQTT connections that were idle for longer than their keep-alive allows.
    Overdue,
    /// Responder ports that were new to the host.
    Ports,
    /// Responders that were new to the host.
    Hosts,
    /// Logins refused: a CONNACK with a code other than 0, an SSH answer like the first refusal.
    Refused,
    /// Logins accepted.
    Accepted,
    /// PUBLISH messages sent.
    Publishes,
    /// Client identifiers that were new to the host.
    Clients,
    /// User names that were new to the host.
    Users,
    /// Messages with violations.
    Violations,
    /// Pairs of a user name and a password that were new to the host.
    Credentials,
    /// Bytes of IP datagrams sent.
    Bytes,
}

const COUNTS: usize = Count::Bytes as usize + 1;

/// A set of recent hashes: buckets of four 16-bit tags, the most recent in the lowest bits. New hashes push out the
/// oldest of their bucket, so the set never fills up: a long scan stays new.
#[derive(Clone, Copy, Debug)]
struct Recent<const BUCKETS: usize>([u64; BUCKETS]);

impl<const BUCKETS: usize> Recent<BUCKETS> {
    const EMPTY: Self = Self([0; BUCKETS]);
    const LANES: u32 = 4;

    /// Adds a hash; returns whether it was new.
    fn add(&mut self, hash: u64) -> bool {
        let tag = (hash & 0xffff).max(1);
        let Some(bucket) = self.0.get_mut((hash >> 32) as usize % BUCKETS) else { return false };
        let old = *bucket;
        for bits in (0..Self::LANES).map(|lane| 16 * lane) {
            if old >> bits & 0xffff == tag {
                let (later, earlier) = (u64::MAX << bits, u64::MAX.checked_shl(bits + 16).unwrap_or(0));
                *bucket = old & earlier | (old & !later) << 16 | tag;
                return false;
            }
        }
        *bucket = old << 16 | tag;
        true
    }
}

/// The recent behaviour of one host.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// When the host was first seen since its last eviction, in nanoseconds since 1970-01-01 UTC.
    pub known_since_nanos: i64,
    last_nanos: i64,
    /// Decayed over [`DECAY_SECS`].
    counts: [[f32; COUNTS]; 2],
    ports: Recent<16>,
    hosts: Recent<8>,
    endpoints: Recent<16>,
    clients: Recent<16>,
    users: Recent<4>,
    credentials: Recent<16>,
    /// Open MQTT connections that were accepted and not used since.
    pub held: u32,
    /// Open MQTT connections, seen from their handshake, without any PUBLISH.
    pub idle: u32,
}

impl Behaviour {
    fn new(now_nanos: i64) -> Behaviour {
        Behaviour {
            known_since_nanos: now_nanos,
            last_nanos: now_nanos,
            counts: [[0.0; COUNTS]; 2],
            ports: Recent::EMPTY,
            hosts: Recent::EMPTY,
            endpoints: Recent::EMPTY,
            clients: Recent::EMPTY,
            users: Recent::EMPTY,
            credentials: Recent::EMPTY,
            held: 0,
            idle: 0,
        }
    }

    /// Decays the counts to `now_nanos`; returns the seconds since the last call.
    pub fn advance(&mut self, now_nanos: i64) -> f32 {
        let nanos = now_nanos.saturating_sub(self.last_nanos);
        if nanos < 0 {
            if nanos < -SET_BACK_NANOS {
                self.last_nanos = now_nanos;
                self.known_since_nanos = self.known_since_nanos.min(now_nanos);
            }
            return 0.0;
        }
        self.last_nanos = now_nanos;
        let secs = nanos as f32 * 1e-9;
        if nanos > 0 {
            for (counts, decay) in self.counts.iter_mut().zip(DECAY_SECS) {
                let left = (-secs / decay).exp();
                counts.iter_mut().for_each(|count| *count *= left);
            }
        }
        secs
    }

    /// Adds to a count.
    #[inline]
    pub fn add(&mut self, count: Count, amount: f32) {
        for counts in &mut self.counts {
            if let Some(sum) = counts.get_mut(count as usize) {
                *sum += amount;
            }
        }
    }

    /// Removes one that was added `secs_ago` seconds ago.
    #[inline]
    pub fn undo(&mut self, count: Count, secs_ago: f32) {
        for (counts, decay) in self.counts.iter_mut().zip(DECAY_SECS) {
            if let Some(sum) = counts.get_mut(count as usize) {
                *sum = (*sum - (-secs_ago.max(0.0) / decay).exp()).max(0.0);
            }
        }
    }

    /// A count, decayed over about 10 seconds.
    #[inline]
    pub fn fast(&self, count: Count) -> f32 {
        self.counts[0].get(count as usize).copied().unwrap_or(0.0)
    }

    /// A count, decayed over about 60 seconds.
    #[inline]
    pub fn slow(&self, count: Count) -> f32 {
        self.counts[1].get(count as usize).copied().unwrap_or(0.0)
    }

    /// Counts a responder's port and address if they are new; returns whether the endpoint is new.
    pub fn observe_responder(&mut self, port_hash: u64, host_hash: u64, endpoint_hash: u64) -> bool {
        if self.ports.add(port_hash) {
            self.add(Count::Ports, 1.0);
        }
        if self.hosts.add(host_hash) {
            self.add(Count::Hosts, 1.0);
        }
        self.endpoints.add(endpoint_hash)
    }

    /// Counts a client identifier, a user name, and a user name with its password if they are new; returns whether the
    /// client identifier is new.
    pub fn observe_login(
        &mut self,
        client_hash: Option<u64>,
        user_hash: Option<u64>,
        credential_hash: Option<u64>,
    ) -> bool {
        let new_client = client_hash.is_some_and(|hash| self.clients.add(hash));
        if new_client {
            self.add(Count::Clients, 1.0);
        }
        if user_hash.is_some_and(|hash| self.users.add(hash)) {
            self.add(Count::Users, 1.0);
        }
        if credential_hash.is_some_and(|hash| self.credentials.add(hash)) {
            self.add(Count::Credentials, 1.0);
        }
        new_client
    }
}

type Random = foldhash::fast::FixedState;

type Stripe = GenerationalCache<IpAddr, Behaviour>;

/// The behaviour of all hosts, shared by all shards.
pub struct Initiators {
    stripes: Vec<Mutex<Stripe>>,
    hash: Random,
}

impl Initiators {
    /// An empty table. With a random `seed` a sender cannot choose hosts that fall into one stripe.
    pub fn new(limits: Limits, seed: u64) -> Initiators {
        let hash = Random::with_seed(seed);
        let count = limits.stripes.max(1);
        let stripe = || Mutex::new(GenerationalCache::new(limits.max_hosts / count, &hash));
        let stripes = (0..count).map(|_| stripe()).collect();
        Initiators { stripes, hash }
    }

    /// Calls `update` with a host's behaviour, decayed to `now_nanos`, and the seconds since the last call for the host.
    #[inline]
    pub fn with<T>(
        &self,
        host: IpAddr,
        now_nanos: i64,
        update: impl FnOnce(&mut Behaviour, f32) -> T,
    ) -> Option<T> {
        use std::hash::BuildHasher;
        let at = (self.hash.hash_one(host) >> 48) as usize % self.stripes.len().max(1);
        let mut stripe = lock(self.stripes.get(at)?);
        let behaviour = stripe.get_or_insert_with(host, || Behaviour::new(now_nanos));
        let secs = behaviour.advance(now_nanos);
        Some(update(behaviour, secs))
    }

    /// Number of hosts in the table.
    pub fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| lock(stripe).len()).sum()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hosts evicted because of the cap.
    pub fn evicted(&self) -> u64 {
        self.stripes.iter().map(|stripe| lock(stripe).evicted()).sum()
    }
}

/// Ignores poisoning: an incomplete update leaves valid counts.
fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn host(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn counts_decay_and_can_be_undone() {
        let all = Initiators::new(Limits::default(), 1);
        all.with(host(1), 0, |b, _| b.add(Count::Failed, 1.0));
        all.with(host(1), 0, |b, _| b.add(Count::Refused, 1.0));
        let left =
            all.with(host(1), 10 * SECOND, |b, secs| (secs, b.fast(Count::Failed), b.slow(Count::Failed)));
        let (secs, fast, slow) = left.unwrap();
        assert_eq!(secs, 10.0);
        assert!((fast - (-1.0f32).exp()).abs() < 1e-6);
        assert!((slow - (-1.0f32 / 6.0).exp()).abs() < 1e-6);
        all.with(host(1), 10 * SECOND, |b, _| b.undo(Count::Failed, 10.0));
        all.with(host(1), 10 * SECOND, |b, _| {
            assert!(b.fast(Count::Failed) < 1e-6 && b.slow(Count::Failed) < 1e-6);
            assert!(b.fast(Count::Refused) > 0.3);
        });
    }

    #[test]
    fn a_port_is_new_once_and_a_long_scan_stays_new() {
        use std::hash::BuildHasher;
        let hash = foldhash::fast::FixedState::with_seed(7);
        let mut host = Behaviour::new(0);
        let mut observe = |port: u32| {
            let before = host.slow(Count::Ports);
            let is_new = host.observe_responder(hash.hash_one(port), 3, hash.hash_one((port, 4)));
            assert_eq!(host.slow(Count::Ports) > before, is_new);
            is_new
        };
        let newly = (0..20).filter(|port| observe(*port)).count();
        assert!(newly >= 19, "{newly}");
        let again = (0..20).filter(|port| observe(*port)).count();
        assert!(again <= 2, "{again}");
        let scanned = (1_000..21_000).filter(|port| observe(*port)).count();
        assert!(scanned > 19_900, "{scanned}");
        assert!(observe(0));
    }

    #[test]
    fn the_latest_four_of_a_bucket_are_known() {
        let mut one = Recent::<1>::EMPTY;
        assert!([1, 2, 3, 4].map(|n| one.add(n)).iter().all(|is_new| *is_new));
        assert!(!one.add(1) && !one.add(3) && !one.add(3));
        assert!(one.add(5));
        // 2 is the least recent.
        assert!(!one.add(4) && !one.add(1) && !one.add(3) && one.add(2));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_freeze_the_counts() {
        let all = Initiators::new(Limits::default(), 1);
        all.with(host(1), 7_200 * SECOND, |b, _| b.add(Count::Flows, 1.0));
        all.with(host(1), 3_600 * SECOND, |b, _| assert!(b.fast(Count::Flows) > 0.99));
        all.with(host(1), 3_700 * SECOND, |b, secs| {
            assert!((secs - 100.0).abs() < 0.01 && b.fast(Count::Flows) < 0.01)
        });
        all.with(host(1), i64::MIN, |_, secs| assert_eq!(secs, 0.0));
        all.with(host(1), i64::MAX, |b, _| assert!(b.fast(Count::Flows).is_finite()));
    }

    #[test]
    fn the_cap_holds_and_evictions_are_counted() {
        let limits = Limits { max_hosts: 64, stripes: 4 };
        let all = Initiators::new(limits, 1);
        all.with(host(7), 0, |b, _| b.add(Count::Flows, 100.0));
        for n in 0..10_000 {
            all.with(host(1_000 + n), i64::from(n), |b, _| b.add(Count::Flows, 1.0));
            // An active host is not evicted.
            all.with(host(7), i64::from(n), |b, _| assert!(b.slow(Count::Flows) > 99.0));
            assert!(all.len() <= 64);
        }
        assert!(all.evicted() > 9_900);
    }
}

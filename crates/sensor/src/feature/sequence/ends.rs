//! What is known of responders, whoever talks to them: the service that the bytes of some conversation have shown and
//! the logins refused, of an address and a port; the flows that came to nothing, of an address.
//!
//! An attack that is spread over many sources shows itself at its target: each source's first guess is one more that the
//! target refuses. Memory: about 60 bytes an end or host, capped each; where there are more, those not asked for longest
//! are forgotten, half at a time, and counted.

use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::service::Service;
use crate::flow::{generational_cache::GenerationalCache, initiator::DECAY_SECS};

type End = (IpAddr, u16);

/// A count that decays over the longer of the two times.
#[derive(Clone, Copy, Debug, Default)]
struct Decayed {
    count: f32,
    at_nanos: i64,
}

impl Decayed {
    fn now(&mut self, now_nanos: i64) -> f32 {
        let secs = now_nanos.saturating_sub(self.at_nanos) as f32 * 1e-9;
        if secs > 0.0 && self.count > 0.0 {
            self.count *= (-secs / DECAY_SECS[1]).exp();
        }
        self.at_nanos = now_nanos;
        self.count
    }

    fn add(&mut self, now_nanos: i64) -> f32 {
        self.count = self.now(now_nanos) + 1.0;
        self.count
    }

    fn take_back(&mut self, now_nanos: i64, secs_ago: f32) {
        self.count = (self.now(now_nanos) - (-secs_ago.max(0.0) / DECAY_SECS[1]).exp()).max(0.0);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    service: Service,
    refused: Decayed,
}

pub(super) struct Responders {
    ends: GenerationalCache<End, Seen>,
    hosts: GenerationalCache<IpAddr, Decayed>,
}

impl Responders {
    pub(super) fn new(cap: usize, seed: u64) -> Responders {
        let hash = FixedState::with_seed(seed);
        Responders { ends: GenerationalCache::new(cap, &hash), hosts: GenerationalCache::new(cap, &hash) }
    }

    /// The service of an end, if it is known, and the logins that it refused of late.
    pub(super) fn end(&mut self, end: End, now_nanos: i64) -> (Service, f32) {
        match self.ends.get(end) {
            Some(seen) => (seen.service, seen.refused.now(now_nanos)),
            None => (Service::Unknown, 0.0),
        }
    }

    pub(super) fn speaks(&mut self, end: End, service: Service) {
        self.ends.get_or_insert_with(end, Seen::default).service = service;
    }

    /// An end refuses a login; those of late, this one too.
    pub(super) fn refuses(&mut self, end: End, now_nanos: i64) -> f32 {
        self.ends.get_or_insert_with(end, Seen::default).refused.add(now_nanos)
    }

    /// A flow to a host begins, and is not answered so far; those of late, this one too.
    pub(super) fn is_tried(&mut self, host: IpAddr, now_nanos: i64) -> f32 {
        self.hosts.get_or_insert_with(host, Decayed::default).add(now_nanos)
    }

    /// A host answers a flow that began so many seconds ago; those of late that it did not.
    pub(super) fn answers(&mut self, host: IpAddr, now_nanos: i64, secs_ago: f32) -> f32 {
        let failed = self.hosts.get_or_insert_with(host, Decayed::default);
        failed.take_back(now_nanos, secs_ago);
        failed.count
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.ends.evicted() + self.hosts.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn end(n: u16) -> End {
        (IpAddr::from([10, 0, 0, 1]), n)
    }

    #[test]
    fn the_cap_holds_and_what_is_forgotten_is_counted() {
        let mut all = Responders::new(8, 1);
        all.speaks(end(1883), Service::Mqtt);
        for n in 0..1_000 {
            all.speaks(end(10_000 + n), Service::Http);
            assert_eq!(all.end(end(1883), 0).0, Service::Mqtt);
            all.is_tried(IpAddr::from(u32::from(n).to_be_bytes()), 0);
            assert!(all.ends.len() <= 8);
            assert!(all.hosts.len() <= 8);
        }
        assert_eq!(all.end(end(10_000), 0).0, Service::Unknown);
        assert!(all.forgotten() > 1_800);
    }

    #[test]
    fn refusals_and_failures_are_counted_whoever_tries_and_decay() {
        let mut all = Responders::new(8, 1);
        assert_eq!(all.end(end(22), 0), (Service::Unknown, 0.0));
        assert_eq!([all.refuses(end(22), 0), all.refuses(end(22), 0)], [1.0, 2.0]);
        let (service, refused) = all.end(end(22), 60 * SECOND);
        assert_eq!(service, Service::Unknown);
        assert!((refused - 2.0 * (-1.0f32).exp()).abs() < 1e-5);
        // A clock that steps back adds nothing.
        assert!((all.end(end(22), 0).1 - refused).abs() < 1e-6);
        let host = end(0).0;
        assert_eq!([all.is_tried(host, 0), all.is_tried(host, 0)], [1.0, 2.0]);
        assert!((all.answers(host, 30 * SECOND, 30.0) - (-0.5f32).exp()).abs() < 1e-5);
    }
}

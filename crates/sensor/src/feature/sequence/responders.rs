//! Counts of responders over all initiators: per endpoint (address and port) the service that its bytes showed and the
//! logins it refused; per address the flows that failed.
//!
//! An attack spread over many sources shows at its target: each source's first guess adds to the target's refusals.
//! Memory: about 60 bytes an endpoint or host, each capped; beyond the cap the least recently used half is evicted, and
//! counted.

use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::service::Service;
use crate::flow::{generational_cache::GenerationalCache, initiator::DECAY_SECS};

type Endpoint = (IpAddr, u16);

/// A count that decays exponentially over the longer of [`DECAY_SECS`].
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
struct EndpointState {
    service: Service,
    refused: Decayed,
}

pub(super) struct Responders {
    endpoints: GenerationalCache<Endpoint, EndpointState>,
    hosts: GenerationalCache<IpAddr, Decayed>,
}

impl Responders {
    pub(super) fn new(cap: usize, seed: u64) -> Responders {
        let hash = FixedState::with_seed(seed);
        Responders {
            endpoints: GenerationalCache::new(cap, &hash),
            hosts: GenerationalCache::new(cap, &hash),
        }
    }

    /// The service of an endpoint, if known, and the logins that it refused recently.
    pub(super) fn endpoint(&mut self, endpoint: Endpoint, now_nanos: i64) -> (Service, f32) {
        match self.endpoints.get(endpoint) {
            Some(state) => (state.service, state.refused.now(now_nanos)),
            None => (Service::Unknown, 0.0),
        }
    }

    pub(super) fn set_service(&mut self, endpoint: Endpoint, service: Service) {
        self.endpoints.get_or_insert_with(endpoint, EndpointState::default).service = service;
    }

    /// Counts a login that an endpoint refused; returns the count.
    pub(super) fn add_refused(&mut self, endpoint: Endpoint, now_nanos: i64) -> f32 {
        self.endpoints.get_or_insert_with(endpoint, EndpointState::default).refused.add(now_nanos)
    }

    /// Counts a flow to a host as failed until it is answered; returns the count.
    pub(super) fn add_failed(&mut self, host: IpAddr, now_nanos: i64) -> f32 {
        self.hosts.get_or_insert_with(host, Decayed::default).add(now_nanos)
    }

    /// Takes back a failure counted `secs_ago`: the host answered. Returns the count.
    pub(super) fn subtract_failed(&mut self, host: IpAddr, now_nanos: i64, secs_ago: f32) -> f32 {
        let failed = self.hosts.get_or_insert_with(host, Decayed::default);
        failed.take_back(now_nanos, secs_ago);
        failed.count
    }

    /// Endpoints and hosts evicted.
    pub(super) fn evicted(&self) -> u64 {
        self.endpoints.evicted() + self.hosts.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn endpoint(n: u16) -> Endpoint {
        (IpAddr::from([10, 0, 0, 1]), n)
    }

    #[test]
    fn the_cap_holds_and_evictions_are_counted() {
        let mut all = Responders::new(8, 1);
        all.set_service(endpoint(1883), Service::Mqtt);
        for n in 0..1_000 {
            all.set_service(endpoint(10_000 + n), Service::Http);
            assert_eq!(all.endpoint(endpoint(1883), 0).0, Service::Mqtt);
            all.add_failed(IpAddr::from(u32::from(n).to_be_bytes()), 0);
            assert!(all.endpoints.len() <= 8);
            assert!(all.hosts.len() <= 8);
        }
        assert_eq!(all.endpoint(endpoint(10_000), 0).0, Service::Unknown);
        assert!(all.evicted() > 1_800);
    }

    #[test]
    fn refusals_and_failures_are_counted_over_all_clients_and_decay() {
        let mut all = Responders::new(8, 1);
        assert_eq!(all.endpoint(endpoint(22), 0), (Service::Unknown, 0.0));
        assert_eq!([all.add_refused(endpoint(22), 0), all.add_refused(endpoint(22), 0)], [1.0, 2.0]);
        let (service, refused) = all.endpoint(endpoint(22), 60 * SECOND);
        assert_eq!(service, Service::Unknown);
        assert!((refused - 2.0 * (-1.0f32).exp()).abs() < 1e-5);
        // A clock that steps back does not change the count.
        assert!((all.endpoint(endpoint(22), 0).1 - refused).abs() < 1e-6);
        let host = endpoint(0).0;
        assert_eq!([all.add_failed(host, 0), all.add_failed(host, 0)], [1.0, 2.0]);
        assert!((all.subtract_failed(host, 30 * SECOND, 30.0) - (-0.5f32).exp()).abs() < 1e-5);
    }
}

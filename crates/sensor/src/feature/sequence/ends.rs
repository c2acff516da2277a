//! Responders whose service the bytes of some conversation have shown: address and port name the end, nothing else.
//!
//! Memory: about 50 bytes an end, capped; where there are more, those not asked for longest are forgotten, half at a
//! time, and counted.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::service::Service;

type Random = foldhash::fast::FixedState;
type End = (IpAddr, u16);

pub(super) struct ServiceEnds {
    cap: usize,
    young: HashMap<End, Service, Random>,
    old: HashMap<End, Service, Random>,
    forgotten: u64,
}

impl ServiceEnds {
    pub(super) fn new(cap: usize, seed: u64) -> ServiceEnds {
        let hash = Random::with_seed(seed);
        let (young, old) = (HashMap::with_hasher(hash.clone()), HashMap::with_hasher(hash));
        ServiceEnds { cap: cap.max(2), young, old, forgotten: 0 }
    }

    /// The service of an end, if it is known.
    pub(super) fn get(&mut self, end: End) -> Service {
        if let Some(service) = self.young.get(&end) {
            return *service;
        }
        match self.old.remove(&end) {
            Some(service) => {
                self.set(end, service);
                service
            }
            None => Service::Unknown,
        }
    }

    pub(super) fn set(&mut self, end: End, service: Service) {
        if self.young.len() >= self.cap / 2 && !self.young.contains_key(&end) {
            self.forgotten += self.old.len() as u64;
            let empty = HashMap::with_hasher(self.old.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
        }
        self.old.remove(&end);
        self.young.insert(end, service);
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_holds_and_what_is_forgotten_is_counted() {
        let mut ends = ServiceEnds::new(8, 1);
        let end = |n: u16| (IpAddr::from([10, 0, 0, 1]), n);
        ends.set(end(1883), Service::Mqtt);
        for n in 0..1_000 {
            ends.set(end(10_000 + n), Service::Http);
            assert_eq!(ends.get(end(1883)), Service::Mqtt);
            assert!(ends.young.len() + ends.old.len() <= 8);
        }
        assert_eq!(ends.get(end(10_000)), Service::Unknown);
        assert!(ends.forgotten() > 900);
    }
}

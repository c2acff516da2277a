//! Which of several threads a packet goes to: a symmetric hash of its two hosts, so that all conversations of two hosts,
//! and all fragments of a datagram, stay in order on one thread.

use std::net::{IpAddr, Ipv4Addr};

use citronella_wire::{LinkType, decode_frame};

use super::key::{FlowKey, HashSeed};

/// Chooses shards; its seed is random, so that nobody outside can fill one of them.
#[derive(Clone, Debug)]
pub struct Shards {
    seed: HashSeed,
    count: usize,
}

impl Shards {
    /// So many, at least one.
    pub fn new(count: usize) -> Shards {
        Shards { seed: HashSeed::new(), count: count.max(1) }
    }

    /// The shard of a frame, below the count; the first where it has no IP header.
    #[inline]
    pub fn of(&self, link: LinkType, bytes: &[u8]) -> usize {
        let hosts = match (link, bytes.get(12..34)) {
            // Ethernet with IPv4 right behind it needs no decoding.
            (LinkType::Ethernet, Some(&[8, 0, 0x45..=0x4f, .., a, b, c, d, e, f, g, h])) => {
                Some((IpAddr::V4(Ipv4Addr::new(a, b, c, d)), IpAddr::V4(Ipv4Addr::new(e, f, g, h))))
            }
            _ => decode_frame(link, bytes).ip.map(|ip| (ip.src, ip.dst)),
        };
        let Some((src, dst)) = hosts else { return 0 };
        let (key, _) = FlowKey::new((src, 0), (dst, 0), 0);
        (self.seed.hosts(&key) >> 32) as usize % self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet and IPv4 without anything behind, from one host to another.
    fn frame(from: u8, to: u8, options: u8) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        bytes.extend([8, 0, 0x45 + options, 0, 0, 20 + 4 * options, 0, 7, 0x20, 0, 64, 17, 0, 0]);
        bytes.extend([10, 0, 0, from, 10, 0, 0, to]);
        bytes.extend(vec![1; usize::from(options) * 4]);
        bytes
    }

    #[test]
    fn both_directions_and_all_link_layers_have_one_shard() {
        let shards = Shards::new(7);
        let mut used = [0; 7];
        for from in 0..100 {
            let at = shards.of(LinkType::Ethernet, &frame(from, 200, 0));
            used[at] += 1;
            assert_eq!(at, shards.of(LinkType::Ethernet, &frame(200, from, 1)));
            assert_eq!(at, shards.of(LinkType::RawIp, &frame(200, from, 0)[14..]));
        }
        assert!(used.iter().all(|packets| *packets > 0), "{used:?}");
        for short in [&[][..], &[0; 33], &[8; 14]] {
            assert_eq!(shards.of(LinkType::Ethernet, short), 0);
        }
    }
}

//! A map of capped size that evicts the least recently used entries, by generation.
//!
//! Memory: at most `cap` entries in two generations. When the young generation is full it becomes the old one, and the
//! old one, up to half of the entries, is evicted and counted. O(1) per access.

use std::hash::Hash;

use hashbrown::HashMap;

type Random = foldhash::fast::FixedState;

pub(crate) struct GenerationalCache<K, V> {
    cap: usize,
    /// Entries accessed in the current generation.
    young: HashMap<K, V, Random>,
    /// Entries last accessed in the previous generation.
    old: HashMap<K, V, Random>,
    evicted: u64,
}

impl<K: Copy + Eq + Hash, V> GenerationalCache<K, V> {
    pub(crate) fn new(cap: usize, hash: &Random) -> GenerationalCache<K, V> {
        let empty = || HashMap::with_hasher(hash.clone());
        GenerationalCache { cap: cap.max(2), young: empty(), old: empty(), evicted: 0 }
    }

    pub(crate) fn get(&mut self, key: K) -> Option<&mut V> {
        if !self.old.is_empty()
            && let Some(back) = self.old.remove(&key)
        {
            return Some(self.get_or_insert_with(key, || back));
        }
        self.young.get_mut(&key)
    }

    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if self.young.len() >= self.cap / 2 && !self.young.contains_key(&key) {
            // The key being accessed survives the change of generation.
            let back = self.old.remove(&key);
            self.evicted += self.old.len() as u64;
            let empty = HashMap::with_hasher(self.old.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
            if let Some(back) = back {
                self.young.insert(key, back);
            }
        }
        let GenerationalCache { young, old, .. } = self;
        young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(make))
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// All entries, the young generation last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.old.iter().chain(&self.young)
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }
}

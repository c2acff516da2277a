//! A map that keeps what was asked for last.
//!
//! Memory: at most `cap` entries; where there would be more, those not asked for longest are forgotten, about half of
//! them at a time, and counted. O(1) a look.

use std::hash::Hash;

use hashbrown::HashMap;

type Random = foldhash::fast::FixedState;

pub(crate) struct Latest<K, V> {
    cap: usize,
    young: HashMap<K, V, Random>,
    old: HashMap<K, V, Random>,
    forgotten: u64,
}

impl<K: Copy + Eq + Hash, V> Latest<K, V> {
    pub(crate) fn new(cap: usize, hash: &Random) -> Latest<K, V> {
        let empty = || HashMap::with_hasher(hash.clone());
        Latest { cap: cap.max(2), young: empty(), old: empty(), forgotten: 0 }
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
            // One that comes back at once was not silent.
            let back = self.old.remove(&key);
            self.forgotten += self.old.len() as u64;
            let empty = HashMap::with_hasher(self.old.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
            if let Some(back) = back {
                self.young.insert(key, back);
            }
        }
        let Latest { young, old, .. } = self;
        young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(make))
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// All, those asked for last at the end.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.old.iter().chain(&self.young)
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

//! A timer wheel over table slots: deadlines in nanoseconds, O(1) to set, clear and expire.
//!
//! In: slots with deadlines. Out: slots whose bucket has expired, or the slot that expires next. A deadline beyond the
//! wheel's span is put into the last bucket; the caller checks the true deadline of a slot and sets it again if needed.
//! Memory: 12 bytes per slot and 4 bytes per bucket.

/// Buckets of the wheel.
const BUCKETS: usize = 4096;
const WORDS: usize = BUCKETS / 64;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
    bucket: u32,
}

const UNLINKED: Link = Link { before: NONE, after: NONE, bucket: NONE };

/// The wheel.
pub(super) struct Timers {
    tick_nanos: u64,
    /// All buckets before this tick are empty.
    tick: u64,
    first: Vec<u32>,
    /// One bit per bucket: set if the bucket is not empty.
    occupied: [u64; WORDS],
    links: Vec<Link>,
}

impl Timers {
    /// A wheel with buckets of `tick_nanos` and capacity for `slots`.
    pub(super) fn new(tick_nanos: u64, slots: usize) -> Timers {
        Timers {
            tick_nanos: tick_nanos.max(1),
            tick: 0,
            first: vec![NONE; BUCKETS],
            occupied: [0; WORDS],
            links: Vec::with_capacity(slots),
        }
    }

    /// Sets a slot's deadline, replacing an earlier one.
    pub(super) fn set(&mut self, slot: u32, deadline_nanos: u64) {
        let at = slot as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, UNLINKED);
        }
        self.clear(slot);
        // Rounded up, so that every slot of an expired bucket is due.
        let due = (deadline_nanos / self.tick_nanos + 1).clamp(self.tick, self.tick + BUCKETS as u64 - 1);
        let bucket = (due % BUCKETS as u64) as usize;
        let Some(first) = self.first.get_mut(bucket) else { return };
        let next = std::mem::replace(first, slot);
        if let Some(word) = self.occupied.get_mut(bucket / 64) {
            *word |= 1 << (bucket % 64);
        }
        if let Some(link) = self.links.get_mut(next as usize) {
            link.before = slot;
        }
        if let Some(link) = self.links.get_mut(at) {
            *link = Link { before: NONE, after: next, bucket: bucket as u32 };
        }
    }

    /// Removes a slot's deadline.
    pub(super) fn clear(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize) else { return };
        let Link { before, after, bucket } = std::mem::replace(link, UNLINKED);
        if bucket == NONE {
            return;
        }
        if let Some(next) = self.links.get_mut(after as usize) {
            next.before = before;
        }
        if let Some(previous) = self.links.get_mut(before as usize) {
            previous.after = after;
            return;
        }
        if let Some(first) = self.first.get_mut(bucket as usize) {
            *first = after;
        }
        if after == NONE
            && let Some(word) = self.occupied.get_mut(bucket as usize / 64)
        {
            *word &= !(1 << (bucket % 64));
        }
    }

    /// Removes and returns a slot whose bucket has expired at `now_nanos`; `None` if there is none.
    #[inline]
    pub(super) fn pop_due(&mut self, now_nanos: u64) -> Option<u32> {
        let now = now_nanos / self.tick_nanos;
        if self.tick > now {
            return None;
        }
        self.pop_until(now)
    }

    fn pop_until(&mut self, now: u64) -> Option<u32> {
        let Some((ahead, bucket)) = self.earliest() else {
            self.tick = now + 1;
            return None;
        };
        if self.tick + ahead > now {
            self.tick = now + 1;
            return None;
        }
        self.tick += ahead;
        let slot = self.first.get(bucket).copied().filter(|slot| *slot != NONE)?;
        self.clear(slot);
        Some(slot)
    }

    /// Removes and returns a slot of the bucket that expires next, with the time at which it expires.
    pub(super) fn pop_earliest(&mut self) -> Option<(u32, u64)> {
        let (ahead, bucket) = self.earliest()?;
        let slot = self.first.get(bucket).copied().filter(|slot| *slot != NONE)?;
        self.clear(slot);
        Some((slot, (self.tick + ahead) * self.tick_nanos))
    }

    /// Distance in ticks and index of the first bucket from the current tick on that is not empty.
    fn earliest(&self) -> Option<(u64, usize)> {
        let start = (self.tick % BUCKETS as u64) as usize;
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mut bits = *self.occupied.get(word)?;
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == WORDS {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let bucket = word * 64 + bits.trailing_zeros() as usize;
                return Some((((bucket + BUCKETS - start) % BUCKETS) as u64, bucket));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn due(timers: &mut Timers, now: u64) -> Vec<u32> {
        let mut found: Vec<u32> = std::iter::from_fn(|| timers.pop_due(now)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn slots_expire_with_their_bucket() {
        let mut timers = Timers::new(SECOND, 8);
        timers.set(0, 5 * SECOND);
        timers.set(1, 5 * SECOND + 1);
        timers.set(2, 9 * SECOND);
        assert!(due(&mut timers, 5 * SECOND).is_empty());
        assert_eq!(due(&mut timers, 6 * SECOND), [0, 1]);
        timers.set(2, 20 * SECOND);
        assert!(due(&mut timers, 19 * SECOND).is_empty());
        timers.clear(2);
        assert!(due(&mut timers, 90_000 * SECOND).is_empty());
    }

    #[test]
    fn far_deadlines_go_to_the_last_bucket() {
        let mut timers = Timers::new(SECOND, 1);
        timers.set(0, 1_000_000 * SECOND);
        assert!(due(&mut timers, 4094 * SECOND).is_empty());
        assert_eq!(due(&mut timers, 4095 * SECOND), [0]);
    }

    #[test]
    fn the_earliest_comes_first_across_a_turn_of_the_wheel() {
        let mut timers = Timers::new(1, 100);
        assert_eq!(timers.pop_due(4000), None);
        for slot in 0..100 {
            timers.set(slot, 4001 + u64::from(slot) * 7 % 500);
        }
        let mut last = 0;
        while let Some((_, at)) = timers.pop_earliest() {
            assert!(at >= last);
            last = at;
        }
        assert!(last > 4096);
        assert_eq!(timers.pop_earliest(), None);
    }
}

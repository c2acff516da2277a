//! Some of a capture's conversations: all of them, or a thread's share.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::{Item, Losses, Policy, Uniflow};
use crate::flow::key::{Direction, FlowKey};

/// Both directions of a 5-tuple.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation {
    pub(super) key: FlowKey,
    /// From the low end, from the high end.
    pub(super) ways: [Uniflow; 2],
}

/// An arrival that waits until no earlier one can come.
#[derive(Clone, Copy)]
struct Arrival {
    time_nanos: i64,
    place: u32,
}

/// Conversations, and the arrivals that wait to be summed. A place is a conversation's number and, in the last bit, which
/// direction.
#[derive(Default)]
pub(super) struct Shard {
    index: HashTable<u32>,
    pub(super) all: Vec<Conversation>,
    /// Directions in the order of their first packets, which the number says.
    pub(super) begun: Vec<(u64, u32)>,
    window: VecDeque<Arrival>,
    losses: Losses,
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn losses(&self) -> Losses {
        self.losses
    }

    /// Counts a packet of a batch with so many packets before it; `None` if there is no room for its conversation.
    #[inline]
    pub(super) fn count(&mut self, policy: &Policy, item: &Item, before: u64) -> Option<u32> {
        let Some(at) = self.find(policy, &item.key) else {
            self.losses.packets_over_cap += 1;
            return None;
        };
        let way = u32::from(item.direction == Direction::FromHigh);
        let place = at << 1 | way;
        let flow = way_of(&mut self.all, place)?;
        if flow.packets == 0 {
            flow.order = before + u64::from(item.index);
            self.begun.push((flow.order, place));
        }
        flow.add(item.len, item.flags);
        Some(place)
    }

    /// The number of the key's conversation; `None` if it is new and there is no more room.
    #[inline]
    fn find(&mut self, policy: &Policy, key: &FlowKey) -> Option<u32> {
        let Shard { index, all, .. } = self;
        let hash = policy.seed.flow(key);
        let same = |at: &u32| all.get(*at as usize).is_some_and(|known| known.key == *key);
        if let Some(at) = index.find(hash, same) {
            return Some(*at);
        }
        if !policy.admit() {
            return None;
        }
        let at = all.len() as u32;
        let rehash = |at: &u32| all.get(*at as usize).map_or(0, |known| policy.seed.flow(&known.key));
        index.insert_unique(hash, at, rehash);
        all.push(Conversation { key: *key, ways: [Uniflow::default(); 2] });
        Some(at)
    }

    /// Lets an arrival in at its place in time. A late one, before which all until a time had been summed, is summed at
    /// once.
    #[inline]
    pub(super) fn arrive(&mut self, place: u32, time_nanos: i64, late: Option<i64>) {
        let arrival = Arrival { time_nanos, place };
        if let Some(passed) = late {
            self.settle(passed);
            return self.sum(arrival);
        }
        match self.window.back() {
            Some(latest) if latest.time_nanos > time_nanos => {
                let at = self.window.partition_point(|other| other.time_nanos <= time_nanos);
                self.window.insert(at, arrival);
            }
            _ => self.window.push_back(arrival),
        }
    }

    /// Sums the arrivals until then, none of which can be preceded any more.
    #[inline]
    pub(super) fn settle(&mut self, until: i64) {
        while let Some(arrival) = self.window.front().copied().filter(|first| first.time_nanos <= until) {
            self.window.pop_front();
            self.sum(arrival);
        }
    }

    #[inline]
    fn sum(&mut self, arrival: Arrival) {
        if let Some(flow) = way_of(&mut self.all, arrival.place)
            && !flow.times.add(arrival.time_nanos)
        {
            self.losses.packets_too_late += 1;
        }
    }
}

#[inline]
fn way_of(all: &mut [Conversation], place: u32) -> Option<&mut Uniflow> {
    all.get_mut(place as usize >> 1)?.ways.get_mut(place as usize & 1)
}

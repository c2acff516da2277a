//! A shard of a capture's conversations.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::{Counters, Item, Policy, Uniflow};
use crate::flow::key::{Direction, FlowKey};

/// Both directions of a 5-tuple.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation {
    pub(super) key: FlowKey,
    /// From the low endpoint, from the high endpoint.
    pub(super) ways: [Uniflow; 2],
}

/// An arrival that is not summed yet, because an earlier one may still come.
#[derive(Clone, Copy)]
struct Arrival {
    time_nanos: i64,
    /// The packet's direction index.
    index: u32,
}

/// Conversations, and the arrivals that are not summed yet. A direction index is a conversation's index in `all`, shifted
/// left by one, with the direction in the lowest bit.
#[derive(Default)]
pub(super) struct Shard {
    table: HashTable<u32>,
    pub(super) all: Vec<Conversation>,
    /// Number of the first packet and direction index of each direction, in that order.
    pub(super) started: Vec<(u64, u32)>,
    window: VecDeque<Arrival>,
    counters: Counters,
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Counts a packet of a batch that has `before` packets before it; returns its direction index, or `None` if its
    /// conversation is over the cap.
    #[inline]
    pub(super) fn count(&mut self, policy: &Policy, item: &Item, before: u64) -> Option<u32> {
        let Some(at) = self.find_or_insert(policy, &item.key) else {
            self.counters.packets_over_cap += 1;
            return None;
        };
        let way = u32::from(item.direction == Direction::FromHigh);
        let index = at << 1 | way;
        let flow = way_of(&mut self.all, index)?;
        if flow.packets == 0 {
            flow.order = before + u64::from(item.index);
            self.started.push((flow.order, index));
        }
        flow.add(item.len, item.flags);
        Some(index)
    }

    /// The index of the key's conversation; `None` if it is new and over the cap.
    #[inline]
    fn find_or_insert(&mut self, policy: &Policy, key: &FlowKey) -> Option<u32> {
        let Shard { table, all, .. } = self;
        let hash = policy.seed.flow(key);
        let same = |at: &u32| all.get(*at as usize).is_some_and(|known| known.key == *key);
        if let Some(at) = table.find(hash, same) {
            return Some(*at);
        }
        if !policy.admit() {
            return None;
        }
        let at = all.len() as u32;
        let rehash = |at: &u32| all.get(*at as usize).map_or(0, |known| policy.seed.flow(&known.key));
        table.insert_unique(hash, at, rehash);
        all.push(Conversation { key: *key, ways: [Uniflow::default(); 2] });
        Some(at)
    }

    /// Sorts an arrival into the window. A late one is summed at once, after all arrivals up to the time `late`.
    #[inline]
    pub(super) fn arrive(&mut self, index: u32, time_nanos: i64, late: Option<i64>) {
        let arrival = Arrival { time_nanos, index };
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

    /// Sums the arrivals up to this time; no earlier one can come any more.
    #[inline]
    pub(super) fn settle(&mut self, until: i64) {
        while let Some(arrival) = self.window.front().copied().filter(|first| first.time_nanos <= until) {
            self.window.pop_front();
            self.sum(arrival);
        }
    }

    #[inline]
    fn sum(&mut self, arrival: Arrival) {
        if let Some(flow) = way_of(&mut self.all, arrival.index)
            && !flow.times.add(arrival.time_nanos)
        {
            self.counters.packets_too_late += 1;
        }
    }
}

#[inline]
fn way_of(all: &mut [Conversation], index: u32) -> Option<&mut Uniflow> {
    all.get_mut(index as usize >> 1)?.ways.get_mut(index as usize & 1)
}

//! The conversations of a whole capture, merged from their shards.

use std::net::IpAddr;

use super::{
    Counters, Uniflow,
    shard::{Conversation, Shard},
};
use crate::flow::key::{Direction, FlowKey};

/// One direction of a conversation that has packets.
#[derive(Clone, Copy, Debug)]
pub struct DirectedFlow<'a> {
    /// The conversation.
    pub key: &'a FlowKey,
    /// The packets' direction.
    pub direction: Direction,
    /// Statistics of this direction.
    pub flow: &'a Uniflow,
    /// Statistics of the other direction, if it has packets. A flow from an endpoint to itself is its own reply.
    pub reply: Option<&'a Uniflow>,
}

impl DirectedFlow<'_> {
    /// The sender's address and port.
    pub fn src(&self) -> (IpAddr, u16) {
        self.key.sender(self.direction)
    }

    /// The receiver's address and port.
    pub fn dst(&self) -> (IpAddr, u16) {
        self.key.receiver(self.direction)
    }

    /// Whether this direction was seen before its reply, or has none.
    pub fn is_forward(&self) -> bool {
        self.reply.is_none_or(|reply| self.flow.order <= reply.order)
    }
}

/// The conversations of a whole capture.
pub struct Finished {
    shards: Vec<Vec<Conversation>>,
    /// Shard and direction index, ordered by first packet.
    order: Vec<(u32, u32)>,
    counters: Counters,
}

impl Finished {
    pub(super) fn of_shards(mut shards: Vec<Shard>) -> Finished {
        shards.iter_mut().for_each(|shard| shard.settle(i64::MAX));
        let counters = shards.iter().map(Shard::counters).fold(Counters::default(), |all, some| Counters {
            packets_over_cap: all.packets_over_cap + some.packets_over_cap,
            packets_too_late: all.packets_too_late + some.packets_too_late,
        });
        let mut order = Vec::with_capacity(shards.iter().map(|shard| shard.started.len()).sum());
        let mut rests: Vec<(u32, &[(u64, u32)])> =
            (0..).zip(&shards).map(|(shard, state)| (shard, state.started.as_slice())).collect();
        // Merges by runs: a single shard is copied at once.
        while let Some(at) = (0..rests.len()).min_by_key(|at| first(&rests, *at)) {
            let until = (0..rests.len()).filter(|other| *other != at).map(|other| first(&rests, other)).min();
            let Some((shard, rest)) = rests.get_mut(at).filter(|(_, rest)| !rest.is_empty()) else { break };
            let run = rest.iter().take_while(|(number, _)| until.is_none_or(|until| *number < until)).count();
            let (head, tail) = rest.split_at(run);
            order.extend(head.iter().map(|(_, index)| (*shard, *index)));
            *rest = tail;
        }
        Finished { shards: shards.into_iter().map(|shard| shard.all).collect(), order, counters }
    }

    /// Number of directions with packets.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no direction has packets.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The direction with this rank by first packet, from 0.
    pub fn get(&self, rank: usize) -> Option<DirectedFlow<'_>> {
        let (shard, index) = *self.order.get(rank)?;
        let conversation = self.shards.get(shard as usize)?.get(index as usize >> 1)?;
        let Conversation { key, ways: [low, high] } = conversation;
        let (direction, flow, reply) = match index & 1 {
            0 => (Direction::FromLow, low, high),
            _ => (Direction::FromHigh, high, low),
        };
        let reply = if key.is_loop() { Some(flow) } else { Some(reply).filter(|reply| reply.packets > 0) };
        Some(DirectedFlow { key, direction, flow, reply })
    }

    /// All directions in the order of their first packets.
    pub fn iter(&self) -> impl Iterator<Item = DirectedFlow<'_>> {
        (0..self.order.len()).filter_map(|rank| self.get(rank))
    }

    /// Packets that were not counted, or not exactly.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// The packet number of the first remaining direction of a shard; `u64::MAX` if none remains.
fn first(rests: &[(u32, &[(u64, u32)])], at: usize) -> u64 {
    rests.get(at).and_then(|(_, rest)| rest.first()).map_or(u64::MAX, |(number, _)| *number)
}

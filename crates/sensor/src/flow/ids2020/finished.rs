//! The conversations of a whole capture, put together from their shards.

use super::{
    Losses, Uniflow,
    shard::{Conversation, Shard},
};
use crate::flow::key::{Direction, FlowKey};

/// A direction that has packets, with its place and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The conversation.
    pub key: &'a FlowKey,
    /// Which way these packets went.
    pub direction: Direction,
    /// Its statistics.
    pub flow: &'a Uniflow,
    /// The other direction's, if it has packets. A flow from an end to itself answers itself.
    pub reply: Option<&'a Uniflow>,
}

impl Seen<'_> {
    /// Whether this direction was seen before its reply, or has none.
    pub fn is_forward(&self) -> bool {
        self.reply.is_none_or(|reply| self.flow.order <= reply.order)
    }
}

/// The conversations of a whole capture.
pub struct Finished {
    shards: Vec<Vec<Conversation>>,
    /// Which shard, and the place in it.
    order: Vec<(u32, u32)>,
    losses: Losses,
}

impl Finished {
    pub(super) fn of_shards(mut shards: Vec<Shard>) -> Finished {
        shards.iter_mut().for_each(|shard| shard.settle(i64::MAX));
        let losses = shards.iter().map(Shard::losses).fold(Losses::default(), |all, some| Losses {
            packets_over_cap: all.packets_over_cap + some.packets_over_cap,
            packets_too_late: all.packets_too_late + some.packets_too_late,
        });
        let mut order = Vec::with_capacity(shards.iter().map(|shard| shard.begun.len()).sum());
        let mut rests: Vec<(u32, &[(u64, u32)])> =
            (0..).zip(&shards).map(|(shard, state)| (shard, state.begun.as_slice())).collect();
        // One after another as long as it has the next ones: a shard of one is copied at once.
        while let Some(at) = (0..rests.len()).min_by_key(|at| first(&rests, *at)) {
            let until = (0..rests.len()).filter(|other| *other != at).map(|other| first(&rests, other)).min();
            let Some((shard, rest)) = rests.get_mut(at).filter(|(_, rest)| !rest.is_empty()) else { break };
            let run = rest.iter().take_while(|(number, _)| until.is_none_or(|until| *number < until)).count();
            let (head, tail) = rest.split_at(run);
            order.extend(head.iter().map(|(_, place)| (*shard, *place)));
            *rest = tail;
        }
        Finished { shards: shards.into_iter().map(|shard| shard.all).collect(), order, losses }
    }

    /// Directions with packets.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The direction of this rank by first packet, from 0.
    pub fn get(&self, rank: usize) -> Option<Seen<'_>> {
        let (shard, place) = *self.order.get(rank)?;
        let conversation = self.shards.get(shard as usize)?.get(place as usize >> 1)?;
        let Conversation { key, ways: [low, high] } = conversation;
        let (direction, flow, reply) = match place & 1 {
            0 => (Direction::FromLow, low, high),
            _ => (Direction::FromHigh, high, low),
        };
        let reply = if key.is_loop() { Some(flow) } else { Some(reply).filter(|reply| reply.packets > 0) };
        Some(Seen { key, direction, flow, reply })
    }

    /// All directions in the order of their first packets.
    pub fn iter(&self) -> impl Iterator<Item = Seen<'_>> {
        (0..self.order.len()).filter_map(|rank| self.get(rank))
    }

    /// What was not counted, or not exactly.
    pub fn losses(&self) -> Losses {
        self.losses
    }
}

/// The number of the first packet that is left of a shard's directions; beyond all where none is left.
fn first(rests: &[(u32, &[(u64, u32)])], at: usize) -> u64 {
    rests.get(at).and_then(|(_, rest)| rest.first()).map_or(u64::MAX, |(number, _)| *number)
}

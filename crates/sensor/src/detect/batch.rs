//! The micro-batch: waiting packets, and the flows that ended between them, in order of arrival.
//!
//! The waiting packets of one slot form a chain. To be stepped, chains are sorted by length and cut into
//! [`BatchPart`]s; the output is in packet order again.

use super::batch_part::{BatchPart, PARTS_PER_THREAD};
use crate::feature::sequence::EndedFlow;

/// Rows that the network steps at once; a partial tile costs about [`FIRST_ROW`] for its first and [`NEXT_ROW`] for
/// each other.
const TILE_ROWS: usize = 6;
const FIRST_ROW: u32 = 5;
const NEXT_ROW: u32 = 2;

/// A waiting packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) slot: u32,
    /// Id of its flow.
    pub(super) flow: u64,
    /// Number in the capture.
    pub(super) number: u64,
    pub(super) time_nanos: i64,
    /// Whether it is the first packet of its flow.
    pub(super) is_new: bool,
}

/// Output of a stepped batch.
pub(super) enum Event<'a> {
    /// A packet, the network's input for it, and the class probabilities after it.
    Scored(&'a Step, &'a [f32], &'a mut [f32]),
    /// A flow ended.
    Ended(&'a EndedFlow),
}

enum Item {
    Packet(Step),
    /// Index into the ended flows.
    Ended(u32),
}

/// The waiting packets of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) slot: u32,
    packets: u16,
    /// The network's state is reset before the first packet.
    pub(super) is_reset: bool,
    /// Where it is stepped: the part, and the row in it.
    pub(super) part: u16,
    pub(super) row: u16,
}

/// A packet's position in its chain.
#[derive(Clone, Copy, Debug)]
struct Link {
    chain: u16,
    round: u16,
    is_reset: bool,
}

#[derive(Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    ended: Vec<EndedFlow>,
    chains: Vec<Chain>,
    links: Vec<Link>,
    /// Packets x inputs.
    pub(super) x: Vec<f32>,
    since_nanos: Option<i64>,
    /// Chains, longest first: the length in the upper 16 bits, the index in the lower ones.
    order: Vec<u32>,
    /// Where each packet is stepped: the part in the upper 16 bits, the step in it in the lower ones.
    positions: Vec<u32>,
    /// Allocated parts; the first `used` hold this batch.
    parts: Vec<BatchPart>,
    used: usize,
}

impl Batch {
    /// Number of waiting packets and ended flows.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Nanoseconds of packet time since the first waiting packet, forwards or backwards.
    pub(super) fn waited_nanos(&self, now_nanos: i64) -> u64 {
        self.since_nanos.map_or(0, |since| now_nanos.abs_diff(since))
    }

    /// Whether ended flows wait, but no packets.
    pub(super) fn has_only_ended_flows(&self) -> bool {
        self.links.is_empty() && !self.items.is_empty()
    }

    /// The ended flow with this id, if it waits here.
    pub(super) fn ended_flow(&self, flow: u64) -> Option<&EndedFlow> {
        self.ended.iter().find(|ended| ended.flow.id == flow)
    }

    /// Whether packets of this slot wait; `chain` is the value that [`Batch::push`] left for its last packet.
    #[inline]
    pub(super) fn holds(&self, slot: u32, chain: u16) -> bool {
        self.chains.get(usize::from(chain)).is_some_and(|chain| chain.slot == slot)
    }

    /// Adds a packet and returns the vector to which the caller appends its inputs. `chain` is the value left for the last
    /// packet of the slot, in any batch, and is updated. `is_reset`: the state is reset before the packet.
    #[inline]
    pub(super) fn push(&mut self, step: Step, chain: &mut u16, is_reset: bool) -> &mut Vec<f32> {
        self.since_nanos.get_or_insert(step.time_nanos);
        self.items.push(Item::Packet(step));
        let round = match self.chains.get_mut(usize::from(*chain)) {
            Some(known) if known.slot == step.slot => {
                known.packets += 1;
                known.packets - 1
            }
            _ => {
                *chain = self.chains.len() as u16;
                self.chains.push(Chain { slot: step.slot, packets: 1, is_reset, part: 0, row: 0 });
                0
            }
        };
        self.links.push(Link { chain: *chain, round, is_reset });
        &mut self.x
    }

    /// Adds an ended flow.
    #[inline]
    pub(super) fn push_ended(&mut self, ended: &EndedFlow) {
        self.items.push(Item::Ended(self.ended.len() as u32));
        self.ended.push(*ended);
    }

    /// The chains.
    pub(super) fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The parts of the laid-out batch.
    pub(super) fn parts(&mut self) -> &mut [BatchPart] {
        self.parts.get_mut(..self.used).unwrap_or_default()
    }

    /// [`Batch::parts`] and the inputs.
    pub(super) fn parts_and_x(&mut self) -> (&mut [BatchPart], &[f32]) {
        (self.parts.get_mut(..self.used).unwrap_or_default(), &self.x)
    }

    /// Lays the batch out for `threads` threads. `in_place`: steps use the slots of the conversations' own states; otherwise
    /// a conversation's state is at its chain's row.
    pub(super) fn lay_out(&mut self, threads: usize, in_place: bool) {
        self.cut(threads, if in_place { 1 } else { threads * PARTS_PER_THREAD });
        let Batch { chains, links, positions, parts, .. } = self;
        positions.clear();
        positions.extend((0..).zip(links.iter()).map(|(row, link)| {
            let Some(chain) = chains.get(usize::from(link.chain)) else { return 0 };
            let Some(part) = parts.get_mut(usize::from(chain.part)) else { return 0 };
            let slot = if in_place { chain.slot } else { chain.row.into() };
            u32::from(chain.part) << 16 | part.set(link.round, chain.row, slot, row, link.is_reset)
        }));
    }

    /// Divides the chains among at most `most` parts. The first part takes the longest chains, up to two thirds of a
    /// thread's share of the work; each later one takes the same fraction of the remainder. So chains of similar length
    /// step together, and the last parts are small enough to balance the threads.
    fn cut(&mut self, threads: usize, most: usize) {
        let Batch { chains, order, parts, used, .. } = self;
        order.clear();
        order.extend((0..).zip(chains.iter()).map(|(at, chain)| u32::from(chain.packets) << 16 | at));
        order.sort_unstable_by(|a, b| b.cmp(a));
        let cost = |row: usize, key: &u32| {
            (key >> 16) * if row.is_multiple_of(TILE_ROWS) { FIRST_ROW } else { NEXT_ROW }
        };
        let mut left: u32 = order.iter().enumerate().map(|(row, key)| cost(row, key)).sum();
        let threads = threads.max(1) as u32;
        let least = left / (8 * threads);
        parts.resize_with(parts.len().max(most), BatchPart::default);
        *used = 0;
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (mut rows, mut taken) = (0, 0);
            let enough = (2 * left / (3 * threads)).max(least);
            for key in rest {
                let full = taken >= enough && rows % TILE_ROWS == 0 && *used + 1 < most;
                if full && rows > 0 {
                    break;
                }
                taken += cost(rows, key);
                if let Some(chain) = chains.get_mut((key & 0xffff) as usize) {
                    (chain.part, chain.row) = (*used as u16, rows as u16);
                }
                rows += 1;
            }
            let (own, others) = rest.split_at(rows);
            if let Some(part) = parts.get_mut(*used) {
                part.reset(own.iter().map(|key| (key >> 16) as u16));
            }
            *used += 1;
            left = left.saturating_sub(taken);
            rest = others;
        }
    }

    /// Empties the stepped batch: emits its packets, scored, and its ended flows, in order of arrival. Each event comes with
    /// all of the batch's ended flows.
    #[inline]
    pub(super) fn drain(&mut self, outputs: usize, mut emit: impl FnMut(Event<'_>, &[EndedFlow])) {
        let Batch { items, ended, x, positions, parts, links, .. } = self;
        let width = x.len() / links.len().max(1);
        let (mut rows, mut positions) = (x.chunks_exact(width.max(1)), positions.iter());
        for item in items.iter() {
            match item {
                Item::Packet(step) => {
                    let (Some(x), Some(position)) = (rows.next(), positions.next()) else { continue };
                    let part = parts.get_mut((position >> 16) as usize);
                    let out = part.and_then(|part| part.out_mut(position & 0xffff, outputs));
                    let out = out.unwrap_or_default();
                    emit(Event::Scored(step, x, out), ended);
                }
                Item::Ended(at) => {
                    if let Some(flow) = ended.get(*at as usize) {
                        emit(Event::Ended(flow), ended);
                    }
                }
            }
        }
        self.clear();
    }

    /// Empties the batch.
    fn clear(&mut self) {
        self.items.clear();
        self.ended.clear();
        self.chains.clear();
        self.links.clear();
        self.x.clear();
        self.positions.clear();
        self.used = 0;
        self.since_nanos = None;
    }
}

//! The micro-batch: waiting packets, and the ends of flows between them, in order of arrival.
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
    /// Its number in the capture.
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
    /// Index of the end.
    End(u32),
}

/// The waiting packets of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) slot: u32,
    packets: u16,
    /// The network's state is reset before the first packet.
    pub(super) anew: bool,
    /// Where it is stepped: the bundle, and the position in it.
    pub(super) bundle: u16,
    pub(super) row: u16,
}

/// A packet's position in its chain.
#[derive(Clone, Copy, Debug)]
struct Link {
    chain: u16,
    round: u16,
    anew: bool,
}

#[derive(Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    ends: Vec<EndedFlow>,
    chains: Vec<Chain>,
    links: Vec<Link>,
    /// Packets x inputs.
    pub(super) x: Vec<f32>,
    since_nanos: Option<i64>,
    /// Chains, longest first: the length in the upper 16 bits, the index in the lower ones.
    order: Vec<u32>,
    /// Where each packet is stepped: the bundle in the upper 16 bits, the position in it in the lower ones.
    places: Vec<u32>,
    bundles: Vec<BatchPart>,
    /// Of those, the ones that hold this batch.
    used: usize,
}

impl Batch {
    /// Number of waiting packets and ends.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Nanoseconds of packet time since the first waiting packet, forwards or backwards.
    pub(super) fn waits_since(&self, now_nanos: i64) -> u64 {
        self.since_nanos.map_or(0, |since| now_nanos.abs_diff(since))
    }

    /// Whether only ends of flows wait.
    pub(super) fn only_ends(&self) -> bool {
        self.links.is_empty() && !self.items.is_empty()
    }

    /// The end of a flow, if it waits here.
    pub(super) fn end_of(&self, flow: u64) -> Option<&EndedFlow> {
        self.ends.iter().find(|ended| ended.flow.id == flow)
    }

    /// Whether packets of this slot wait; `chain` is the value that [`Batch::push`] left for its last packet.
    #[inline]
    pub(super) fn holds(&self, slot: u32, chain: u16) -> bool {
        self.chains.get(usize::from(chain)).is_some_and(|chain| chain.slot == slot)
    }

    /// Adds a packet and returns the vector to which its inputs are to be appended. `chain` is the value left for the last
    /// packet of the slot, in any batch, and is updated. `anew`: the state is reset before the packet.
    #[inline]
    pub(super) fn push(&mut self, step: Step, chain: &mut u16, anew: bool) -> &mut Vec<f32> {
        self.since_nanos.get_or_insert(step.time_nanos);
        self.items.push(Item::Packet(step));
        let round = match self.chains.get_mut(usize::from(*chain)) {
            Some(known) if known.slot == step.slot => {
                known.packets += 1;
                known.packets - 1
            }
            _ => {
                *chain = self.chains.len() as u16;
                self.chains.push(Chain { slot: step.slot, packets: 1, anew, bundle: 0, row: 0 });
                0
            }
        };
        self.links.push(Link { chain: *chain, round, anew });
        &mut self.x
    }

    /// Adds the end of a flow.
    #[inline]
    pub(super) fn end(&mut self, ended: &EndedFlow) {
        self.items.push(Item::End(self.ends.len() as u32));
        self.ends.push(*ended);
    }

    /// The chains.
    pub(super) fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The bundles that it is laid out in.
    pub(super) fn bundles(&mut self) -> &mut [BatchPart] {
        self.bundles.get_mut(..self.used).unwrap_or_default()
    }

    /// [`Batch::bundles`] beside the inputs.
    pub(super) fn bundles_and_x(&mut self) -> (&mut [BatchPart], &[f32]) {
        (self.bundles.get_mut(..self.used).unwrap_or_default(), &self.x)
    }

    /// Lays the batch out for `threads` threads. `in_place`: with the conversations' own states; otherwise the state of a
    /// conversation is at its chain's position.
    pub(super) fn lay_out(&mut self, threads: usize, in_place: bool) {
        self.cut(threads, if in_place { 1 } else { threads * PARTS_PER_THREAD });
        let Batch { chains, links, places, bundles, .. } = self;
        places.clear();
        places.extend((0..).zip(links.iter()).map(|(row, link)| {
            let Some(chain) = chains.get(usize::from(link.chain)) else { return 0 };
            let Some(bundle) = bundles.get_mut(usize::from(chain.bundle)) else { return 0 };
            let slot = if in_place { chain.slot } else { chain.row.into() };
            u32::from(chain.bundle) << 16 | bundle.set(link.round, chain.row, slot, row, link.anew)
        }));
    }

    /// Cuts the chains into at most so many bundles. The first has the longest chains and two thirds of a thread's share
    /// of the work, each other as much of what is left: chains about as long as one another step together, and threads
    /// that come to the end find small bundles.
    fn cut(&mut self, threads: usize, most: usize) {
        let Batch { chains, order, bundles, used, .. } = self;
        order.clear();
        order.extend((0..).zip(chains.iter()).map(|(at, chain)| u32::from(chain.packets) << 16 | at));
        order.sort_unstable_by(|a, b| b.cmp(a));
        let cost = |row: usize, key: &u32| {
            (key >> 16) * if row.is_multiple_of(TILE_ROWS) { FIRST_ROW } else { NEXT_ROW }
        };
        let mut left: u32 = order.iter().enumerate().map(|(row, key)| cost(row, key)).sum();
        let threads = threads.max(1) as u32;
        let least = left / (8 * threads);
        bundles.resize_with(bundles.len().max(most), BatchPart::default);
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
                    (chain.bundle, chain.row) = (*used as u16, rows as u16);
                }
                rows += 1;
            }
            let (own, others) = rest.split_at(rows);
            if let Some(bundle) = bundles.get_mut(*used) {
                bundle.begin(own.iter().map(|key| (key >> 16) as u16));
            }
            *used += 1;
            left = left.saturating_sub(taken);
            rest = others;
        }
    }

    /// Passes on what waited, scored and in order of arrival, with all waiting ends.
    #[inline]
    pub(super) fn drain(&mut self, outputs: usize, mut emit: impl FnMut(Event<'_>, &[EndedFlow])) {
        let Batch { items, ends, x, places, bundles, links, .. } = self;
        let width = x.len() / links.len().max(1);
        let (mut rows, mut places) = (x.chunks_exact(width.max(1)), places.iter());
        for item in items.iter() {
            match item {
                Item::Packet(step) => {
                    let (Some(x), Some(place)) = (rows.next(), places.next()) else { continue };
                    let bundle = bundles.get_mut((place >> 16) as usize);
                    let out = bundle.and_then(|bundle| bundle.out_mut(place & 0xffff, outputs));
                    let out = out.unwrap_or_default();
                    emit(Event::Scored(step, x, out), ends);
                }
                Item::End(at) => {
                    if let Some(ended) = ends.get(*at as usize) {
                        emit(Event::Ended(ended), ends);
                    }
                }
            }
        }
        self.clear();
    }

    /// Empties the batch.
    fn clear(&mut self) {
        self.items.clear();
        self.ends.clear();
        self.chains.clear();
        self.links.clear();
        self.x.clear();
        self.places.clear();
        self.used = 0;
        self.since_nanos = None;
    }
}

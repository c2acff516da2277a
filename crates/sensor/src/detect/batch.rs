//! The micro-batch: packets that wait, in rounds of distinct conversations, and ends of flows between them.
//!
//! A conversation's first waiting packet is in the first round, its second in the second: a round's conversations are
//! all different and step together, rounds follow one another. What comes out is in packet order again.

use citronella_nn::{Error, StreamCell};

use crate::feature::sequence::EndedFlow;

/// A packet that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) slot: u32,
    /// Rank of its flow.
    pub(super) flow: u64,
    /// Its number in the capture.
    pub(super) number: u64,
    pub(super) time_nanos: i64,
    /// Whether its flow begins with it.
    pub(super) is_new: bool,
}

/// What comes out.
pub(super) enum Event<'a> {
    /// A packet, what the network read of it, and the probabilities after it.
    Scored(&'a Step, &'a [f32], &'a mut [f32]),
    /// A flow ended.
    Ended(&'a EndedFlow),
}

enum Item {
    Packet {
        step: Step,
        round: u16,
        row: u16,
    },
    /// Place among the ends.
    End(u32),
}

/// Packets of distinct conversations.
#[derive(Default)]
struct Round {
    slots: Vec<u32>,
    /// Conversations among them whose state begins anew.
    anew: Vec<u32>,
    x: Vec<f32>,
    out: Vec<f32>,
}

pub(super) struct Batch {
    outputs: usize,
    items: Vec<Item>,
    ends: Vec<EndedFlow>,
    rounds: Vec<Round>,
    packets: usize,
    since_nanos: Option<i64>,
}

impl Batch {
    pub(super) fn new(outputs: usize) -> Batch {
        let (items, ends, rounds) = (Vec::new(), Vec::new(), Vec::new());
        Batch { outputs, items, ends, rounds, packets: 0, since_nanos: None }
    }

    /// Packets and ends that wait.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Nanoseconds of packet time that have passed since the first packet that waits, forwards or backwards.
    pub(super) fn waits_since(&self, now_nanos: i64) -> u64 {
        self.since_nanos.map_or(0, |since| now_nanos.abs_diff(since))
    }

    /// Whether flows have ended that no packet waits before.
    pub(super) fn only_ends(&self) -> bool {
        self.packets == 0 && !self.items.is_empty()
    }

    /// Adds a packet to a round: as many of its conversation wait. `anew`: the conversation's state begins anew before
    /// it. Its inputs are to be appended to what comes back.
    #[inline]
    pub(super) fn push(&mut self, step: Step, round: u16, anew: bool) -> &mut Vec<f32> {
        self.since_nanos.get_or_insert(step.time_nanos);
        let at = usize::from(round);
        if at >= self.rounds.len() {
            self.rounds.resize_with(at + 1, Round::default);
        }
        let into = &mut self.rounds[at];
        self.items.push(Item::Packet { step, round, row: into.slots.len() as u16 });
        self.packets += 1;
        into.slots.push(step.slot);
        if anew {
            into.anew.push(step.slot);
        }
        &mut into.x
    }

    /// Adds the end of a flow.
    #[inline]
    pub(super) fn end(&mut self, ended: &EndedFlow) {
        self.items.push(Item::End(self.ends.len() as u32));
        self.ends.push(*ended);
    }

    /// Steps the conversations.
    pub(super) fn score(&mut self, cell: &mut StreamCell) -> Result<(), Error> {
        for round in self.rounds.iter_mut().take_while(|round| !round.slots.is_empty()) {
            round.anew.iter().for_each(|slot| cell.reset(*slot));
            round.out.resize(round.slots.len() * self.outputs, 0.0);
            cell.step_many(&round.slots, &round.x, &mut round.out)?;
        }
        Ok(())
    }

    /// Gives out what waited, scored, in the order in which it came, and all the ends beside; the batch is empty then.
    #[inline]
    pub(super) fn drain(&mut self, mut tell: impl FnMut(Event<'_>, &[EndedFlow])) {
        let Batch { outputs, items, ends, rounds, .. } = self;
        for item in items.iter() {
            match item {
                Item::Packet { step, round, row } => {
                    let Some(round) = rounds.get_mut(usize::from(*round)) else { continue };
                    let (row, width) = (usize::from(*row), round.x.len() / round.slots.len().max(1));
                    let x = round.x.get(row * width..(row + 1) * width).unwrap_or_default();
                    let out = round.out.get_mut(row * *outputs..(row + 1) * *outputs).unwrap_or_default();
                    tell(Event::Scored(step, x, out), ends);
                }
                Item::End(at) => {
                    if let Some(ended) = ends.get(*at as usize) {
                        tell(Event::Ended(ended), ends);
                    }
                }
            }
        }
        for round in rounds.iter_mut().take_while(|round| !round.slots.is_empty()) {
            round.slots.clear();
            round.anew.clear();
            round.x.clear();
        }
        items.clear();
        ends.clear();
        (self.packets, self.since_nanos) = (0, None);
    }
}

//! A part of a batch: the packets of some conversations, in the rounds in which the network steps them.
//!
//! Round r holds the r-th packet of each conversation (chain) that has one; chains are sorted by length, longest first.

use std::sync::Arc;

use citronella_nn::{Error, States, Stepper, Steps};

/// Most parts of a batch per thread.
pub(super) const PARTS_PER_THREAD: usize = 6;

/// Steps and their results. Parts do not depend on each other, so any thread can step one.
#[derive(Default)]
pub(super) struct BatchPart {
    chains: usize,
    /// Index of each round's first step.
    round_starts: Vec<u32>,
    slots: Vec<u32>,
    rows: Vec<u32>,
    resets: Vec<bool>,
    /// Steps x outputs.
    out: Vec<f32>,
}

impl BatchPart {
    /// Clears the part and lays out the steps of chains with these numbers of packets, longest first.
    pub(super) fn reset(&mut self, packets: impl DoubleEndedIterator<Item = u16> + ExactSizeIterator) {
        self.chains = packets.len();
        self.round_starts.clear();
        let mut rows = packets.len() as u32;
        let mut steps = 0;
        // From the shortest chain up: a round has a row for each chain that has not ended.
        for packets in packets.rev() {
            while self.round_starts.len() < usize::from(packets) {
                self.round_starts.push(steps);
                steps += rows;
            }
            rows -= 1;
        }
        let steps = steps as usize;
        self.slots.clear();
        self.slots.resize(steps, 0);
        self.rows.clear();
        self.rows.resize(steps, 0);
        self.resets.clear();
        self.resets.resize(steps, false);
    }

    /// Sets a chain's step in a round: the slot of its state, its row of inputs, and whether the state is reset before it.
    /// Returns the step's index.
    #[inline]
    pub(super) fn set(&mut self, round: u16, chain: u16, slot: u32, row: u32, reset: bool) -> u32 {
        let index = self.round_starts.get(usize::from(round)).map_or(0, |first| first + u32::from(chain));
        let at = index as usize;
        if let (Some(s), Some(r), Some(z)) =
            (self.slots.get_mut(at), self.rows.get_mut(at), self.resets.get_mut(at))
        {
            (*s, *r, *z) = (slot, row, reset);
        }
        index
    }

    /// Runs the network over all steps.
    pub(super) fn step(
        &mut self,
        stepper: &mut Stepper,
        states: &mut States,
        x: &[f32],
    ) -> Result<(), Error> {
        #[cfg(test)]
        assert!(!x.contains(&f32::INFINITY), "a step that fails");
        let BatchPart { slots, rows, resets, out, .. } = self;
        out.resize(slots.len() * stepper.outputs(), 0.0);
        stepper.step_rows(states, &Steps { slots, rows, resets }, x, out)
    }

    pub(super) fn chains(&self) -> usize {
        self.chains
    }

    /// The outputs of a step.
    #[inline]
    pub(super) fn out_mut(&mut self, step: u32, outputs: usize) -> Option<&mut [f32]> {
        let at = step as usize * outputs;
        self.out.get_mut(at..at + outputs)
    }
}

/// The job of a worker: a part, its states, and the inputs that all parts of the batch share.
pub(super) struct SharedBatch {
    pub(super) part: BatchPart,
    pub(super) states: States,
    pub(super) x: Arc<Vec<f32>>,
    pub(super) result: Result<(), Error>,
}

impl SharedBatch {
    pub(super) fn step(&mut self, stepper: &mut Stepper) {
        // Drops this reference: the scorer reuses the inputs' memory once it holds the only one.
        let x = std::mem::take(&mut self.x);
        self.result = self.part.step(stepper, &mut self.states, &x);
    }
}

//! Packets of some conversations as the network steps them: the first of each, then the second of each, and so on.

use std::sync::Arc;

use citronella_nn::{Error, States, Stepper, Steps};

/// Bundles of a batch at most, for each thread.
pub(super) const BUNDLES_A_THREAD: usize = 6;

/// Steps to take, and what came of them. A bundle needs nothing of others, so any thread can take it.
#[derive(Default)]
pub(super) struct Bundle {
    chains: usize,
    /// Where each round begins.
    rounds: Vec<u32>,
    slots: Vec<u32>,
    rows: Vec<u32>,
    anew: Vec<bool>,
    /// Steps x outputs.
    out: Vec<f32>,
}

impl Bundle {
    /// Makes room for chains of these many packets, longest first.
    pub(super) fn begin(&mut self, packets: impl DoubleEndedIterator<Item = u16> + ExactSizeIterator) {
        self.chains = packets.len();
        self.rounds.clear();
        let mut rows = packets.len() as u32;
        let mut steps = 0;
        // The shortest end first: a round has as many rows as chains that go on.
        for packets in packets.rev() {
            while self.rounds.len() < usize::from(packets) {
                self.rounds.push(steps);
                steps += rows;
            }
            rows -= 1;
        }
        let steps = steps as usize;
        self.slots.clear();
        self.slots.resize(steps, 0);
        self.rows.clear();
        self.rows.resize(steps, 0);
        self.anew.clear();
        self.anew.resize(steps, false);
    }

    /// Sets the step of a chain's packet in some round: its conversation's slot, its row of inputs, whether the state
    /// begins anew before it. The step's place.
    #[inline]
    pub(super) fn set(&mut self, round: u16, chain: u16, slot: u32, row: u32, anew: bool) -> u32 {
        let place = self.rounds.get(usize::from(round)).map_or(0, |first| first + u32::from(chain));
        let at = place as usize;
        if let (Some(s), Some(r), Some(a)) =
            (self.slots.get_mut(at), self.rows.get_mut(at), self.anew.get_mut(at))
        {
            (*s, *r, *a) = (slot, row, anew);
        }
        place
    }

    /// Takes the steps.
    pub(super) fn step(
        &mut self,
        stepper: &mut Stepper,
        states: &mut States,
        x: &[f32],
    ) -> Result<(), Error> {
        #[cfg(test)]
        assert!(!x.contains(&f32::INFINITY), "a step that fails");
        let Bundle { slots, rows, anew, out, .. } = self;
        out.resize(slots.len() * stepper.outputs(), 0.0);
        stepper.take(states, &Steps { slots, rows, anew }, x, out)
    }

    /// Chains in it.
    pub(super) fn chains(&self) -> usize {
        self.chains
    }

    /// What came of a step.
    #[inline]
    pub(super) fn out_mut(&mut self, place: u32, outputs: usize) -> Option<&mut [f32]> {
        let at = place as usize * outputs;
        self.out.get_mut(at..at + outputs)
    }
}

/// A bundle that any thread can take: with its states and inputs.
pub(super) struct Parcel {
    pub(super) bundle: Bundle,
    pub(super) states: States,
    pub(super) x: Arc<Vec<f32>>,
    pub(super) stepped: Result<(), Error>,
}

impl Parcel {
    pub(super) fn step(&mut self, stepper: &mut Stepper) {
        // Whoever fills the inputs again needs them alone.
        let x = std::mem::take(&mut self.x);
        self.stepped = self.bundle.step(stepper, &mut self.states, &x);
    }
}

//! Streaming inference over many conversations, one step at a time.

#[cfg(target_arch = "x86_64")]
mod bf16;
mod states;
mod stepper;

pub use states::States;
pub use stepper::{Stepper, Steps};

use crate::{Error, Network};

/// Precision of streaming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Everything in f32: the results of batch inference.
    #[default]
    F32,
    /// Products of weights, inputs and h in bf16 (8 bits of mantissa); sums, c, activations and the
    /// head in f32. Needs AVX-512 BF16, and a network of one layer. 1.6 to 1.8 times as fast, with three quarters of the state;
    /// probabilities differ by 3e-4 on average, by at most 6e-3 (docs/adr/0013).
    Bf16,
}

/// A network with the states of many conversations.
///
/// A state is h and c of every layer in f32 (512 bytes for one layer of 64 units), in an arena allocated once. Stepping does
/// not allocate. The results equal those of [`Network::predict_steps`] on the same steps, except with [`Precision::Bf16`].
/// To step on several threads, give each a [`Stepper`] and pass [`States`] between them.
pub struct StreamCell {
    stepper: Stepper,
    states: States,
}

impl StreamCell {
    /// Zero states for `capacity` conversations, in f32. Memory is first touched when it is used.
    pub fn new(network: &Network, capacity: usize) -> Result<StreamCell, Error> {
        StreamCell::with_precision(network, capacity, Precision::F32)
    }

    /// [`StreamCell::new`] with a precision.
    ///
    /// # Errors
    /// This CPU or this network does not support it.
    pub fn with_precision(
        network: &Network,
        capacity: usize,
        precision: Precision,
    ) -> Result<StreamCell, Error> {
        let stepper = Stepper::new(network, precision)?;
        Ok(StreamCell { states: stepper.states(capacity), stepper })
    }

    /// Capacity in conversations.
    pub fn capacity(&self) -> usize {
        self.states.capacity()
    }

    /// Inputs per step.
    pub fn inputs(&self) -> usize {
        self.stepper.inputs()
    }

    /// Probabilities per step.
    pub fn outputs(&self) -> usize {
        self.stepper.outputs()
    }

    /// Bytes of state per conversation.
    pub fn state_bytes(&self) -> usize {
        self.states.state_bytes()
    }

    /// See [`States::reset`].
    pub fn reset(&mut self, slot: u32) {
        self.states.reset(slot);
    }

    /// See [`States::state`].
    pub fn state(&self, slot: u32) -> Option<&[f32]> {
        self.states.state(slot)
    }

    /// See [`Stepper::prefetch`].
    pub fn prefetch(&self, slots: &[u32]) {
        self.stepper.prefetch(&self.states, slots);
    }

    /// One step of one conversation. `x`: inputs; `out`: the probabilities after it.
    pub fn step(&mut self, slot: u32, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.step_many(&[slot], x, out)
    }

    /// See [`Stepper::peek`].
    ///
    /// # Errors
    /// As [`StreamCell::step`].
    pub fn peek(&mut self, slot: u32, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.stepper.peek(&mut self.states, slot, x, out)
    }

    /// See [`Stepper::step_many`].
    pub fn step_many(&mut self, slots: &[u32], x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.stepper.step_many(&mut self.states, slots, x, out)
    }
}

//! Streaming benchmark: steps of conversations in random order.

use super::{OUTPUTS, Setup, data, network, rate};
use crate::random::Random;
use crate::{Error, Precision, Simd, StreamCell};

/// Steps per second on one core.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamRates {
    /// Conversations, each with its own state.
    pub conversations: usize,
    /// Steps per second, one conversation at a time.
    pub single_steps: f64,
    /// Steps per second in micro-batches of 48 different conversations.
    pub micro_batches: f64,
    /// Precision of the matrix products.
    pub precision: Precision,
}

/// Conversations that step together.
const MICRO_BATCH: usize = 48;
/// Different rows of inputs.
const INPUT_ROWS: usize = 48 * 16;

/// Measures streaming over a number of conversations.
pub fn stream(
    setup: &Setup,
    simd: Simd,
    conversations: usize,
    precision: Precision,
) -> Result<StreamRates, Error> {
    let single = Setup { steps: 1, ..setup.clone() };
    let (x, _) = data(&single, INPUT_ROWS);
    let mut cell = StreamCell::with_precision(&network(&single, simd)?, conversations, precision)?;
    let mut slots: Vec<u32> = (0..conversations as u32).collect();
    slots.iter().for_each(|&slot| cell.reset(slot));
    Random::new(2, 9).shuffle(&mut slots);
    let (mut next_slot, mut out) = (0, vec![0.0; MICRO_BATCH * OUTPUTS]);
    let features = setup.features;
    let single_steps = rate(setup.seconds, INPUT_ROWS, || {
        for x in x.chunks_exact(features) {
            cell.step(slots[next_slot], x, &mut out[..OUTPUTS])?;
            next_slot = if next_slot + 1 < slots.len() { next_slot + 1 } else { 0 };
        }
        Ok(())
    })?;
    let batches: Vec<&[u32]> = slots.chunks_exact(MICRO_BATCH).collect();
    if batches.is_empty() {
        return Err(Error::Config(format!(
            "the streaming benchmark needs at least {MICRO_BATCH} conversations"
        )));
    }
    let mut at = 0;
    let micro_batches = rate(setup.seconds, INPUT_ROWS, || {
        for x in x.chunks_exact(MICRO_BATCH * features) {
            let next = if at + 1 < batches.len() { at + 1 } else { 0 };
            cell.prefetch(&batches[next][..MICRO_BATCH / 2]);
            cell.step_many(batches[at], x, &mut out)?;
            at = next;
        }
        Ok(())
    })?;
    Ok(StreamRates { conversations, single_steps, micro_batches, precision })
}

pub(super) fn state_bytes(setup: &Setup, simd: Simd) -> Result<usize, Error> {
    Ok(StreamCell::new(&network(setup, simd)?, 0)?.state_bytes())
}

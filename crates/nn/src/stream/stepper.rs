//! Steps conversations: the network with its buffers.

#[cfg(target_arch = "x86_64")]
use super::bf16;
use super::{Precision, States};
use crate::error::check_length;
use crate::inference::Block;
use crate::kernel::{CopyRows, Prefetch, RowLayout};
use crate::{Error, Network};

/// Conversations that step together: enough to fill the register tiles and to hide the latency of loading states.
const BLOCK_ROWS: usize = 24;

/// Steps in order; a slot may occur more than once.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// Slot of each step's conversation.
    pub slots: &'a [u32],
    /// Row of inputs of each step.
    pub rows: &'a [u32],
    /// Whether the state is reset before the step.
    pub resets: &'a [bool],
}

/// Steps conversations on one thread, with any [`States`] made by a stepper of the same network and precision.
pub struct Stepper {
    network: Network,
    block: Block,
    #[cfg(target_arch = "x86_64")]
    bf16: Option<bf16::Bf16>,
    /// f32 per conversation.
    stride: usize,
    reverse: bool,
}

impl Stepper {
    /// A stepper of `network`.
    ///
    /// # Errors
    /// This CPU or this network does not support the precision.
    pub fn new(network: &Network, precision: Precision) -> Result<Stepper, Error> {
        let network = network.folded()?;
        let mut stride = network.layers.iter().map(|l| 2 * l.units).sum();
        #[cfg(target_arch = "x86_64")]
        let bf16 = match (precision, network.layers.as_slice()) {
            (Precision::Bf16, [layer]) => bf16::Bf16::new(layer, BLOCK_ROWS),
            _ => None,
        };
        #[cfg(target_arch = "x86_64")]
        let has = bf16.as_ref().map(bf16::Bf16::stride);
        #[cfg(not(target_arch = "x86_64"))]
        let has = None;
        match (precision, has) {
            (Precision::Bf16, Some(words)) => stride = words,
            (Precision::Bf16, None) => {
                let text = "bf16 streaming needs a CPU with AVX-512 BF16 and a network of one layer: use f32";
                return Err(Error::Config(text.to_string()));
            }
            (Precision::F32, _) => (),
        }
        Ok(Stepper {
            block: Block::new(&network, BLOCK_ROWS),
            network,
            #[cfg(target_arch = "x86_64")]
            bf16,
            stride,
            reverse: false,
        })
    }

    /// Zero states for `capacity` conversations. Memory is first touched when it is used.
    pub fn states(&self, capacity: usize) -> States {
        States::new(self.stride, capacity)
    }

    /// Inputs per step.
    pub fn inputs(&self) -> usize {
        self.network.spec.inputs
    }

    /// Probabilities per step.
    pub fn outputs(&self) -> usize {
        self.network.spec.outputs
    }

    /// Prefetches the states of conversations that will step soon.
    pub fn prefetch(&self, states: &States, slots: &[u32]) {
        for &slot in slots {
            if let Some(state) = states.state(slot) {
                self.network.simd.run(Prefetch(state));
            }
        }
    }

    /// One step of a conversation without changing its state.
    ///
    /// # Errors
    /// As [`Stepper::step_many`].
    pub fn peek(&mut self, states: &mut States, slot: u32, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let at = slot as usize * states.stride;
        let before = states.state(slot).map(<[f32]>::to_vec).unwrap_or_default();
        self.step_many(states, &[slot], x, out)?;
        if let Some(state) = states.arena.get_mut(at..at + before.len()) {
            state.copy_from_slice(&before);
        }
        Ok(())
    }

    /// One step for each slot, in order; fastest with 8 to 64 different slots. `x`: slots x inputs; `out`: slots x outputs,
    /// the probabilities after each step.
    ///
    /// # Errors
    /// A slot does not exist, a length is wrong, or the states are of another network.
    pub fn step_many(
        &mut self,
        states: &mut States,
        slots: &[u32],
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        check_length("x", x.len(), slots.len() * self.inputs())?;
        self.step_blocks(states, slots, None, &[], x, out)
    }

    /// [`Stepper::step_many`] with a row of `x` for each step, and resets.
    ///
    /// # Errors
    /// As [`Stepper::step_many`].
    pub fn step_rows(
        &mut self,
        states: &mut States,
        steps: &Steps<'_>,
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let Steps { slots, rows, resets } = *steps;
        check_length("rows", rows.len(), slots.len())?;
        check_length("resets", resets.len(), slots.len())?;
        let last = rows.iter().max().map_or(0, |row| *row as usize + 1);
        check_length("x", x.len().min(last * self.inputs()), last * self.inputs())?;
        self.step_blocks(states, slots, Some(rows), resets, x, out)
    }

    fn step_blocks(
        &mut self,
        states: &mut States,
        slots: &[u32],
        rows: Option<&[u32]>,
        resets: &[bool],
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        check_length("a state", states.stride, self.stride)?;
        check_length("out", out.len(), slots.len() * outputs)?;
        let capacity = states.capacity();
        if let Some(slot) = slots.iter().find(|&&s| s as usize >= capacity) {
            return Err(Error::Config(format!(
                "slot {slot} is out of range: the capacity is {capacity} conversations"
            )));
        }
        let mut first = 0;
        self.prefetch(states, &slots[..distinct_prefix(slots)]);
        while first < slots.len() {
            let next = first + distinct_prefix(&slots[first..]);
            self.prefetch(states, &slots[next..next + distinct_prefix(&slots[next..])]);
            let resets = resets.get(first..next).unwrap_or_default();
            for (slot, _) in slots[first..next].iter().zip(resets).filter(|(_, reset)| **reset) {
                states.reset(*slot);
            }
            let x = match rows {
                Some(rows) => (x, RowLayout::Slots { slots: &rows[first..next], stride: inputs, offset: 0 }),
                None => (&x[first * inputs..], RowLayout::Strided(inputs)),
            };
            self.step_block(states, &slots[first..next], x, &mut out[first * outputs..]);
            first = next;
        }
        Ok(())
    }

    fn step_block(
        &mut self,
        states: &mut States,
        slots: &[u32],
        (x, x_at): (&[f32], RowLayout<'_>),
        out: &mut [f32],
    ) {
        let States { arena, stride, .. } = states;
        let stride = *stride;
        #[cfg(target_arch = "x86_64")]
        if let Stepper { network, block, bf16: Some(bf16), .. } = self {
            let (outputs, rows, simd) = (network.spec.outputs, slots.len(), network.simd);
            bf16.load(simd, slots, stride, arena, (x, x_at));
            let (h, h_stride) = block.top_mut(network);
            bf16.step(rows, h, h_stride);
            bf16.store(simd, slots, stride, arena);
            let columns = network.head.columns;
            let probabilities = block.top_head(network, rows).chunks_exact(columns);
            for (p, out) in probabilities.zip(out.chunks_exact_mut(outputs)) {
                out.copy_from_slice(&p[..outputs]);
            }
            return;
        }
        let Stepper { network, block, reverse, .. } = self;
        let (outputs, rows) = (network.spec.outputs, slots.len());
        let mut offset = 0;
        for (l, layer) in network.layers.iter().enumerate() {
            let (h, c) = block.state_mut(network, l);
            for (to, to_stride) in [(h, layer.depth()), (c, layer.units)] {
                let (from_at, to_at) =
                    (RowLayout::Slots { slots, stride, offset }, RowLayout::Strided(to_stride));
                network.simd.run(CopyRows { rows, len: layer.units, from: arena, from_at, to, to_at });
                offset += layer.units;
            }
        }
        block.step(network, rows, (x, x_at), false, *reverse);
        *reverse = !*reverse;
        let mut offset = 0;
        for (l, layer) in network.layers.iter().enumerate() {
            let (h, c) = block.state_mut(network, l);
            for (from, from_stride) in [(h, layer.depth()), (c, layer.units)] {
                let (from_at, to_at) =
                    (RowLayout::Strided(from_stride), RowLayout::Slots { slots, stride, offset });
                network.simd.run(CopyRows { rows, len: layer.units, from, from_at, to: arena, to_at });
                offset += layer.units;
            }
        }
        let columns = network.head.columns;
        for (p, out) in block.head(network, rows).chunks_exact(columns).zip(out.chunks_exact_mut(outputs)) {
            out.copy_from_slice(&p[..outputs]);
        }
    }
}

/// Length of the longest prefix of different slots, at most a block.
fn distinct_prefix(slots: &[u32]) -> usize {
    let slots = &slots[..slots.len().min(BLOCK_ROWS)];
    (1..slots.len()).find(|&n| slots[..n].contains(&slots[n])).unwrap_or(slots.len())
}

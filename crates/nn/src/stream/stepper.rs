//! What steps conversations: the network, and room to compute in.

#[cfg(target_arch = "x86_64")]
use super::bf16;
use super::{Precision, States};
use crate::error::check_length;
use crate::forward::Block;
use crate::kernel::{CopyRows, Places, Prefetch};
use crate::{Error, Network};

/// Conversations that step together; their states fill the registers and hide each other's way from memory.
const BLOCK_ROWS: usize = 24;

/// Steps to take, in order: a slot that comes twice takes two.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// The conversation of each.
    pub slots: &'a [u32],
    /// The row of inputs that each reads.
    pub rows: &'a [u32],
    /// Whether the conversation's state begins anew before it.
    pub anew: &'a [bool],
}

/// One thread's way to step the conversations of any [`States`] that it, or another of the same network and precision,
/// has made.
pub struct Stepper {
    network: Network,
    block: Block,
    #[cfg(target_arch = "x86_64")]
    bf16: Option<bf16::Bf16>,
    /// f32 a conversation.
    stride: usize,
    reverse: bool,
}

impl Stepper {
    /// An error where this CPU or this network does not allow the precision.
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

    /// Room for `capacity` conversations, all at their beginning. The memory is touched when it is first used.
    pub fn states(&self, capacity: usize) -> States {
        States::new(self.stride, capacity)
    }

    /// Numbers that it reads at a step.
    pub fn inputs(&self) -> usize {
        self.network.spec.inputs
    }

    /// Probabilities that it gives after a step.
    pub fn outputs(&self) -> usize {
        self.network.spec.outputs
    }

    /// Says that these conversations will step soon: their states start on their way into the cache.
    pub fn prefetch(&self, states: &States, slots: &[u32]) {
        for &slot in slots {
            if let Some(state) = states.state(slot) {
                self.network.simd.run(Prefetch(state));
            }
        }
    }

    /// What would be said after one more step of a conversation, which stays where it is.
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

    /// One step of each conversation, in order: a slot that comes twice takes two steps. 8 to 64 different ones at a time
    /// are fastest. `x`: slots x inputs; `out`: slots x outputs, the probabilities after each step.
    ///
    /// # Errors
    /// A slot does not exist, a length is another, or the states are another network's.
    pub fn step_many(
        &mut self,
        states: &mut States,
        slots: &[u32],
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        check_length("x", x.len(), slots.len() * self.inputs())?;
        self.walk(states, slots, None, &[], x, out)
    }

    /// [`Stepper::step_many`] with inputs and beginnings of choice.
    ///
    /// # Errors
    /// As [`Stepper::step_many`].
    pub fn take(
        &mut self,
        states: &mut States,
        steps: &Steps<'_>,
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let Steps { slots, rows, anew } = *steps;
        check_length("rows", rows.len(), slots.len())?;
        check_length("anew", anew.len(), slots.len())?;
        let last = rows.iter().max().map_or(0, |row| *row as usize + 1);
        check_length("x", x.len().min(last * self.inputs()), last * self.inputs())?;
        self.walk(states, slots, Some(rows), anew, x, out)
    }

    fn walk(
        &mut self,
        states: &mut States,
        slots: &[u32],
        rows: Option<&[u32]>,
        anew: &[bool],
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        check_length("a state", states.stride, self.stride)?;
        check_length("out", out.len(), slots.len() * outputs)?;
        let capacity = states.capacity();
        if let Some(slot) = slots.iter().find(|&&s| s as usize >= capacity) {
            return Err(Error::Config(format!("conversation {slot}, but there is room for {capacity}")));
        }
        let mut first = 0;
        self.prefetch(states, &slots[..distinct(slots)]);
        while first < slots.len() {
            let next = first + distinct(&slots[first..]);
            self.prefetch(states, &slots[next..next + distinct(&slots[next..])]);
            let fresh = anew.get(first..next).unwrap_or_default();
            for (slot, _) in slots[first..next].iter().zip(fresh).filter(|(_, fresh)| **fresh) {
                states.reset(*slot);
            }
            let x = match rows {
                Some(rows) => (x, Places::Slots { slots: &rows[first..next], stride: inputs, offset: 0 }),
                None => (&x[first * inputs..], Places::Rows(inputs)),
            };
            self.block_step(states, &slots[first..next], x, &mut out[first * outputs..]);
            first = next;
        }
        Ok(())
    }

    fn block_step(
        &mut self,
        states: &mut States,
        slots: &[u32],
        (x, x_at): (&[f32], Places<'_>),
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
                let (from_at, to_at) = (Places::Slots { slots, stride, offset }, Places::Rows(to_stride));
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
                let (from_at, to_at) = (Places::Rows(from_stride), Places::Slots { slots, stride, offset });
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

/// How many slots at the head are all different, at most a block.
fn distinct(slots: &[u32]) -> usize {
    let slots = &slots[..slots.len().min(BLOCK_ROWS)];
    (1..slots.len()).find(|&n| slots[..n].contains(&slots[n])).unwrap_or(slots.len())
}

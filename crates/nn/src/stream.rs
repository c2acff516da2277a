//! Many conversations, each a step at a time.

use crate::error::check_length;
use crate::forward::Block;
use crate::kernel::Prefetch;
use crate::simd::Aligned;
use crate::{Error, Network};

/// Conversations that step together; their states fill the registers and hide each other's way from memory.
const BLOCK_ROWS: usize = 24;

/// A network that walks over many conversations at once, one step of each whenever it comes.
///
/// The state of a conversation is h and c of every layer in f32: 512 bytes for one layer of 64 units, in one arena that
/// is made once. Stepping allocates nothing. The results are those of [`Network::predict_steps`] on the same steps.
pub struct StreamCell {
    network: Network,
    block: Block,
    arena: Aligned,
    /// f32 a conversation.
    stride: usize,
    capacity: usize,
    reverse: bool,
}

impl StreamCell {
    /// Room for `capacity` conversations, all at their beginning. The memory is touched when it is first used.
    pub fn new(network: &Network, capacity: usize) -> Result<StreamCell, Error> {
        let network = network.folded()?;
        let stride = network.layers.iter().map(|l| 2 * l.units).sum();
        Ok(StreamCell {
            block: Block::new(&network, BLOCK_ROWS),
            network,
            arena: Aligned::zeros(capacity * stride),
            stride,
            capacity,
            reverse: false,
        })
    }

    /// Conversations that there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of state a conversation.
    pub fn state_bytes(&self) -> usize {
        self.stride * size_of::<f32>()
    }

    /// Takes the conversation back to its beginning; for a slot that is used again. A slot that does not exist is left.
    pub fn reset(&mut self, slot: u32) {
        let at = slot as usize * self.stride;
        if (slot as usize) < self.capacity {
            self.arena[at..at + self.stride].fill(0.0);
        }
    }

    /// The state of a conversation: h and c of each layer, padded to whole cache lines.
    pub fn state(&self, slot: u32) -> Option<&[f32]> {
        let at = slot as usize * self.stride;
        self.arena.get(at..at + self.stride)
    }

    /// Says that these conversations will step soon: their states start on their way into the cache.
    pub fn prefetch(&self, slots: &[u32]) {
        for &slot in slots {
            if let Some(state) = self.state(slot) {
                self.network.simd.run(Prefetch(state));
            }
        }
    }

    /// One step of one conversation. `x`: inputs; `out`: the probabilities after it.
    pub fn step(&mut self, slot: u32, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        self.step_many(&[slot], x, out)
    }

    /// One step of each conversation, in order: a slot that comes twice takes two steps. 8 to 64 different ones at a time
    /// are fastest. `x`: slots x inputs; `out`: slots x outputs, the probabilities after each step.
    pub fn step_many(&mut self, slots: &[u32], x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let (inputs, outputs) = (self.network.spec.inputs, self.network.spec.outputs);
        check_length("x", x.len(), slots.len() * inputs)?;
        check_length("out", out.len(), slots.len() * outputs)?;
        if let Some(slot) = slots.iter().find(|&&s| s as usize >= self.capacity) {
            let capacity = self.capacity;
            return Err(Error::Config(format!("conversation {slot}, but there is room for {capacity}")));
        }
        let mut first = 0;
        self.prefetch(&slots[..distinct(slots)]);
        while first < slots.len() {
            let rows = distinct(&slots[first..]);
            let next = first + rows;
            self.prefetch(&slots[next..next + distinct(&slots[next..])]);
            self.block_step(&slots[first..next], &x[first * inputs..], &mut out[first * outputs..]);
            first = next;
        }
        Ok(())
    }

    fn block_step(&mut self, slots: &[u32], x: &[f32], out: &mut [f32]) {
        let StreamCell { network, block, arena, stride, reverse, .. } = self;
        let (inputs, outputs, rows) = (network.spec.inputs, network.spec.outputs, slots.len());
        for (r, &slot) in slots.iter().enumerate() {
            let mut state = &arena[slot as usize * *stride..][..*stride];
            for l in 0..network.layers.len() {
                let (h, c) = block.state_mut(network, l, r);
                let (from_h, rest) = state.split_at(h.len());
                let (from_c, rest) = rest.split_at(c.len());
                h.copy_from_slice(from_h);
                c.copy_from_slice(from_c);
                state = rest;
            }
        }
        block.step(network, rows, |r| &x[r * inputs..][..inputs], false, *reverse);
        *reverse = !*reverse;
        for (r, &slot) in slots.iter().enumerate() {
            let mut state = &mut arena[slot as usize * *stride..][..*stride];
            for l in 0..network.layers.len() {
                let (h, c) = block.state_mut(network, l, r);
                let (to_h, rest) = state.split_at_mut(h.len());
                let (to_c, rest) = rest.split_at_mut(c.len());
                to_h.copy_from_slice(h);
                to_c.copy_from_slice(c);
                state = rest;
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

//! Many conversations, each a step at a time.

#[cfg(target_arch = "x86_64")]
mod bf16;

use crate::error::check_length;
use crate::forward::Block;
use crate::kernel::{CopyRows, Places, Prefetch};
use crate::simd::Aligned;
use crate::{Error, Network};

/// Conversations that step together; their states fill the registers and hide each other's way from memory.
const BLOCK_ROWS: usize = 24;

/// How a stream computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Everything in f32: the results of the batch forward.
    #[default]
    F32,
    /// Weights, inputs and h rounded to bf16 (8 bits of mantissa) where they are multiplied; sums, c, activations and the
    /// head in f32. Needs AVX-512 BF16, and a network of one layer. 1.6 to 1.8 times as fast, three quarters of the state;
    /// probabilities differ by some 3e-4 on average, 6e-3 at worst (docs/adr/0013).
    Bf16,
}

/// A network that walks over many conversations at once, one step of each whenever it comes.
///
/// The state of a conversation is h and c of every layer in f32: 512 bytes for one layer of 64 units, in one arena that
/// is made once. Stepping allocates nothing. The results are those of [`Network::predict_steps`] on the same steps, unless
/// [`Precision::Bf16`] is asked for.
pub struct StreamCell {
    network: Network,
    block: Block,
    #[cfg(target_arch = "x86_64")]
    bf16: Option<bf16::Bf16>,
    arena: Aligned,
    /// f32 a conversation.
    stride: usize,
    capacity: usize,
    reverse: bool,
}

impl StreamCell {
    /// Room for `capacity` conversations, all at their beginning, in f32. The memory is touched when it is first used.
    pub fn new(network: &Network, capacity: usize) -> Result<StreamCell, Error> {
        StreamCell::with_precision(network, capacity, Precision::F32)
    }

    /// [`StreamCell::new`] in a precision of choice; an error where this CPU or this network does not allow it.
    pub fn with_precision(
        network: &Network,
        capacity: usize,
        precision: Precision,
    ) -> Result<StreamCell, Error> {
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
        Ok(StreamCell {
            block: Block::new(&network, BLOCK_ROWS),
            network,
            #[cfg(target_arch = "x86_64")]
            bf16,
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

    /// Numbers that it reads at a step.
    pub fn inputs(&self) -> usize {
        self.network.spec.inputs
    }

    /// Probabilities that it gives after a step.
    pub fn outputs(&self) -> usize {
        self.network.spec.outputs
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

    /// The state of a conversation: h and c of each layer, padded to whole cache lines (bf16: c, then h as words of two).
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

    /// What would be said after one more step of a conversation, which stays where it is.
    ///
    /// # Errors
    /// As [`StreamCell::step`].
    pub fn peek(&mut self, slot: u32, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let at = slot as usize * self.stride;
        let before = self.state(slot).map(<[f32]>::to_vec).unwrap_or_default();
        self.step(slot, x, out)?;
        if let Some(state) = self.arena.get_mut(at..at + self.stride) {
            state.copy_from_slice(&before);
        }
        Ok(())
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
        #[cfg(target_arch = "x86_64")]
        if let StreamCell { network, block, bf16: Some(bf16), arena, stride, .. } = self {
            let (outputs, rows, simd) = (network.spec.outputs, slots.len(), network.simd);
            bf16.load(simd, slots, *stride, arena, x);
            let (h, h_stride) = block.top_mut(network);
            bf16.step(rows, h, h_stride);
            bf16.store(simd, slots, *stride, arena);
            let columns = network.head.columns;
            let probabilities = block.top_head(network, rows).chunks_exact(columns);
            for (p, out) in probabilities.zip(out.chunks_exact_mut(outputs)) {
                out.copy_from_slice(&p[..outputs]);
            }
            return;
        }
        let StreamCell { network, block, arena, stride, reverse, .. } = self;
        let (inputs, outputs, rows) = (network.spec.inputs, network.spec.outputs, slots.len());
        let stride = *stride;
        let mut offset = 0;
        for (l, layer) in network.layers.iter().enumerate() {
            let (h, c) = block.state_mut(network, l);
            for (to, to_stride) in [(h, layer.depth()), (c, layer.units)] {
                let (from_at, to_at) = (Places::Slots { slots, stride, offset }, Places::Rows(to_stride));
                network.simd.run(CopyRows { rows, len: layer.units, from: arena, from_at, to, to_at });
                offset += layer.units;
            }
        }
        block.step(network, rows, (x, inputs), false, *reverse);
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

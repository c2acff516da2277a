//! The states of conversations, apart from what steps them.

use crate::simd::Aligned;

/// The states of many conversations, all at their beginning at first; a [`Stepper`](super::Stepper) of the same network
/// and precision makes them and steps them.
pub struct States {
    pub(super) arena: Aligned,
    /// f32 a conversation.
    pub(super) stride: usize,
    capacity: usize,
}

impl States {
    pub(super) fn new(stride: usize, capacity: usize) -> States {
        States { arena: Aligned::zeros(capacity * stride), stride, capacity }
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

    /// Takes over a conversation's state from `other`, of the same network and precision. A slot that does not exist is
    /// left.
    pub fn copy(&mut self, slot: u32, other: &States, other_slot: u32) {
        let at = slot as usize * self.stride;
        if let (Some(to), Some(from)) = (self.arena.get_mut(at..at + self.stride), other.state(other_slot))
            && to.len() == from.len()
        {
            to.copy_from_slice(from);
        }
    }

    /// The state of a conversation: h and c of each layer, padded to whole cache lines (bf16: c, then h as words of two).
    pub fn state(&self, slot: u32) -> Option<&[f32]> {
        let at = slot as usize * self.stride;
        self.arena.get(at..at + self.stride)
    }
}

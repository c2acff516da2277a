//! The states of conversations.

use crate::simd::Aligned;

/// The states of many conversations, initially zero; made and stepped by a [`Stepper`](super::Stepper) of the same network
/// and precision.
pub struct States {
    pub(super) arena: Aligned,
    /// f32 per conversation.
    pub(super) stride: usize,
    capacity: usize,
}

impl States {
    pub(super) fn new(stride: usize, capacity: usize) -> States {
        States { arena: Aligned::zeros(capacity * stride), stride, capacity }
    }

    /// Capacity in conversations.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of state per conversation.
    pub fn state_bytes(&self) -> usize {
        self.stride * size_of::<f32>()
    }

    /// Sets the state to zero, for a new conversation. Ignores a slot that does not exist.
    pub fn reset(&mut self, slot: u32) {
        let at = slot as usize * self.stride;
        if (slot as usize) < self.capacity {
            self.arena[at..at + self.stride].fill(0.0);
        }
    }

    /// Copies a conversation's state from `other`, of the same network and precision. Ignores slots that do not exist.
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

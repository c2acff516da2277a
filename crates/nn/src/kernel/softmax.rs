//! Logits to probabilities.

use crate::simd::{Op, PANEL, Vector};

/// Replaces each row's first `outputs` logits by their softmax, a single one by its sigmoid, and the padding by zero.
pub(crate) struct Softmax<'a> {
    pub(crate) rows: usize,
    pub(crate) outputs: usize,
    /// Outputs, padded.
    pub(crate) columns: usize,
    /// rows x columns.
    pub(crate) logits: &'a mut [f32],
}

impl Op for Softmax<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        assert!(self.columns.is_multiple_of(PANEL) && self.outputs <= self.columns && self.outputs > 0);
        for row in self.logits.chunks_exact_mut(self.columns).take(self.rows) {
            let max = if self.outputs == 1 {
                // exp(z) / (exp(z) + exp(0)): the sigmoid is a softmax whose second logit is zero.
                row[0].max(0.0)
            } else {
                row[..self.outputs].iter().copied().fold(f32::NEG_INFINITY, f32::max)
            };
            let mut at = 0;
            while at < self.outputs {
                // SAFETY: at + LANES <= columns, the row's length; the offset into the mask is at most 16.
                unsafe {
                    let mask = v.load(MASK.as_ptr().add(PANEL - (self.outputs - at).min(PANEL)));
                    let x = v.mul(v.sub(v.load(row.as_ptr().add(at)), v.splat(max)), mask);
                    v.store(row.as_mut_ptr().add(at), v.mul(v.exp(x), mask));
                }
                at += V::LANES;
            }
            let rest = if self.outputs == 1 { (-max).exp() } else { 0.0 };
            let share = v.splat(1.0 / (row[..self.outputs].iter().sum::<f32>() + rest));
            for at in (0..self.columns).step_by(V::LANES) {
                // SAFETY: at + LANES <= columns, the row's length.
                unsafe {
                    let p = if at < self.outputs { v.load(row.as_ptr().add(at)) } else { v.splat(0.0) };
                    v.store(row.as_mut_ptr().add(at), v.mul(p, share));
                }
            }
        }
    }
}

/// Ones for the outputs, zeros for the padding; the offset of a load selects how many of each.
static MASK: [f32; 2 * PANEL] = {
    let mut mask = [0.0; 2 * PANEL];
    let mut i = 0;
    while i < PANEL {
        mask[i] = 1.0;
        i += 1;
    }
    mask
};

//! Logits to probabilities.

use crate::simd::{Op, PANEL, Vector};

/// Replaces each row's first `outputs` logits by their softmax, or by the sigmoid where there is one; the padding
/// behind them by zero.
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
            let vectors = self.outputs.div_ceil(V::LANES) * V::LANES;
            for at in (0..vectors).step_by(V::LANES) {
                // SAFETY: at + LANES <= vectors <= columns, the row's length.
                unsafe {
                    let x = v.load(row.as_ptr().add(at));
                    v.store(row.as_mut_ptr().add(at), v.exp(v.sub(x, v.splat(max))));
                }
            }
            let rest = if self.outputs == 1 { (-max).exp() } else { 0.0 };
            let sum = row[..self.outputs].iter().sum::<f32>() + rest;
            row[..self.outputs].iter_mut().for_each(|p| *p /= sum);
            row[self.outputs..].fill(0.0);
        }
    }
}

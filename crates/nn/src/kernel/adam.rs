//! Adam (Kingma and Ba 2015, algorithm 1) over a run of parameters.

use crate::simd::{Op, PANEL, Vector};

pub(crate) const BETA1: f32 = 0.9;
pub(crate) const BETA2: f32 = 0.999;
/// Keras' default.
pub(crate) const EPSILON: f32 = 1e-7;

/// One update; all slices have the same length, a multiple of [`PANEL`].
pub(crate) struct AdamStep<'a> {
    pub(crate) weights: &'a [f32],
    pub(crate) out: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) m: &'a mut [f32],
    pub(crate) v: &'a mut [f32],
    /// learning rate / (1 - beta1^t)
    pub(crate) rate: f32,
    /// 1 / sqrt(1 - beta2^t)
    pub(crate) correction: f32,
}

impl Op for AdamStep<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let n = self.weights.len();
        assert!(
            n.is_multiple_of(PANEL) && self.gradient.len() == n && self.m.len() == n && self.v.len() == n
        );
        let (rate, correction, epsilon) = (v.splat(self.rate), v.splat(self.correction), v.splat(EPSILON));
        let (b1, b2) = (v.splat(1.0 - BETA1), v.splat(1.0 - BETA2));
        for at in (0..n).step_by(V::LANES) {
            // SAFETY: at + LANES <= n, the length of every slice.
            unsafe {
                let g = v.load(self.gradient.as_ptr().add(at));
                let m = v.load(self.m.as_ptr().add(at));
                let m = v.fma(b1, v.sub(g, m), m);
                let s = v.load(self.v.as_ptr().add(at));
                let s = v.fma(b2, v.sub(v.mul(g, g), s), s);
                let root = v.fma(v.sqrt(s), correction, epsilon);
                let w = v.load(self.weights.as_ptr().add(at));
                v.store(self.m.as_mut_ptr().add(at), m);
                v.store(self.v.as_mut_ptr().add(at), s);
                v.store(self.out.as_mut_ptr().add(at), v.fnma(rate, v.div(m, root), w));
            }
        }
    }
}

//! Adam's state (Kingma and Ba 2015, algorithm 1).

use crate::kernel::{AdamStep, BETA1, BETA2};
use crate::simd::{Aligned, Simd};

/// The gradient of some weights, with its first and second moments.
#[derive(Clone)]
pub(crate) struct Moments {
    pub(crate) gradient: Aligned,
    m: Aligned,
    v: Aligned,
}

impl Moments {
    pub(crate) fn new(len: usize) -> Moments {
        Moments { gradient: Aligned::zeros(len), m: Aligned::zeros(len), v: Aligned::zeros(len) }
    }

    /// Writes the updated `weights` to `out`.
    pub(crate) fn step(&mut self, simd: Simd, size: StepSize, weights: &[f32], out: &mut [f32]) {
        let Moments { gradient, m, v } = self;
        let StepSize { rate, correction } = size;
        simd.run(AdamStep { weights, out, gradient, m, v, rate, correction });
    }
}

/// The step size with Adam's bias correction, for step t.
#[derive(Clone, Copy)]
pub(crate) struct StepSize {
    /// learning rate / (1 - beta1^t)
    pub(crate) rate: f32,
    /// 1 / sqrt(1 - beta2^t)
    pub(crate) correction: f32,
}

impl StepSize {
    /// For step `t`, counted from 1.
    pub(crate) fn new(learning_rate: f32, t: i32) -> StepSize {
        let remaining = |beta: f32| 1.0 - f64::from(beta).powi(t);
        let rate = f64::from(learning_rate) / remaining(BETA1);
        StepSize { rate: rate as f32, correction: (1.0 / remaining(BETA2).sqrt()) as f32 }
    }
}

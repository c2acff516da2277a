//! Batch normalisation of a layer's outputs (Ioffe and Szegedy 2015), per unit over rows and steps, with the
//! parameters of Keras' `BatchNormalization`: epsilon 1e-3, momentum 0.99.

use crate::adam::{Moments, StepSize};
use crate::simd::{Aligned, Simd};

const EPSILON: f64 = 1e-3;
const MOMENTUM: f64 = 0.99;

/// Parameters and running statistics of a layer's normalisation, padded to the layer's units.
#[derive(Clone)]
pub(crate) struct Norm {
    pub(crate) hidden: usize,
    pub(crate) scale: Aligned,
    pub(crate) shift: Aligned,
    pub(crate) mean: Aligned,
    pub(crate) variance: Aligned,
}

impl Norm {
    pub(crate) fn pack(hidden: usize, tensors: &[Vec<f32>]) -> Norm {
        let pack = |i: usize| {
            let mut values = Aligned::zeros(crate::simd::padded(hidden));
            values[..hidden].copy_from_slice(&tensors[i]);
            values
        };
        Norm { hidden, scale: pack(0), shift: pack(1), mean: pack(2), variance: pack(3) }
    }

    pub(crate) fn unpack(&self) -> [Vec<f32>; 4] {
        [&self.scale, &self.shift, &self.mean, &self.variance].map(|v| v[..self.hidden].to_vec())
    }

    /// Factor and offset of each unit at inference: y = factor h + offset.
    pub(crate) fn folded(&self) -> Vec<(f32, f32)> {
        let fold = |u: usize| {
            let factor = f64::from(self.scale[u]) / (f64::from(self.variance[u]) + EPSILON).sqrt();
            (factor as f32, (f64::from(self.shift[u]) - f64::from(self.mean[u]) * factor) as f32)
        };
        (0..self.hidden).map(fold).collect()
    }
}

/// Sums over the positions of a chunk, added up over the batch in the order of the chunks.
#[derive(Clone, Default)]
pub(crate) struct Sums {
    pub(crate) count: usize,
    /// units each. Forward: sums of h and of h squared; backward: of the gradient and of gradient x normalised h.
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
}

impl Sums {
    pub(crate) fn new(units: usize) -> Sums {
        Sums { count: 0, first: vec![0.0; units], second: vec![0.0; units] }
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.first.fill(0.0);
        self.second.fill(0.0);
    }

    fn add(&mut self, other: &Sums) {
        self.count += other.count;
        self.first.iter_mut().zip(&other.first).for_each(|(a, b)| *a += b);
        self.second.iter_mut().zip(&other.second).for_each(|(a, b)| *a += b);
    }
}

/// Normalisation of a layer's outputs for one batch.
pub(crate) struct NormBatch {
    pub(crate) mean: Aligned,
    /// 1 / sqrt(variance + epsilon)
    pub(crate) inverse: Aligned,
    sums: Sums,
    /// Copy of the weights during their update.
    old: Aligned,
    /// Means over the batch of the gradient and of gradient x normalised h.
    pub(crate) d_shift: Aligned,
    pub(crate) d_scale: Aligned,
    pub(crate) scale_moments: Moments,
    pub(crate) shift_moments: Moments,
}

impl NormBatch {
    pub(crate) fn new(units: usize) -> NormBatch {
        let zeros = || Aligned::zeros(units);
        NormBatch {
            mean: zeros(),
            inverse: zeros(),
            sums: Sums::new(units),
            old: zeros(),
            d_shift: zeros(),
            d_scale: zeros(),
            scale_moments: Moments::new(units),
            shift_moments: Moments::new(units),
        }
    }

    /// Begins a batch; [`NormBatch::add_sums`] follows for each chunk, in order.
    pub(crate) fn clear_sums(&mut self) {
        self.sums.clear();
    }

    pub(crate) fn add_sums(&mut self, sums: &Sums) {
        self.sums.add(sums);
    }

    /// Computes the batch's mean and variance and updates the running ones.
    pub(crate) fn forward(&mut self, norm: Option<&mut Norm>) {
        let n = self.sums.count.max(1) as f64;
        let of_unit = |sums: &Sums, u: usize| {
            let mean = sums.first[u] / n;
            (mean, (sums.second[u] / n - mean * mean).max(0.0))
        };
        for u in 0..self.mean.len() {
            let (mean, variance) = of_unit(&self.sums, u);
            self.mean[u] = mean as f32;
            self.inverse[u] = (1.0 / (variance + EPSILON).sqrt()) as f32;
        }
        let Some(norm) = norm else { return };
        for u in 0..norm.hidden {
            let (mean, variance) = of_unit(&self.sums, u);
            let update =
                |old: &mut f32, new: f64| *old = (MOMENTUM * f64::from(*old) + (1.0 - MOMENTUM) * new) as f32;
            update(&mut norm.mean[u], mean);
            update(&mut norm.variance[u], variance);
        }
    }

    /// Computes the gradients of scale and shift, and the means for the gradient of the inputs.
    pub(crate) fn backward(&mut self) {
        let n = self.sums.count.max(1) as f64;
        for u in 0..self.mean.len() {
            self.shift_moments.gradient[u] = self.sums.first[u] as f32;
            self.scale_moments.gradient[u] = self.sums.second[u] as f32;
            self.d_shift[u] = (self.sums.first[u] / n) as f32;
            self.d_scale[u] = (self.sums.second[u] / n) as f32;
        }
    }

    /// Updates scale and shift by Adam.
    pub(crate) fn step(&mut self, simd: Simd, size: StepSize, norm: &mut Norm) {
        let NormBatch { scale_moments, shift_moments, old, .. } = self;
        for (moments, weights) in [(scale_moments, &mut norm.scale), (shift_moments, &mut norm.shift)] {
            old.copy_from_slice(weights);
            moments.step(simd, size, old, weights);
        }
    }
}

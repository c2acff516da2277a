//! Batch normalisation and dropout of a layer's outputs, in training.

use super::{Chunk, Pass};
use crate::batch_norm::Sums;
use crate::simd::Aligned;

/// A layer's outputs after normalisation and dropout, with what the backward pass needs.
pub(crate) struct NormDropout {
    /// Positions x units; empty if the network has neither.
    pub(crate) out: Aligned,
    /// Dropout mask, positions x units: 0 or 1 / (1 - dropout).
    mask: Aligned,
    /// This chunk's contribution to the batch's sums.
    pub(crate) sums: Sums,
}

impl NormDropout {
    pub(crate) fn new(positions: usize, units: usize, dropout: bool, norm: bool) -> NormDropout {
        let buffer = |wanted: bool| Aligned::zeros(if wanted { positions * units } else { 0 });
        NormDropout { out: buffer(dropout || norm), mask: buffer(dropout), sums: Sums::new(units) }
    }
}

/// SplitMix64, seeded for each position: masks do not depend on the number of threads.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Chunk {
    /// Step and row of position `at` of layer `l`'s outputs; `None` behind the end of its sequence.
    pub(crate) fn step_and_row(&self, pass: &Pass<'_>, l: usize, at: usize) -> Option<(usize, usize)> {
        let rows = self.rows.len();
        if self.is_last_only(pass, l) {
            return Some((self.lengths[at] as usize - 1, at));
        }
        let (t, r) = (at / rows, at % rows);
        (t < self.lengths[r] as usize).then_some((t, r))
    }

    /// Positions of layer `l`'s outputs that are used: the last step, or every step, of each row.
    pub(crate) fn positions(&self, pass: &Pass<'_>, l: usize) -> usize {
        self.rows.len() * if self.is_last_only(pass, l) { 1 } else { self.used_steps }
    }

    /// Sums layer `l`'s outputs for batch normalisation.
    pub(crate) fn sum_outputs(&mut self, pass: &Pass<'_>, l: usize) {
        let layer = &pass.network.layers[l];
        let (mut sums, rows) = (std::mem::take(&mut self.layers[l].norm_dropout.sums), self.rows.len());
        sums.clear();
        for at in 0..self.positions(pass, l) {
            let Some((t, r)) = self.step_and_row(pass, l, at) else { continue };
            let h = &self.layers[l].xh[((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs..];
            sums.count += 1;
            for ((h, first), second) in h.iter().zip(&mut sums.first).zip(&mut sums.second) {
                *first += f64::from(*h);
                *second += f64::from(*h) * f64::from(*h);
            }
        }
        self.layers[l].norm_dropout.sums = sums;
    }

    /// Normalises and drops out layer `l`'s outputs; does nothing in a network without either.
    pub(crate) fn norm_dropout_forward(&mut self, pass: &Pass<'_>, l: usize) {
        let (layer, dropout, rows) = (&pass.network.layers[l], pass.network.spec.dropout, self.rows.len());
        if self.layers[l].norm_dropout.out.is_empty() {
            return;
        }
        let (units, scale) = (layer.units, 1.0 / (1.0 - dropout));
        let limit = (f64::from(dropout) * 2f64.powi(32)) as u64;
        for at in 0..self.positions(pass, l) {
            let position = self.step_and_row(pass, l, at);
            let work = &mut self.layers[l];
            let out = &mut work.norm_dropout.out[at * units..(at + 1) * units];
            let Some((t, r)) = position else {
                out.fill(0.0);
                continue;
            };
            out.copy_from_slice(&work.xh[((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs..][..units]);
            if let (Some(norm), Some(batch)) = (pass.network.norms.get(l), pass.norms.get(l)) {
                for (u, y) in out.iter_mut().enumerate() {
                    *y = (*y - batch.mean[u]) * batch.inverse[u] * norm.scale[u] + norm.shift[u];
                }
            }
            if dropout > 0.0 {
                let counter = ((self.first_row + r) * self.steps + t) as u64;
                let mut random = SplitMix64(pass.dropout_seed ^ SplitMix64(counter * 64 + l as u64).next());
                let mask = &mut work.norm_dropout.mask[at * units..(at + 1) * units];
                for pair in mask.chunks_exact_mut(2) {
                    let bits = random.next();
                    pair[0] = if (bits & 0xffff_ffff) < limit { 0.0 } else { scale };
                    pair[1] = if (bits >> 32) < limit { 0.0 } else { scale };
                }
                out.iter_mut().zip(mask).for_each(|(y, m)| *y *= *m);
            }
        }
    }

    /// Gradient of layer `l`'s outputs, computed by the layer above.
    fn output_gradient(&mut self, l: usize) -> &mut [f32] {
        if l + 1 < self.layers.len() { &mut self.layers[l + 1].dx } else { &mut self.d_top }
    }

    /// Backward pass of dropout; also sums the gradient for [`Chunk::norm_backward`].
    pub(crate) fn dropout_backward(&mut self, pass: &Pass<'_>, l: usize) {
        if self.layers[l].norm_dropout.out.is_empty() {
            return;
        }
        let (layer, rows) = (&pass.network.layers[l], self.rows.len());
        let (units, n) = (layer.units, self.positions(pass, l));
        let mask = std::mem::replace(&mut self.layers[l].norm_dropout.mask, Aligned::empty());
        self.output_gradient(l).iter_mut().zip(&mask[..]).take(n * units).for_each(|(d, m)| *d *= *m);
        self.layers[l].norm_dropout.mask = mask;
        let Some(batch) = pass.norms.get(l) else { return };
        let mut sums = std::mem::take(&mut self.layers[l].norm_dropout.sums);
        sums.clear();
        for at in 0..n {
            let Some((t, r)) = self.step_and_row(pass, l, at) else { continue };
            sums.count += 1;
            let h = ((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs;
            for u in 0..units {
                let d = f64::from(self.output_gradient(l)[at * units + u]);
                sums.first[u] += d;
                sums.second[u] +=
                    d * f64::from((self.layers[l].xh[h + u] - batch.mean[u]) * batch.inverse[u]);
            }
        }
        self.layers[l].norm_dropout.sums = sums;
    }

    /// Backward pass of batch normalisation.
    pub(crate) fn norm_backward(&mut self, pass: &Pass<'_>, l: usize) {
        let (Some(norm), Some(batch)) = (pass.network.norms.get(l), pass.norms.get(l)) else { return };
        let (layer, rows) = (&pass.network.layers[l], self.rows.len());
        for at in 0..self.positions(pass, l) {
            let Some((t, r)) = self.step_and_row(pass, l, at) else { continue };
            let h = ((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs;
            for u in 0..layer.units {
                let y = (self.layers[l].xh[h + u] - batch.mean[u]) * batch.inverse[u];
                let d = &mut self.output_gradient(l)[at * layer.units + u];
                *d = norm.scale[u] * batch.inverse[u] * (*d - batch.d_shift[u] - y * batch.d_scale[u]);
            }
        }
    }
}

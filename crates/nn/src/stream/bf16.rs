//! Streaming with weights and h in bf16, c and sums in f32.

use crate::kernel::{CopyRows, RowLayout};
use crate::layer::Layer;
use crate::simd::avx512_bf16::{Avx512Bf16, CONVERTED, StepBf16};
use crate::simd::{Aligned, PANEL, Simd};

/// A layer's weights in bf16, and buffers for a block of rows.
pub(super) struct Bf16 {
    simd: Avx512Bf16,
    units: usize,
    inputs: usize,
    pairs: usize,
    panels: Vec<Aligned>,
    xh: Aligned,
    c: Aligned,
    h16: Aligned,
}

/// The nearest bf16, ties to even; NaN stays NaN.
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { 0x7fc0 } else { (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 }
}

/// Two bf16 in the bits of an f32, which is never used as a number.
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(round(low) | round(high) << 16)
}

impl Bf16 {
    /// `None` if this CPU has no bf16 products.
    pub(super) fn new(layer: &Layer, rows: usize) -> Option<Bf16> {
        let simd = Avx512Bf16::new()?;
        let [ih, hh, bias] = layer.unpack();
        let (hidden, inputs, units) = (layer.hidden, layer.inputs, layer.units);
        let first = inputs.next_multiple_of(2);
        let pairs = (first + units) / 2;
        let panels = (0..units / PANEL).map(|p| {
            let mut panel = Aligned::zeros((1 + pairs) * 4 * PANEL);
            for at in 0..4 * PANEL {
                let (gate, unit) = (at / PANEL, p * PANEL + at % PANEL);
                if unit >= hidden {
                    continue;
                }
                let row = gate * hidden + unit;
                let weight = |k: usize| match k {
                    k if k < inputs => ih[row * inputs + k],
                    k if (first..first + hidden).contains(&k) => hh[row * hidden + k - first],
                    _ => 0.0,
                };
                panel[at] = bias[row];
                for k in 0..pairs {
                    panel[(1 + k) * 4 * PANEL + at] = pair(weight(2 * k), weight(2 * k + 1));
                }
            }
            panel
        });
        let panels = panels.collect();
        let zeros = |n: usize| Aligned::zeros(rows * n);
        Some(Bf16 {
            simd,
            units,
            inputs,
            pairs,
            panels,
            xh: zeros(pairs),
            c: zeros(units),
            h16: zeros(units / 2),
        })
    }

    /// 32-bit words of state: c, then h in pairs.
    pub(super) fn stride(&self) -> usize {
        self.units + self.units / 2
    }

    /// Loads the rows' states and inputs.
    pub(super) fn load(
        &mut self,
        simd: Simd,
        slots: &[u32],
        stride: usize,
        arena: &[f32],
        (x, x_at): (&[f32], RowLayout<'_>),
    ) {
        let (rows, units, first) = (slots.len(), self.units, self.inputs.div_ceil(2));
        let layout = |offset| RowLayout::Slots { slots, stride, offset };
        let (from_at, to_at, to) = (layout(0), RowLayout::Strided(units), &mut *self.c);
        simd.run(CopyRows { rows, len: units, from: arena, from_at, to, to_at });
        let (from_at, to_at, to) = (layout(units), RowLayout::Strided(self.pairs), &mut self.xh[first..]);
        simd.run(CopyRows { rows, len: units / 2, from: arena, from_at, to, to_at });
        for (at, row) in (0..rows).zip(self.xh.chunks_exact_mut(self.pairs)) {
            let x = &x[x_at.of(at)..][..self.inputs];
            let whole = self.inputs - self.inputs % CONVERTED;
            self.simd.convert(&x[..whole], &mut row[..whole / 2]);
            for (to, x) in row[whole / 2..first].iter_mut().zip(x[whole..].chunks(2)) {
                *to = pair(x[0], x.get(1).copied().unwrap_or(0.0));
            }
        }
    }

    /// Stores the rows' states.
    pub(super) fn store(&self, simd: Simd, slots: &[u32], stride: usize, arena: &mut [f32]) {
        let (rows, units) = (slots.len(), self.units);
        let layout = |offset| RowLayout::Slots { slots, stride, offset };
        let (from_at, to_at, to) = (RowLayout::Strided(units), layout(0), &mut *arena);
        simd.run(CopyRows { rows, len: units, from: &self.c, from_at, to, to_at });
        let (from_at, to_at) = (RowLayout::Strided(units / 2), layout(units));
        simd.run(CopyRows { rows, len: units / 2, from: &self.h16, from_at, to: arena, to_at });
    }

    /// One step of the loaded rows; writes the new h to rows of `h_stride`.
    pub(super) fn step(&mut self, rows: usize, h: &mut [f32], h_stride: usize) {
        let Bf16 { simd, pairs, panels, xh, c, h16, .. } = self;
        simd.step(StepBf16 { panels, rows, pairs: *pairs, xh, c, h, h_stride, h16 });
    }
}

//! The weights' gradients: sums over all rows and steps of a batch, in one order.

use std::sync::RwLock;

use crate::chunk::Chunk;
use crate::kernel::{AdamStep, Outer, PANEL_ROW};
use crate::layer::{Head, Layer};
use crate::simd::{Aligned, Simd};
use crate::team::read;

/// Adam's memory of a run of weights, and their gradient.
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

    pub(crate) fn step(&mut self, simd: Simd, rate: Rate, weights: &[f32], out: &mut [f32]) {
        let Moments { gradient, m, v } = self;
        let Rate { rate, correction } = rate;
        simd.run(AdamStep { weights, out, gradient, m, v, rate, correction });
    }
}

/// Adam's step size with its bias correction.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    /// learning rate / (1 - beta1^t)
    pub(crate) rate: f32,
    /// 1 / sqrt(1 - beta2^t)
    pub(crate) correction: f32,
}

/// The gradient of panel `p` of layer `l`, summed over the chunks.
pub(crate) fn of_panel(
    simd: Simd,
    chunks: &[RwLock<Chunk>],
    l: usize,
    p: usize,
    layer: &Layer,
    moments: &mut Moments,
) {
    moments.gradient.fill(0.0);
    let a_stride = layer.depth();
    for chunk in chunks {
        let chunk = read(chunk);
        let (n, rows) = (chunk.rows.len(), chunk.rows.len() * chunk.used);
        let work = &chunk.layers[l];
        // Before the first step h is zero: its rows add nothing to the recurrent weights.
        for (first, rows, depth) in [(0, n, 1 + layer.inputs), (n, rows - n, a_stride)] {
            simd.run(Outer {
                rows,
                depth,
                columns: PANEL_ROW,
                a: &work.xh[first * a_stride..],
                a_stride,
                d: &work.gates[(p * chunk.steps * n + first) * PANEL_ROW..],
                d_stride: PANEL_ROW,
                out: &mut moments.gradient,
            });
        }
    }
}

/// The head's gradient, summed over the chunks.
pub(crate) fn of_head(simd: Simd, chunks: &[RwLock<Chunk>], head: &Head, moments: &mut Moments) {
    moments.gradient.fill(0.0);
    for chunk in chunks {
        let chunk = read(chunk);
        simd.run(Outer {
            rows: chunk.head_rows(),
            depth: 1 + head.units,
            columns: head.columns,
            a: &chunk.top,
            a_stride: 1 + head.units,
            d: &chunk.logits,
            d_stride: head.columns,
            out: &mut moments.gradient,
        });
    }
}

//! Gradients of the weights: sums over all rows and steps of a batch, chunk by chunk in order.

use std::sync::RwLock;

use crate::adam::Moments;
use crate::chunk::Chunk;
use crate::kernel::{Outer, PANEL_ROW};
use crate::layer::{Head, Layer};
use crate::lock::read;
use crate::simd::Simd;

/// The gradient of panel `p` of layer `l`, summed over the chunks.
pub(crate) fn panel_gradient(
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
        let (n, rows) = (chunk.rows.len(), chunk.rows.len() * chunk.used_steps);
        let work = &chunk.layers[l];
        // h is zero before the first step, so its rows do not contribute to the recurrent weights.
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
pub(crate) fn head_gradient(simd: Simd, chunks: &[RwLock<Chunk>], head: &Head, moments: &mut Moments) {
    moments.gradient.fill(0.0);
    for chunk in chunks {
        let chunk = read(chunk);
        simd.run(Outer {
            rows: chunk.head_positions(),
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

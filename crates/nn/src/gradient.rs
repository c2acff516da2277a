//! The weights' gradients and Adam. Work is shared out by weights, not by rows: each panel's gradient is summed over
//! the whole batch in one order by one thread, so the result has the same bits for any number of threads.

use crate::Network;
use crate::chunk::Chunk;
use crate::kernel::{AdamStep, Outer, PANEL_ROW};
use crate::layer::{Head, Layer, Panel};
use crate::norm::NormBatch;
use crate::simd::{Aligned, Simd};

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

    pub(crate) fn step(&mut self, simd: Simd, rate: Rate, weights: &mut [f32]) {
        let Moments { gradient, m, v } = self;
        let Rate { rate, correction } = rate;
        simd.run(AdamStep { weights, gradient, m, v, rate, correction });
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
    chunks: &[Chunk],
    (l, inputs, units): (usize, usize, usize),
    p: usize,
    moments: &mut Moments,
) {
    moments.gradient.fill(0.0);
    let a_stride = 1 + inputs + units;
    for chunk in chunks {
        let (n, rows) = (chunk.rows.len(), chunk.rows.len() * chunk.used);
        let work = &chunk.layers[l];
        // Before the first step h is zero: its rows add nothing to the recurrent weights.
        for (first, rows, depth) in [(0, n, 1 + inputs), (n, rows - n, a_stride)] {
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

/// Gradient and Adam for one panel.
pub(crate) fn step_panel(
    simd: Simd,
    chunks: &[Chunk],
    layer: (usize, usize, usize),
    (p, panel): (usize, &mut Panel),
    moments: &mut Moments,
    rate: Rate,
) {
    let (_, inputs, units) = layer;
    of_panel(simd, chunks, layer, p, moments);
    moments.step(simd, rate, panel.weights_mut());
    panel.transpose(inputs, units);
}

/// The head's gradient, summed over the chunks.
pub(crate) fn of_head(simd: Simd, chunks: &[Chunk], head: &Head, moments: &mut Moments) {
    moments.gradient.fill(0.0);
    for chunk in chunks {
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

/// Gradient and Adam for the head.
pub(crate) fn step_head(simd: Simd, chunks: &[Chunk], head: &mut Head, moments: &mut Moments, rate: Rate) {
    of_head(simd, chunks, head, moments);
    moments.step(simd, rate, &mut head.weights);
    head.transpose();
}

/// Adam's memory of a whole network.
pub(crate) struct Memory {
    pub(crate) layers: Vec<Vec<Moments>>,
    pub(crate) head: Moments,
    /// One a layer, where the network normalises.
    pub(crate) norms: Vec<NormBatch>,
}

impl Memory {
    pub(crate) fn new(network: &Network) -> Memory {
        let of =
            |layer: &Layer| layer.panels.iter().map(|_| Moments::new(layer.depth() * PANEL_ROW)).collect();
        Memory {
            layers: network.layers.iter().map(of).collect(),
            head: Moments::new(network.head.weights.len()),
            norms: network.layers.iter().zip(&network.norms).map(|(l, _)| NormBatch::new(l.units)).collect(),
        }
    }
}

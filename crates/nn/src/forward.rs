//! The forward pass without memory of its steps: verdicts only.

use crate::Network;
use crate::kernel::{Matmul, Step};
use crate::loss::probabilities;
use crate::simd::Aligned;

/// Buffers for a block of rows, used again for each block.
pub(crate) struct Forward<'a> {
    network: &'a Network,
    rows: usize,
    layers: Vec<Buffers>,
    /// rows x (1 + units): the head's input.
    top: Aligned,
    /// rows x columns.
    logits: Aligned,
}

struct Buffers {
    /// [1, x, h] of this step and, of the next, h.
    xh: [Aligned; 2],
    c: [Aligned; 2],
}

impl<'a> Forward<'a> {
    pub(crate) fn new(network: &'a Network, rows: usize) -> Forward<'a> {
        let layers = network.layers.iter().map(|layer| {
            let xh = || Aligned::zeros(rows * layer.depth());
            let c = || Aligned::zeros(rows * layer.units);
            Buffers { xh: [xh(), xh()], c: [c(), c()] }
        });
        let (units, columns) = (network.head.units, network.head.columns);
        let mut top = Aligned::zeros(rows * (1 + units));
        top.chunks_exact_mut(1 + units).for_each(|row| row[0] = 1.0);
        let layers = layers.collect();
        Forward { network, rows, layers, top, logits: Aligned::zeros(rows * columns) }
    }

    /// x: n x steps x inputs; out: n x outputs, or n x steps x outputs.
    pub(crate) fn run(&mut self, x: &[f32], steps: usize, every: bool, out: &mut [f32]) {
        let (row, outputs) = (steps * self.network.spec.inputs, self.network.spec.outputs);
        let out_row = outputs * if every { steps } else { 1 };
        for (x, out) in x.chunks(self.rows * row).zip(out.chunks_mut(self.rows * out_row)) {
            let rows = x.len() / row;
            for buffers in &mut self.layers {
                buffers.xh.iter_mut().for_each(|b| b.fill(0.0));
                buffers.c.iter_mut().for_each(|b| b.fill(0.0));
            }
            for t in 0..steps {
                self.step(x, rows, steps, t);
                if every || t + 1 == steps {
                    self.head(rows, out, out_row, if every { t * outputs } else { 0 });
                }
            }
        }
    }

    fn step(&mut self, x: &[f32], rows: usize, steps: usize, t: usize) {
        let (now, next) = (t % 2, (t + 1) % 2);
        for l in 0..self.layers.len() {
            let (below, here) = self.layers.split_at_mut(l);
            let (layer, buffers) = (&self.network.layers[l], &mut here[0]);
            let (depth, n) = (layer.depth(), layer.inputs);
            let below = below.last().map(|b| (&b.xh[next], &self.network.layers[l - 1]));
            for (r, row) in buffers.xh[now].chunks_exact_mut(depth).take(rows).enumerate() {
                row[0] = 1.0;
                row[1..1 + n].copy_from_slice(match below {
                    None => &x[(r * steps + t) * n..][..n],
                    Some((xh, layer)) => &xh[r * layer.depth() + 1 + layer.inputs..][..n],
                });
            }
            let (first, second) = buffers.xh.split_at_mut(1);
            let (xh, out) = if now == 0 { (&first[0], &mut second[0]) } else { (&second[0], &mut first[0]) };
            let (first, second) = buffers.c.split_at_mut(1);
            let (c, c_out) = if now == 0 { (&first[0], &mut second[0]) } else { (&second[0], &mut first[0]) };
            self.network.simd.run(Step {
                panels: &layer.panels,
                rows,
                depth,
                xh,
                c,
                c_out,
                h_out: &mut out[1 + n..],
                h_stride: depth,
                saved: None,
            });
        }
        if let (Some(buffers), Some(layer)) = (self.layers.last(), self.network.layers.last()) {
            let from = buffers.xh[next].chunks_exact(layer.depth());
            for (top, row) in self.top.chunks_exact_mut(1 + layer.units).zip(from) {
                top[1..].copy_from_slice(&row[1 + layer.inputs..]);
            }
        }
    }

    fn head(&mut self, rows: usize, out: &mut [f32], out_row: usize, at: usize) {
        let head = &self.network.head;
        self.network.simd.run(Matmul {
            rows,
            depth: 1 + head.units,
            columns: head.columns,
            a: &self.top,
            a_stride: 1 + head.units,
            b: &head.weights,
            b_stride: head.columns,
            out: &mut self.logits,
            out_stride: head.columns,
            add: false,
        });
        for (logits, out) in self.logits.chunks_exact(head.columns).zip(out.chunks_exact_mut(out_row)) {
            probabilities(&logits[..head.outputs], &mut out[at..at + head.outputs]);
        }
    }
}

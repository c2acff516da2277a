//! A few rows of a batch, forward and backward through the whole network: the part of a training step that rows do
//! not share. The weights' gradients come afterwards ([`crate::gradient`]), from what stays here.

use crate::forward::logits;
use crate::kernel::{CellBackward, Matmul, PANEL_ROW, Saved, Softmax, Step};
use crate::layer::Layer;
use crate::loss::{loss_of, to_gradient, verdict};
use crate::simd::{Aligned, PANEL, Simd};
use crate::{LossAt, Network};

/// What a training step reads: all rows of the epoch.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    /// rows x steps x inputs.
    pub(crate) x: &'a [f32],
    /// A class a row.
    pub(crate) y: &'a [u32],
    pub(crate) steps: usize,
    pub(crate) class_weights: Option<&'a [f32]>,
}

/// One layer's memory of its steps, for `rows` rows; row-major, the step outermost.
pub(crate) struct LayerWork {
    /// (steps + 1) x rows x depth: [1, x, h] of each step; the last holds the final h.
    pub(crate) xh: Aligned,
    /// panels x steps x rows x 64: gates, then their gradients.
    pub(crate) gates: Aligned,
    /// (steps + 1) x rows x units; the first is the initial state, zero.
    c: Aligned,
    /// steps x rows x units.
    tanh_c: Aligned,
    /// rows x units.
    dh: Aligned,
    dc: Aligned,
    /// steps x rows x inputs (padded), where the layer below wants it.
    dx: Aligned,
}

/// A block of rows with the memory of their steps.
pub(crate) struct Chunk {
    /// Rows in use; their positions in the data.
    pub(crate) rows: Vec<u32>,
    pub(crate) steps: usize,
    pub(crate) layers: Vec<LayerWork>,
    /// Positions x (1 + units), a position being a row (loss at the last step) or a step's row: the head's input.
    pub(crate) top: Aligned,
    /// Positions x columns: logits, then their gradients.
    pub(crate) logits: Aligned,
    /// Positions x units.
    d_top: Aligned,
    pub(crate) losses: Vec<f32>,
    pub(crate) verdicts: Vec<u32>,
}

impl Chunk {
    /// Room for `rows` rows of `steps` steps.
    pub(crate) fn new(network: &Network, rows: usize, steps: usize) -> Chunk {
        let layers = network.layers.iter().enumerate().map(|(l, layer)| {
            let zeros = |per_row: usize| Aligned::zeros(rows * per_row);
            LayerWork {
                xh: zeros((steps + 1) * layer.depth()),
                gates: zeros(steps * 4 * layer.units),
                c: zeros((steps + 1) * layer.units),
                tanh_c: zeros(steps * layer.units),
                dh: zeros(layer.units),
                dc: zeros(layer.units),
                dx: zeros(if l > 0 { steps * network.layers[l - 1].units } else { 0 }),
            }
        });
        let head = &network.head;
        let positions = rows * if network.spec.loss_at == LossAt::EveryStep { steps } else { 1 };
        Chunk {
            rows: Vec::with_capacity(rows),
            steps,
            layers: layers.collect(),
            top: Aligned::zeros(positions * (1 + head.units)),
            logits: Aligned::zeros(positions * head.columns),
            d_top: Aligned::zeros(positions * head.units),
            losses: Vec::with_capacity(positions),
            verdicts: Vec::with_capacity(rows),
        }
    }

    /// Forward, loss, backward. `batch` is the number of rows over which the loss is averaged.
    pub(crate) fn run(&mut self, network: &Network, data: Data<'_>, batch: usize) {
        if self.rows.is_empty() {
            self.losses.clear();
            self.verdicts.clear();
            return;
        }
        for l in 0..self.layers.len() {
            self.load(network, data, l);
            self.forward(network.simd, &network.layers[l], l);
        }
        self.head(network, data, batch);
        for l in (0..self.layers.len()).rev() {
            self.backward(network, l);
        }
    }

    /// The layer's inputs: the data, gathered step by step, or what the layer below says.
    fn load(&mut self, network: &Network, data: Data<'_>, l: usize) {
        let (layer, rows, steps) = (&network.layers[l], self.rows.len(), self.steps);
        let (below, here) = self.layers.split_at_mut(l);
        let work = &mut here[0];
        let (depth, n) = (layer.depth(), layer.inputs);
        for (at, target) in work.xh.chunks_exact_mut(depth).take(rows * (steps + 1)).enumerate() {
            let (t, r) = (at / rows, at % rows);
            target[0] = 1.0;
            if t < steps {
                target[1..1 + n].copy_from_slice(match below.last() {
                    None => &data.x[(self.rows[r] as usize * steps + t) * n..][..n],
                    Some(work) => {
                        let layer = &network.layers[l - 1];
                        &work.xh[((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs..][..n]
                    }
                });
            }
            if t == 0 {
                target[1 + n..].fill(0.0);
            }
        }
    }

    fn forward(&mut self, simd: Simd, layer: &Layer, l: usize) {
        let (rows, steps, work) = (self.rows.len(), self.steps, &mut self.layers[l]);
        let (depth, units) = (layer.depth(), layer.units);
        work.c[..rows * units].fill(0.0);
        for t in 0..steps {
            let (xh, next) = work.xh.split_at_mut((t + 1) * rows * depth);
            let (c, c_out) = work.c.split_at_mut((t + 1) * rows * units);
            simd.run(Step {
                panels: &layer.panels,
                rows,
                depth: if t == 0 { 1 + layer.inputs } else { depth },
                xh: &xh[t * rows * depth..],
                stride: depth,
                reverse: t % 2 == 1,
                c: &c[t * rows * units..],
                c_out,
                h_out: &mut next[1 + layer.inputs..],
                h_stride: depth,
                saved: Some(Saved {
                    gates: &mut work.gates[t * rows * PANEL_ROW..],
                    stride: steps * rows * PANEL_ROW,
                    tanh_c: &mut work.tanh_c[t * rows * units..],
                }),
            });
        }
    }

    fn head(&mut self, network: &Network, data: Data<'_>, batch: usize) {
        let (head, rows, steps) = (&network.head, self.rows.len(), self.steps);
        let (Some(work), Some(layer)) = (self.layers.last(), network.layers.last()) else { return };
        let every = network.spec.loss_at == LossAt::EveryStep;
        let (first, positions) = if every { (1, rows * steps) } else { (steps, rows) };
        let from = work.xh.chunks_exact(layer.depth()).skip(first * rows);
        for (top, row) in self.top.chunks_exact_mut(1 + head.units).take(positions).zip(from) {
            top[0] = 1.0;
            top[1..].copy_from_slice(&row[1 + layer.inputs..]);
        }
        network.simd.run(logits(head, positions, &self.top, &mut self.logits));
        let (outputs, columns) = (head.outputs, head.columns);
        network.simd.run(Softmax { rows: positions, outputs, columns, logits: &mut self.logits });
        self.losses.clear();
        self.verdicts.clear();
        for (at, logits) in self.logits.chunks_exact_mut(head.columns).take(positions).enumerate() {
            let class = data.y[self.rows[at % rows] as usize];
            let class_weight = data.class_weights.map_or(1.0, |w| w[class as usize]);
            let share = if every { steps } else { 1 };
            let weight = class_weight / (batch * share) as f32;
            let probabilities = &mut logits[..outputs];
            self.losses.push(loss_of(probabilities, class) * class_weight / share as f32);
            if at >= positions - rows {
                self.verdicts.push(verdict(probabilities));
            }
            to_gradient(probabilities, class, weight);
        }
        network.simd.run(Matmul {
            rows: positions,
            depth: head.outputs,
            columns: head.units,
            a: &self.logits,
            a_stride: head.columns,
            b: &head.transposed,
            b_stride: head.units,
            out: &mut self.d_top,
            out_stride: head.units,
            add: false,
        });
    }

    /// Gates become their gradients; the layer below gets its outputs' gradient.
    fn backward(&mut self, network: &Network, l: usize) {
        let (layer, rows, steps) = (&network.layers[l], self.rows.len(), self.steps);
        let (units, columns) =
            (layer.units, layer.units + if l > 0 { network.layers[l - 1].units } else { 0 });
        let (work, above) = self.layers[l..].split_at_mut(1);
        let (work, last_only) = (&mut work[0], above.is_empty() && network.spec.loss_at == LossAt::LastStep);
        let from_above: &[f32] = above.first().map_or(&self.d_top, |a| &a.dx);
        let n = rows * units;
        work.dc[..n].fill(0.0);
        let last = if last_only { 0 } else { (steps - 1) * n };
        work.dh[..n].copy_from_slice(&from_above[last..last + n]);
        for t in (0..steps).rev() {
            network.simd.run(CellBackward {
                rows,
                hidden: units,
                gates: &mut work.gates[t * rows * PANEL_ROW..],
                stride: steps * rows * PANEL_ROW,
                tanh_c: &work.tanh_c[t * n..],
                c_prev: &work.c[t * n..],
                dh: &work.dh,
                dc: &mut work.dc,
            });
            if t > 0 && !last_only {
                work.dh[..n].copy_from_slice(&from_above[(t - 1) * n..t * n]);
            }
            for (p, panel) in layer.panels.iter().enumerate() {
                let product = Matmul {
                    rows,
                    depth: PANEL_ROW,
                    columns: units,
                    a: &work.gates[(p * steps + t) * rows * PANEL_ROW..],
                    a_stride: PANEL_ROW,
                    b: panel.transposed(),
                    b_stride: columns,
                    out: &mut work.dh,
                    out_stride: units,
                    add: p > 0 || !last_only,
                };
                let (a, b) = (product.a, product.b);
                if t > 0 {
                    network.simd.run(product);
                }
                if columns > units {
                    let out = &mut work.dx[t * rows * (columns - units)..];
                    let b = &b[units..];
                    let (out_stride, columns) = (columns - units, columns - units);
                    let (depth, a_stride, b_stride) = (PANEL_ROW, PANEL_ROW, columns + units);
                    let add = p > 0;
                    network.simd.run(Matmul {
                        rows,
                        depth,
                        columns,
                        a,
                        a_stride,
                        b,
                        b_stride,
                        out,
                        out_stride,
                        add,
                    });
                }
            }
        }
        debug_assert_eq!(layer.panels.len() * PANEL, units);
    }
}

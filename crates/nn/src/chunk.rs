//! Forward and backward pass of a few rows through the whole network (backpropagation through time).
//!
//! In: rows of a batch. Out: losses, predictions, and the activations and gradients from which `weight_gradient` computes
//! the gradients of the weights.

mod norm_dropout;

use self::norm_dropout::NormDropout;
use crate::batch_norm::NormBatch;
use crate::inference::logits;
use crate::kernel::{CellBackward, Matmul, PANEL_ROW, Saved, Softmax, Step};
use crate::loss::{loss_of, predicted_class, to_gradient};
use crate::simd::{Aligned, padded};
use crate::{LossAt, Network, Sequences};

/// Shared input of all chunks of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) network: &'a Network,
    pub(crate) data: Sequences<'a>,
    pub(crate) class_weights: Option<&'a [f32]>,
    /// Rows over which the loss is averaged.
    pub(crate) batch: usize,
    /// One per layer if the network has batch normalisation, else empty.
    pub(crate) norms: &'a [NormBatch],
    pub(crate) dropout_seed: u64,
}

/// Activations and gradients of a layer; row-major, steps outermost.
pub(crate) struct LayerBuffers {
    /// (steps + 1) x rows x depth: [1, x, h] of each step; the last holds the final h.
    pub(crate) xh: Aligned,
    /// panels x steps x rows x 64: gates; after the backward pass their gradients.
    pub(crate) gates: Aligned,
    /// (steps + 1) x rows x units; the first is the initial state, zero.
    c: Aligned,
    /// steps x rows x units.
    tanh_c: Aligned,
    /// rows x units.
    dh: Aligned,
    dc: Aligned,
    /// steps x rows x inputs (padded); empty if the gradient of the inputs is not needed.
    pub(crate) dx: Aligned,
    pub(crate) norm_dropout: NormDropout,
}

/// A block of rows with its activations and gradients.
pub(crate) struct Chunk {
    /// Indices of the rows in the data.
    pub(crate) rows: Vec<u32>,
    /// Steps of each row.
    pub(crate) lengths: Vec<u32>,
    /// Index of the first row in the batch.
    pub(crate) first_row: usize,
    /// Steps of the padded data.
    pub(crate) steps: usize,
    /// Steps of the longest row.
    pub(crate) used_steps: usize,
    pub(crate) layers: Vec<LayerBuffers>,
    /// Input of the head: positions x (1 + units). A position is a row (loss at the last step) or a row's step.
    pub(crate) top: Aligned,
    /// Positions x columns: logits, then their gradients.
    pub(crate) logits: Aligned,
    /// Gradient of the head's input: positions x units.
    pub(crate) d_top: Aligned,
    /// One per row.
    pub(crate) losses: Vec<f32>,
    pub(crate) predictions: Vec<u32>,
    /// Positions that went through the head.
    head_positions: usize,
}

impl Chunk {
    /// Buffers for `rows` rows of `steps` steps.
    pub(crate) fn new(network: &Network, rows: usize, steps: usize) -> Chunk {
        let (spec, head) = (&network.spec, &network.head);
        let every = if spec.loss_at == LossAt::EveryStep { steps } else { 1 };
        let layers = network.layers.iter().enumerate().map(|(l, layer)| {
            let zeros = |per_row: usize| Aligned::zeros(rows * per_row);
            let positions = rows * if l + 1 < network.layers.len() { steps } else { every };
            LayerBuffers {
                xh: zeros((steps + 1) * layer.depth()),
                gates: zeros(steps * 4 * layer.units),
                c: zeros((steps + 1) * layer.units),
                tanh_c: zeros(steps * layer.units),
                dh: zeros(layer.units),
                dc: zeros(layer.units),
                dx: zeros(steps * layer.input_gradient()),
                norm_dropout: NormDropout::new(positions, layer.units, spec.dropout > 0.0, spec.batch_norm),
            }
        });
        Chunk {
            rows: Vec::with_capacity(rows),
            lengths: Vec::with_capacity(rows),
            first_row: 0,
            steps,
            used_steps: steps,
            layers: layers.collect(),
            top: Aligned::zeros(rows * every * (1 + head.units)),
            logits: Aligned::zeros(rows * every * head.columns),
            d_top: Aligned::zeros(rows * every * head.units),
            losses: Vec::with_capacity(rows),
            predictions: Vec::with_capacity(rows),
            head_positions: 0,
        }
    }

    /// Sets the rows to process.
    pub(crate) fn load_rows(&mut self, rows: &[u32], first_row: usize, data: &Sequences<'_>) {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.lengths.clear();
        let length = |row: &u32| data.lengths.map_or(self.steps as u32, |l| l[*row as usize]);
        self.lengths.extend(rows.iter().map(length));
        self.used_steps = self.lengths.iter().copied().max().unwrap_or(0) as usize;
        self.first_row = first_row;
        self.losses.clear();
        self.predictions.clear();
        self.head_positions = 0;
    }

    pub(crate) fn head_positions(&self) -> usize {
        self.head_positions
    }

    /// Whether only the last step of layer `l` is used by the layer above.
    pub(crate) fn is_last_only(&self, pass: &Pass<'_>, l: usize) -> bool {
        l + 1 == self.layers.len() && pass.network.spec.loss_at == LossAt::LastStep
    }

    /// Forward pass, loss and backward pass of a network without batch normalisation.
    pub(crate) fn forward_backward(&mut self, pass: &Pass<'_>) {
        for l in 0..self.layers.len() {
            self.forward_layer(pass, l);
        }
        self.head_and_loss(pass);
        for l in (0..self.layers.len()).rev() {
            self.dropout_backward(pass, l);
            self.backward_layer(pass, l);
        }
    }

    /// Forward pass of layer `l`.
    pub(crate) fn forward_layer(&mut self, pass: &Pass<'_>, l: usize) {
        if self.rows.is_empty() {
            return;
        }
        if l > 0 {
            self.norm_dropout_forward(pass, l - 1);
        }
        self.load_inputs(pass, l);
        let (layer, rows, steps) = (&pass.network.layers[l], self.rows.len(), self.steps);
        let (depth, units, work) = (layer.depth(), layer.units, &mut self.layers[l]);
        work.c[..rows * units].fill(0.0);
        for t in 0..self.used_steps {
            let (xh, next) = work.xh.split_at_mut((t + 1) * rows * depth);
            let (c, c_out) = work.c.split_at_mut((t + 1) * rows * units);
            pass.network.simd.run(Step {
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

    /// Copies the layer's inputs into [1, x, h]: the data, or the outputs of the layer below.
    fn load_inputs(&mut self, pass: &Pass<'_>, l: usize) {
        let (layer, rows, steps) = (&pass.network.layers[l], self.rows.len(), self.steps);
        let (below, here) = self.layers.split_at_mut(l);
        let (depth, n) = (layer.depth(), layer.inputs);
        let targets = here[0].xh.chunks_exact_mut(depth).take(rows * self.used_steps);
        for (at, target) in targets.enumerate() {
            let (t, r) = (at / rows, at % rows);
            target[0] = 1.0;
            target[1..1 + n].copy_from_slice(match below.last() {
                None => &pass.data.x[(self.rows[r] as usize * steps + t) * n..][..n],
                Some(work) => {
                    let layer = &pass.network.layers[l - 1];
                    if work.norm_dropout.out.is_empty() {
                        &work.xh[((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs..][..n]
                    } else {
                        &work.norm_dropout.out[at * layer.units..][..n]
                    }
                }
            });
            if t == 0 {
                target[1 + n..].fill(0.0);
            }
        }
    }

    /// The head forward, the loss, and the gradient of the head's input.
    pub(crate) fn head_and_loss(&mut self, pass: &Pass<'_>) {
        if self.rows.is_empty() {
            return;
        }
        self.head_forward(pass);
        self.compute_loss(pass);
        self.head_backward(pass);
    }

    /// Computes the logits.
    pub(crate) fn head_forward(&mut self, pass: &Pass<'_>) {
        let l = self.layers.len() - 1;
        self.norm_dropout_forward(pass, l);
        let (head, layer, rows) = (&pass.network.head, &pass.network.layers[l], self.rows.len());
        let (simd, positions) = (pass.network.simd, self.positions(pass, l));
        self.head_positions = positions;
        for at in 0..positions {
            let position = self.step_and_row(pass, l, at);
            let (top, work) = (&mut self.top[at * (1 + head.units)..][..1 + head.units], &self.layers[l]);
            top[0] = 1.0;
            match position {
                None => top[1..].fill(0.0),
                Some((t, r)) if work.norm_dropout.out.is_empty() => {
                    let h = ((t + 1) * rows + r) * layer.depth() + 1 + layer.inputs;
                    top[1..].copy_from_slice(&work.xh[h..h + head.units]);
                }
                Some(_) => top[1..].copy_from_slice(&work.norm_dropout.out[at * head.units..][..head.units]),
            }
        }
        simd.run(logits(head, positions, &self.top, &mut self.logits));
    }

    /// Computes losses and predictions, and replaces the logits by their gradients.
    fn compute_loss(&mut self, pass: &Pass<'_>) {
        let (l, rows) = (self.layers.len() - 1, self.rows.len());
        let (head, simd, positions) = (&pass.network.head, pass.network.simd, self.head_positions);
        let (outputs, columns) = (head.outputs, head.columns);
        simd.run(Softmax { rows: positions, outputs, columns, logits: &mut self.logits });
        self.losses.resize(rows, 0.0);
        self.predictions.resize(rows, 0);
        for at in 0..positions {
            let position = self.step_and_row(pass, l, at);
            let p = &mut self.logits[at * columns..][..outputs];
            let Some((t, r)) = position else {
                p.fill(0.0);
                continue;
            };
            let (row, length) = (self.rows[r] as usize, self.lengths[r] as usize);
            let class = pass.data.y[row];
            let share = if pass.network.spec.loss_at == LossAt::EveryStep { length } else { 1 };
            let weight = pass.class_weights.map_or(1.0, |w| w[class as usize])
                * pass.data.weights.map_or(1.0, |w| w[row * self.steps + t])
                / share as f32;
            self.losses[r] += loss_of(p, class) * weight;
            if t + 1 == length {
                self.predictions[r] = predicted_class(p);
            }
            to_gradient(p, class, weight / pass.batch as f32);
        }
    }

    /// Computes the gradient of the head's input from that of the logits.
    pub(crate) fn head_backward(&mut self, pass: &Pass<'_>) {
        let head = &pass.network.head;
        pass.network.simd.run(Matmul {
            rows: self.head_positions,
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

    /// Backward pass of layer `l`: replaces the gates by their gradients and computes the gradient of the inputs.
    pub(crate) fn backward_layer(&mut self, pass: &Pass<'_>, l: usize) {
        if self.rows.is_empty() {
            return;
        }
        let (layer, simd, is_last_only) =
            (&pass.network.layers[l], pass.network.simd, self.is_last_only(pass, l));
        let (rows, steps, units) = (self.rows.len(), self.steps, layer.units);
        let (inputs, n) = (layer.input_gradient(), rows * units);
        let (work, above) = self.layers[l..].split_at_mut(1);
        let work = &mut work[0];
        let from_above: &[f32] = above.first().map_or(&self.d_top, |a| &a.dx);
        work.dc[..n].fill(0.0);
        work.dh[..n].fill(0.0);
        for t in (0..self.used_steps).rev() {
            // The gradient from above (at the last step or at every step) adds to that from the next step.
            for r in 0..rows {
                if is_last_only && self.lengths[r] as usize != t + 1 {
                    continue;
                }
                let at = if is_last_only { r } else { t * rows + r } * units;
                let dh = &mut work.dh[r * units..(r + 1) * units];
                dh.iter_mut().zip(&from_above[at..at + units]).for_each(|(a, b)| *a += b);
            }
            simd.run(CellBackward {
                rows,
                hidden: units,
                gates: &mut work.gates[t * rows * PANEL_ROW..],
                stride: steps * rows * PANEL_ROW,
                tanh_c: &work.tanh_c[t * n..],
                c_prev: &work.c[t * n..],
                dh: &work.dh,
                dc: &mut work.dc,
            });
            for (p, panel) in layer.panels.iter().enumerate() {
                let a = &work.gates[(p * steps + t) * rows * PANEL_ROW..];
                let b = panel.transposed();
                let product = |b, columns, out| Matmul {
                    rows,
                    depth: PANEL_ROW,
                    columns,
                    a,
                    a_stride: PANEL_ROW,
                    b,
                    b_stride: units + inputs,
                    out,
                    out_stride: columns,
                    add: p > 0,
                };
                if t > 0 {
                    simd.run(product(b, units, &mut work.dh));
                }
                if inputs > 0 {
                    simd.run(product(&b[units..], inputs, &mut work.dx[t * rows * inputs..]));
                }
            }
        }
    }

    /// Copies the gradient of the inputs to `out`: rows x steps x inputs; zero behind the longest row.
    pub(crate) fn input_gradients(&self, inputs: usize, steps: usize, out: &mut [f32]) {
        let (rows, columns) = (self.rows.len(), padded(inputs));
        for (at, dx) in self.layers[0].dx.chunks_exact(columns).enumerate().take(rows * self.used_steps) {
            let (t, r) = (at / rows, at % rows);
            out[(r * steps + t) * inputs..][..inputs].copy_from_slice(&dx[..inputs]);
        }
    }
}

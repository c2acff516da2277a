//! One training step on a team of threads: rows in parallel, then weights in parallel.
//!
//! Threads share the rows by the chunk and the weights by the panel. Both partitions depend on the batch and the network
//! only, so the order of summation and the bits of the result do not depend on the number of threads. New weights are written
//! to a second buffer while other threads may read the old ones; the leader swaps the buffers.

use std::sync::{Mutex, RwLock};

use crate::parallel::Member;

use crate::adam::{Moments, StepSize};
use crate::batch_norm::NormBatch;
use crate::chunk::{Chunk, Pass};
use crate::kernel::{PANEL_ROW, Panel};
use crate::layer::Head;
use crate::lock::{lock, read, write};
use crate::{Network, Sequences, weight_gradient};

/// Adam's moments, and buffers for the new weights.
pub(crate) struct OptimizerState {
    /// One per panel of each layer.
    pub(crate) panels: Vec<Mutex<PanelState>>,
    pub(crate) head: Mutex<(Moments, Head)>,
    /// One per layer if the network has batch normalisation, else empty.
    pub(crate) norms: RwLock<Vec<NormBatch>>,
}

pub(crate) struct PanelState {
    pub(crate) layer: usize,
    pub(crate) number: usize,
    pub(crate) moments: Moments,
    next: Panel,
}

impl OptimizerState {
    pub(crate) fn new(network: &Network) -> OptimizerState {
        let panels_of_layer = |(layer, l): (usize, &crate::layer::Layer)| {
            let panel = |(number, panel): (usize, &Panel)| {
                let moments = Moments::new(l.depth() * PANEL_ROW);
                Mutex::new(PanelState { layer, number, moments, next: panel.clone() })
            };
            l.panels.iter().enumerate().map(panel).collect::<Vec<_>>()
        };
        let norms = network.layers.iter().zip(&network.norms).map(|(l, _)| NormBatch::new(l.units));
        OptimizerState {
            panels: network.layers.iter().enumerate().flat_map(panels_of_layer).collect(),
            head: Mutex::new((Moments::new(network.head.weights.len()), network.head.clone())),
            norms: RwLock::new(norms.collect()),
        }
    }
}

/// State shared by the team.
pub(crate) struct TrainingStep<'a> {
    pub(crate) network: RwLock<&'a mut Network>,
    pub(crate) optimizer: &'a OptimizerState,
    pub(crate) chunks: &'a [RwLock<Chunk>],
}

/// One batch of rows.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) data: Sequences<'a>,
    /// Indices of the rows in the data.
    pub(crate) rows: &'a [u32],
    /// Rows per chunk.
    pub(crate) chunk_rows: usize,
    pub(crate) class_weights: Option<&'a [f32]>,
    pub(crate) dropout_seed: u64,
}

impl TrainingStep<'_> {
    fn with_pass<T>(&self, batch: &Batch<'_>, work: impl FnOnce(&Pass<'_>) -> T) -> T {
        let (network, norms) = (read(&self.network), read(&self.optimizer.norms));
        work(&Pass {
            network: &network,
            data: batch.data,
            class_weights: batch.class_weights,
            batch: batch.rows.len(),
            norms: &norms,
            dropout_seed: batch.dropout_seed,
        })
    }

    /// Adds up the chunks' sums of layer `l`, in order.
    fn gather_sums(&self, l: usize, norm: &mut NormBatch) {
        norm.clear_sums();
        self.chunks.iter().for_each(|chunk| norm.add_sums(&read(chunk).layers[l].norm_dropout.sums));
    }

    /// Calls `work` with each of the member's chunks.
    fn for_each_chunk(&self, member: &Member<'_>, batch: &Batch<'_>, work: impl Fn(&mut Chunk, &Pass<'_>)) {
        self.with_pass(batch, |pass| {
            member.share(self.chunks.len()).for_each(|i| work(&mut write(&self.chunks[i]), pass));
        });
    }

    /// Forward and backward pass over all rows of the batch. The gates' gradients stay in the chunks.
    pub(crate) fn forward_backward(&self, member: &Member<'_>, batch: &Batch<'_>) {
        for i in member.share(self.chunks.len()) {
            let first = (i * batch.chunk_rows).min(batch.rows.len());
            let last = (first + batch.chunk_rows).min(batch.rows.len());
            write(&self.chunks[i]).load_rows(&batch.rows[first..last], first, &batch.data);
        }
        if read(&self.optimizer.norms).is_empty() {
            self.for_each_chunk(member, batch, |chunk, pass| chunk.forward_backward(pass));
            member.barrier();
            return;
        }
        // Batch normalisation needs the sums over all rows before the next layer.
        let layers = read(&self.network).layers.len();
        for l in 0..layers {
            self.for_each_chunk(member, batch, |chunk, pass| {
                chunk.forward_layer(pass, l);
                chunk.sum_outputs(pass, l);
            });
            member.leader_only(|| {
                let (mut norms, mut network) = (write(&self.optimizer.norms), write(&self.network));
                self.gather_sums(l, &mut norms[l]);
                norms[l].forward(network.norms.get_mut(l));
            });
        }
        self.for_each_chunk(member, batch, |chunk, pass| chunk.head_and_loss(pass));
        for l in (0..layers).rev() {
            self.for_each_chunk(member, batch, |chunk, pass| chunk.dropout_backward(pass, l));
            member.leader_only(|| {
                let norm = &mut write(&self.optimizer.norms)[l];
                self.gather_sums(l, norm);
                norm.backward();
            });
            self.for_each_chunk(member, batch, |chunk, pass| {
                chunk.norm_backward(pass, l);
                chunk.backward_layer(pass, l);
            });
        }
        member.barrier();
    }

    /// Updates the weights by Adam, from the results of [`TrainingStep::forward_backward`].
    pub(crate) fn update_weights(&self, member: &Member<'_>, size: StepSize) {
        {
            let network = read(&self.network);
            for i in member.share(self.optimizer.panels.len() + 1) {
                if i == self.optimizer.panels.len() {
                    let mut state = lock(&self.optimizer.head);
                    let (moments, next) = &mut *state;
                    weight_gradient::head_gradient(network.simd, self.chunks, next, moments);
                    moments.step(network.simd, size, &network.head.weights, &mut next.weights);
                    next.transpose();
                } else {
                    let mut state = lock(&self.optimizer.panels[i]);
                    let PanelState { layer: l, number: p, moments, next } = &mut *state;
                    let layer = &network.layers[*l];
                    weight_gradient::panel_gradient(network.simd, self.chunks, *l, *p, layer, moments);
                    moments.step(network.simd, size, layer.panels[*p].weights(), next.weights_mut());
                    next.transpose(layer.inputs, layer.units);
                }
            }
        }
        member.leader_only(|| {
            let mut network = write(&self.network);
            for state in &self.optimizer.panels {
                let state = &mut *lock(state);
                let panel = &mut network.layers[state.layer].panels[state.number];
                std::mem::swap(panel, &mut state.next);
            }
            std::mem::swap(&mut network.head, &mut lock(&self.optimizer.head).1);
            let (simd, mut norms) = (network.simd, write(&self.optimizer.norms));
            for (norm, batch) in network.norms.iter_mut().zip(norms.iter_mut()) {
                batch.step(simd, size, norm);
            }
        });
    }
}

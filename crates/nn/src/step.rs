//! One training step, by a team: rows first, then weights.
//!
//! Rows are shared out in chunks, weights in panels; both are fixed by the batch and the network, so sums have one order
//! and the result the same bits for any number of threads. New weights grow beside the old ones, which other threads may
//! still read; the leader swaps them in.

use std::sync::{Mutex, RwLock};

use crate::adam::{Moments, StepSize};
use crate::batch_norm::NormBatch;
use crate::chunk::{Chunk, Pass};
use crate::kernel::{PANEL_ROW, Panel};
use crate::layer::Head;
use citronella_parallel::Member;

use crate::lock::{lock, read, write};
use crate::{Network, Sequences, weight_gradient};

/// Adam's memory, and room for the weights to come.
pub(crate) struct OptimizerState {
    /// A panel of a layer each.
    pub(crate) panels: Vec<Mutex<PanelState>>,
    pub(crate) head: Mutex<(Moments, Head)>,
    /// One a layer, where the network normalises.
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
        let of_layer = |(layer, l): (usize, &crate::layer::Layer)| {
            let panel = |(number, panel): (usize, &Panel)| {
                let moments = Moments::new(l.depth() * PANEL_ROW);
                Mutex::new(PanelState { layer, number, moments, next: panel.clone() })
            };
            l.panels.iter().enumerate().map(panel).collect::<Vec<_>>()
        };
        let norms = network.layers.iter().zip(&network.norms).map(|(l, _)| NormBatch::new(l.units));
        OptimizerState {
            panels: network.layers.iter().enumerate().flat_map(of_layer).collect(),
            head: Mutex::new((Moments::new(network.head.weights.len()), network.head.clone())),
            norms: RwLock::new(norms.collect()),
        }
    }
}

/// What a team works on.
pub(crate) struct TrainingStep<'a> {
    pub(crate) network: RwLock<&'a mut Network>,
    pub(crate) memory: &'a OptimizerState,
    pub(crate) chunks: &'a [RwLock<Chunk>],
}

/// One batch of rows.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) data: Sequences<'a>,
    /// RowLayout in the data.
    pub(crate) rows: &'a [u32],
    /// Rows that a chunk takes.
    pub(crate) chunk_rows: usize,
    pub(crate) class_weights: Option<&'a [f32]>,
    pub(crate) dropout_seed: u64,
}

impl TrainingStep<'_> {
    fn pass<T>(&self, batch: &Batch<'_>, work: impl FnOnce(&Pass<'_>) -> T) -> T {
        let (network, norms) = (read(&self.network), read(&self.memory.norms));
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
        self.chunks.iter().for_each(|chunk| norm.add_sums(&read(chunk).layers[l].link.sums));
    }

    /// Calls `work` for each of the member's chunks.
    fn chunks(&self, member: &Member<'_>, batch: &Batch<'_>, work: impl Fn(&mut Chunk, &Pass<'_>)) {
        self.pass(batch, |pass| {
            member.share(self.chunks.len()).for_each(|i| work(&mut write(&self.chunks[i]), pass));
        });
    }

    /// Forward and backward over all rows of the batch; the gradients with respect to what the layers computed stay in the
    /// chunks.
    pub(crate) fn rows(&self, member: &Member<'_>, batch: &Batch<'_>) {
        for i in member.share(self.chunks.len()) {
            let first = (i * batch.chunk_rows).min(batch.rows.len());
            let last = (first + batch.chunk_rows).min(batch.rows.len());
            write(&self.chunks[i]).load_rows(&batch.rows[first..last], first, &batch.data);
        }
        if read(&self.memory.norms).is_empty() {
            self.chunks(member, batch, |chunk, pass| chunk.run(pass));
            member.barrier();
            return;
        }
        // Normalisation needs every row before any may go on.
        let layers = read(&self.network).layers.len();
        for l in 0..layers {
            self.chunks(member, batch, |chunk, pass| {
                chunk.forward_layer(pass, l);
                chunk.sum_outputs(pass, l);
            });
            member.leader_only(|| {
                let (mut norms, mut network) = (write(&self.memory.norms), write(&self.network));
                self.gather_sums(l, &mut norms[l]);
                norms[l].forward(network.norms.get_mut(l));
            });
        }
        self.chunks(member, batch, |chunk, pass| chunk.head_and_loss(pass));
        for l in (0..layers).rev() {
            self.chunks(member, batch, |chunk, pass| chunk.dropout_backward(pass, l));
            member.leader_only(|| {
                let norm = &mut write(&self.memory.norms)[l];
                self.gather_sums(l, norm);
                norm.backward();
            });
            self.chunks(member, batch, |chunk, pass| {
                chunk.norm_backward(pass, l);
                chunk.backward_layer(pass, l);
            });
        }
        member.barrier();
    }

    /// The weights' gradients from what [`TrainingStep::rows`] left, and Adam.
    pub(crate) fn weights(&self, member: &Member<'_>, rate: StepSize) {
        {
            let network = read(&self.network);
            for i in member.share(self.memory.panels.len() + 1) {
                if i == self.memory.panels.len() {
                    let mut memory = lock(&self.memory.head);
                    let (moments, next) = &mut *memory;
                    weight_gradient::head_gradient(network.simd, self.chunks, next, moments);
                    moments.step(network.simd, rate, &network.head.weights, &mut next.weights);
                    next.transpose();
                } else {
                    let mut memory = lock(&self.memory.panels[i]);
                    let PanelState { layer: l, number: p, moments, next } = &mut *memory;
                    let layer = &network.layers[*l];
                    weight_gradient::panel_gradient(network.simd, self.chunks, *l, *p, layer, moments);
                    moments.step(network.simd, rate, layer.panels[*p].weights(), next.weights_mut());
                    next.transpose(layer.inputs, layer.units);
                }
            }
        }
        member.leader_only(|| {
            let mut network = write(&self.network);
            for memory in &self.memory.panels {
                let memory = &mut *lock(memory);
                let panel = &mut network.layers[memory.layer].panels[memory.number];
                std::mem::swap(panel, &mut memory.next);
            }
            std::mem::swap(&mut network.head, &mut lock(&self.memory.head).1);
            let (simd, mut norms) = (network.simd, write(&self.memory.norms));
            for (norm, batch) in network.norms.iter_mut().zip(norms.iter_mut()) {
                batch.step(simd, rate, norm);
            }
        });
    }
}

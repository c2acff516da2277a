//! Training: epochs of seeded batches, Adam, running metrics.

use rayon::prelude::*;

use crate::chunk::{Chunk, Pass};
use crate::error::check_length;
use crate::gradient::{self, Memory, Rate};
use crate::kernel::{BETA1, BETA2};
use crate::loss::loss_of;
use crate::random::Random;
use crate::{Error, LossAt, Network, Sequences};

/// Rows of a batch that walk through the steps together. Fixed, so that sums have one order.
const CHUNK_ROWS: usize = 16;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Rows a step.
    pub batch: usize,
    /// Adam's.
    pub learning_rate: f32,
    /// Decides the order of the rows, and what dropout drops.
    pub seed: u64,
    /// Threads to use; the results do not depend on it.
    pub threads: usize,
    /// A factor on the loss of each class's rows.
    pub class_weights: Option<Vec<f32>>,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig { batch: 32, learning_rate: 1e-3, seed: 42, threads: 1, class_weights: None }
    }
}

/// What an epoch saw while the weights changed under it, as Keras prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochStats {
    /// Mean loss, weights included.
    pub loss: f64,
    /// Rows whose class was named after their last step.
    pub correct: usize,
    /// Rows in all.
    pub rows: usize,
    /// The class named for each row, in the data's order.
    pub predictions: Vec<u32>,
}

/// A network's view of labelled rows.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalStats {
    /// Mean cross-entropy, without weights.
    pub loss: f64,
    /// rows x outputs, after each row's last step.
    pub probabilities: Vec<f32>,
}

/// A network in training: weights, Adam's memory, work space.
pub struct Trainer {
    network: Network,
    config: TrainConfig,
    memory: Memory,
    chunks: Vec<Chunk>,
    order: Vec<u32>,
    random: Random,
    /// Adam's beta1^t and beta2^t.
    decay: (f64, f64),
    pool: rayon::ThreadPool,
}

impl Trainer {
    /// Training starts from the network's weights, with no memory.
    pub fn new(network: Network, config: TrainConfig) -> Result<Trainer, Error> {
        let classes = network.spec.classes();
        if config.batch == 0 || config.threads == 0 {
            return Err(Error::Config("batch and threads must be 1 or more".to_string()));
        }
        if let Some(weights) = &config.class_weights {
            check_length("class weights", weights.len(), classes as usize)?;
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(config.threads).build();
        let pool =
            pool.map_err(|e| Error::Config(format!("cannot start {} threads: {e}", config.threads)))?;
        let memory = Memory::new(&network);
        let random = Random::new(config.seed, 1);
        let (chunks, order) = (Vec::new(), Vec::new());
        Ok(Trainer { network, config, memory, chunks, order, random, decay: (1.0, 1.0), pool })
    }

    /// One pass over the rows in a seeded order, Adam after each batch.
    ///
    /// `x`: rows x steps x inputs, row-major; `y`: a class a row. `progress` hears now and then how many rows are done.
    pub fn epoch(
        &mut self,
        x: &[f32],
        y: &[u32],
        rows: usize,
        steps: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<EpochStats, Error> {
        self.epoch_of(&Sequences::new(x, y, rows, steps), progress)
    }

    /// [`Trainer::epoch`] for sequences of different lengths, and losses with weights.
    pub fn epoch_of(
        &mut self,
        data: &Sequences<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<EpochStats, Error> {
        data.check(&self.network)?;
        self.make_room(data.steps);
        self.order.clear();
        self.order.extend(0..data.rows as u32);
        self.random.shuffle(&mut self.order);
        let mut stats =
            EpochStats { loss: 0.0, correct: 0, rows: data.rows, predictions: vec![0; data.rows] };
        let Trainer { network, config, memory, chunks, order, decay, pool, random } = self;
        let mut done = 0;
        for group in order.chunks(config.batch * GROUP) {
            pool.install(|| {
                for batch in group.chunks(config.batch) {
                    decay.0 *= f64::from(BETA1);
                    decay.1 *= f64::from(BETA2);
                    let rate = Rate {
                        rate: (f64::from(config.learning_rate) / (1.0 - decay.0)) as f32,
                        correction: (1.0 / (1.0 - decay.1).sqrt()) as f32,
                    };
                    let mut rest = batch;
                    for (i, chunk) in chunks.iter_mut().enumerate() {
                        let (rows, others) = rest.split_at(rest.len().min(CHUNK_ROWS));
                        chunk.take(rows, i * CHUNK_ROWS, data);
                        rest = others;
                    }
                    let class_weights = config.class_weights.as_deref();
                    let dropout_seed = random.next();
                    rows_pass(network, memory, chunks, (*data, class_weights, batch.len(), dropout_seed));
                    weights_pass(network, memory, chunks, rate);
                    record(&mut stats, chunks, data.y);
                }
            });
            done += group.len();
            progress(done);
        }
        stats.loss /= data.rows.max(1) as f64;
        Ok(stats)
    }

    /// Loss and probabilities of rows that are not trained on.
    pub fn evaluate(&self, x: &[f32], y: &[u32], rows: usize, steps: usize) -> Result<EvalStats, Error> {
        self.evaluate_of(&Sequences::new(x, y, rows, steps))
    }

    /// [`Trainer::evaluate`] for sequences of different lengths.
    pub fn evaluate_of(&self, data: &Sequences<'_>) -> Result<EvalStats, Error> {
        data.check(&self.network)?;
        let outputs = self.network.spec.outputs;
        let every = self.network.spec.loss_at == LossAt::EveryStep;
        let (rows, steps, threads) = (data.rows, data.steps, self.config.threads);
        let predict = || {
            if every || data.lengths.is_some() {
                self.network.predict_steps(data.x, rows, steps, threads)
            } else {
                self.network.predict(data.x, rows, steps, threads)
            }
        };
        let all = self.pool.install(predict)?;
        let per_row = all.len() / outputs / rows.max(1);
        let (mut loss, mut probabilities) = (0.0, Vec::with_capacity(rows * outputs));
        for (row, all) in all.chunks_exact((per_row * outputs).max(1)).enumerate() {
            let last = data.last(row).min(per_row - 1);
            let first = if every { 0 } else { last };
            let steps = all.chunks_exact(outputs).skip(first).take(last + 1 - first);
            loss +=
                steps.map(|p| f64::from(loss_of(p, data.y[row]))).sum::<f64>() / (last + 1 - first) as f64;
            probabilities.extend_from_slice(&all[last * outputs..(last + 1) * outputs]);
        }
        Ok(EvalStats { loss: loss / rows.max(1) as f64, probabilities })
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The trained network.
    pub fn into_network(self) -> Network {
        self.network
    }

    fn make_room(&mut self, steps: usize) {
        if self.chunks.first().is_none_or(|c| c.steps != steps) {
            let n = self.config.batch.div_ceil(CHUNK_ROWS);
            self.chunks = (0..n).map(|_| Chunk::new(&self.network, CHUNK_ROWS, steps)).collect();
        }
    }
}

/// Batches between two reports of progress.
const GROUP: usize = 64;

/// Forward and backward: rows in parallel. (Data, class weights, rows in the batch, dropout's seed.)
pub(crate) fn rows_pass(
    network: &mut Network,
    memory: &mut Memory,
    chunks: &mut [Chunk],
    (data, class_weights, batch, dropout_seed): (Sequences<'_>, Option<&[f32]>, usize, u64),
) {
    fn pass<'a>(
        network: &'a Network,
        memory: &'a Memory,
        (data, class_weights, batch, dropout_seed): (Sequences<'a>, Option<&'a [f32]>, usize, u64),
    ) -> Pass<'a> {
        Pass { network, data, class_weights, batch, norms: &memory.norms, dropout_seed }
    }
    let rest = (data, class_weights, batch, dropout_seed);
    if memory.norms.is_empty() {
        let pass = pass(network, memory, rest);
        chunks.par_iter_mut().for_each(|chunk| chunk.run(&pass));
        return;
    }
    // Normalisation needs every row before any may go on.
    let layers = network.layers.len();
    for l in 0..layers {
        let pass = pass(network, memory, rest);
        chunks.par_iter_mut().for_each(|chunk| {
            chunk.up(&pass, l);
            chunk.sum_up(&pass, l);
        });
        let sums = chunks.iter().map(|c| &c.layers[l].link.sums);
        memory.norms[l].forward(sums, network.norms.get_mut(l));
    }
    {
        let pass = pass(network, memory, rest);
        chunks.par_iter_mut().for_each(|chunk| chunk.turn(&pass));
    }
    for l in (0..layers).rev() {
        let first = pass(network, memory, rest);
        chunks.par_iter_mut().for_each(|chunk| chunk.mask_down(&first, l));
        memory.norms[l].backward(chunks.iter().map(|c| &c.layers[l].link.sums));
        let second = pass(network, memory, rest);
        chunks.par_iter_mut().for_each(|chunk| {
            chunk.norm_down(&second, l);
            chunk.down(&second, l);
        });
    }
}

/// Gradients and Adam: weights in parallel.
fn weights_pass(network: &mut Network, memory: &mut Memory, chunks: &[Chunk], rate: Rate) {
    let simd = network.simd;
    for (l, (layer, moments)) in network.layers.iter_mut().zip(&mut memory.layers).enumerate() {
        let shape = (l, layer.inputs, layer.units);
        layer.panels.par_iter_mut().zip(moments).enumerate().for_each(|(p, (panel, moments))| {
            gradient::step_panel(simd, chunks, shape, (p, panel), moments, rate);
        });
    }
    gradient::step_head(simd, chunks, &mut network.head, &mut memory.head, rate);
    for (norm, batch) in network.norms.iter_mut().zip(&mut memory.norms) {
        batch.scale_moments.step(simd, rate, &mut norm.scale);
        batch.shift_moments.step(simd, rate, &mut norm.shift);
    }
}

fn record(stats: &mut EpochStats, chunks: &[Chunk], y: &[u32]) {
    for chunk in chunks {
        stats.loss += chunk.losses.iter().copied().map(f64::from).sum::<f64>();
        for (&row, &verdict) in chunk.rows.iter().zip(&chunk.verdicts) {
            stats.predictions[row as usize] = verdict;
            stats.correct += usize::from(verdict == y[row as usize]);
        }
    }
}

//! Training: epochs of seeded batches, Adam, running metrics.

use rayon::prelude::*;

use crate::chunk::{Chunk, Data};
use crate::error::check_length;
use crate::gradient::{self, Memory, Rate};
use crate::kernel::{BETA1, BETA2};
use crate::loss::loss_of;
use crate::random::Random;
use crate::{Error, LossAt, Network};

/// Rows of a batch that walk through the steps together. Fixed, so that sums have one order.
const CHUNK_ROWS: usize = 16;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Rows a step.
    pub batch: usize,
    /// Adam's.
    pub learning_rate: f32,
    /// Decides the order of the rows.
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
    /// Mean cross-entropy.
    pub loss: f64,
    /// Rows whose class was named.
    pub correct: usize,
    /// Rows in all.
    pub rows: usize,
    /// The class named for each row, in the data's order.
    pub predictions: Vec<u32>,
}

/// A network's view of labelled rows.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalStats {
    /// Mean cross-entropy.
    pub loss: f64,
    /// rows x outputs, after the last step.
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
        let memory = Memory::new(&network.layers, &network.head);
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
        self.check(x, y, rows, steps)?;
        self.make_room(steps);
        self.order.clear();
        self.order.extend(0..rows as u32);
        self.random.shuffle(&mut self.order);
        let mut stats = EpochStats { loss: 0.0, correct: 0, rows, predictions: vec![0; rows] };
        let Trainer { network, config, memory, chunks, order, decay, pool, .. } = self;
        let data = Data { x, y, steps, class_weights: config.class_weights.as_deref() };
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
                    step(network, memory, chunks, data, batch, rate);
                    record(&mut stats, chunks, y);
                }
            });
            done += group.len();
            progress(done);
        }
        stats.loss /= rows.max(1) as f64;
        Ok(stats)
    }

    /// Loss and probabilities of rows that are not trained on.
    pub fn evaluate(&self, x: &[f32], y: &[u32], rows: usize, steps: usize) -> Result<EvalStats, Error> {
        self.check(x, y, rows, steps)?;
        let outputs = self.network.spec.outputs;
        let every = self.network.spec.loss_at == LossAt::EveryStep;
        let threads = self.config.threads;
        let mut probabilities = if every {
            self.pool.install(|| self.network.predict_steps(x, rows, steps, threads))?
        } else {
            self.pool.install(|| self.network.predict(x, rows, steps, threads))?
        };
        let per_row = if every { steps } else { 1 };
        let losses = probabilities
            .chunks_exact(outputs)
            .enumerate()
            .map(|(at, p)| f64::from(loss_of(p, y[at / per_row])));
        let loss = losses.sum::<f64>() / (rows * per_row).max(1) as f64;
        if every {
            let last =
                probabilities.chunks_exact(steps * outputs).flat_map(|row| &row[(steps - 1) * outputs..]);
            probabilities = last.copied().collect();
        }
        Ok(EvalStats { loss, probabilities })
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The trained network.
    pub fn into_network(self) -> Network {
        self.network
    }

    fn check(&self, x: &[f32], y: &[u32], rows: usize, steps: usize) -> Result<(), Error> {
        if steps == 0 {
            return Err(Error::Config("a sequence must have at least one step".to_string()));
        }
        if u32::try_from(rows).is_err() {
            return Err(Error::Config("an epoch can have at most 4294967295 rows".to_string()));
        }
        check_length("x", x.len(), rows * steps * self.network.spec.inputs)?;
        check_length("y", y.len(), rows)?;
        let classes = self.network.spec.classes();
        match y.iter().enumerate().find(|(_, y)| **y >= classes) {
            Some((row, &class)) => Err(Error::Class { row, class, classes }),
            None => Ok(()),
        }
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

/// One training step: rows in parallel, then weights in parallel.
fn step(
    network: &mut Network,
    memory: &mut Memory,
    chunks: &mut [Chunk],
    data: Data<'_>,
    batch: &[u32],
    rate: Rate,
) {
    let mut rest = batch;
    for chunk in &mut *chunks {
        let (rows, others) = rest.split_at(rest.len().min(CHUNK_ROWS));
        chunk.rows.clear();
        chunk.rows.extend_from_slice(rows);
        rest = others;
    }
    let read: &Network = network;
    chunks.par_iter_mut().for_each(|chunk| chunk.run(read, data, batch.len()));
    let (simd, chunks) = (network.simd, &*chunks);
    let positions = if network.spec.loss_at == LossAt::EveryStep { data.steps } else { 1 };
    for (l, (layer, moments)) in network.layers.iter_mut().zip(&mut memory.layers).enumerate() {
        let shape = (l, layer.inputs, layer.units);
        layer.panels.par_iter_mut().zip(moments).enumerate().for_each(|(p, (panel, moments))| {
            gradient::step_panel(simd, chunks, shape, (p, panel), moments, rate);
        });
    }
    gradient::step_head(simd, chunks, positions, &mut network.head, &mut memory.head, rate);
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

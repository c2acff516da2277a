//! Training: epochs over seeded batches by Adam, with running metrics.

use std::sync::RwLock;

use crate::parallel::Team;

use crate::adam::StepSize;
use crate::chunk::Chunk;
use crate::error::check_length;
use crate::lock::read;
use crate::loss::loss_of;
use crate::random::Random;
use crate::step::{Batch, OptimizerState, TrainingStep};
use crate::{Error, LossAt, Network, Sequences};

/// Rows per chunk. Fixed, so that the order of summation does not depend on the number of threads.
const CHUNK_ROWS: usize = 16;

/// Settings of training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Rows per batch.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f32,
    /// Seeds the order of the rows and dropout.
    pub seed: u64,
    /// Threads; the results do not depend on it.
    pub threads: usize,
    /// A factor on the loss of rows of each class.
    pub class_weights: Option<Vec<f32>>,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig { batch: 32, learning_rate: 1e-3, seed: 42, threads: 1, class_weights: None }
    }
}

/// Metrics over an epoch, computed with the weights at each batch, as Keras does.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochStats {
    /// Mean weighted loss.
    pub loss: f64,
    /// Rows whose class was predicted after their last step.
    pub correct: usize,
    /// All rows.
    pub rows: usize,
    /// The predicted class of each row, in the data's order.
    pub predictions: Vec<u32>,
}

/// Metrics over labelled rows with fixed weights.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalStats {
    /// Mean unweighted cross-entropy.
    pub loss: f64,
    /// rows x outputs, after each row's last step.
    pub probabilities: Vec<f32>,
}

/// A network in training, with Adam's moments and buffers.
pub struct Trainer {
    network: Network,
    config: TrainConfig,
    optimizer: OptimizerState,
    chunks: Vec<RwLock<Chunk>>,
    order: Vec<u32>,
    random: Random,
    /// Batches trained on: Adam's t.
    batches: i32,
}

impl Trainer {
    /// Begins with the network's weights and zero moments.
    ///
    /// # Errors
    /// A setting is 0, or the class weights do not match the network.
    pub fn new(network: Network, config: TrainConfig) -> Result<Trainer, Error> {
        let classes = network.spec.classes();
        if config.batch == 0 || config.threads == 0 {
            return Err(Error::Config("batch and threads must be 1 or more".to_string()));
        }
        if let Some(weights) = &config.class_weights {
            check_length("class weights", weights.len(), classes as usize)?;
        }
        let optimizer = OptimizerState::new(&network);
        let random = Random::new(config.seed, 1);
        let (chunks, order) = (Vec::new(), Vec::new());
        Ok(Trainer { network, config, optimizer, chunks, order, random, batches: 0 })
    }

    /// One pass over the rows in a seeded order, with an update by Adam after each batch.
    ///
    /// `x`: rows x steps x inputs, row-major; `y`: a class per row. `progress` gets the number of rows
    /// done, every 64 batches.
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

    /// [`Trainer::epoch`] for sequences of different lengths, with weighted losses.
    pub fn epoch_of(
        &mut self,
        data: &Sequences<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<EpochStats, Error> {
        data.check(&self.network.spec)?;
        self.allocate_chunks(data.steps);
        self.order.clear();
        self.order.extend(0..data.rows as u32);
        self.random.shuffle(&mut self.order);
        let mut stats =
            EpochStats { loss: 0.0, correct: 0, rows: data.rows, predictions: vec![0; data.rows] };
        let Trainer { network, config, optimizer, chunks, order, batches, random } = self;
        let (dropout, before) = (random.next(), *batches);
        let step = TrainingStep { network: RwLock::new(network), optimizer, chunks };
        let batches_of_rows = || order.chunks(config.batch).enumerate();
        let size = |b: usize| StepSize::new(config.learning_rate, before.saturating_add(b as i32 + 1));
        let batch = |b: usize, rows| Batch {
            data: *data,
            rows,
            chunk_rows: CHUNK_ROWS,
            class_weights: config.class_weights.as_deref(),
            dropout_seed: dropout.wrapping_add(b as u64),
        };
        Team::new(config.threads).run(
            |member| {
                for (b, rows) in batches_of_rows() {
                    step.forward_backward(member, &batch(b, rows));
                    step.update_weights(member, size(b));
                }
            },
            |member| {
                let mut done = 0;
                for (b, rows) in batches_of_rows() {
                    step.forward_backward(member, &batch(b, rows));
                    record(&mut stats, chunks, data.y);
                    step.update_weights(member, size(b));
                    done += rows.len();
                    if (b + 1) % PROGRESS_BATCHES == 0 || done == data.rows {
                        progress(done);
                    }
                }
            },
        );
        *batches = before.saturating_add(order.len().div_ceil(config.batch) as i32);
        stats.loss /= data.rows.max(1) as f64;
        Ok(stats)
    }

    /// Loss and probabilities without training.
    pub fn evaluate(&self, x: &[f32], y: &[u32], rows: usize, steps: usize) -> Result<EvalStats, Error> {
        self.evaluate_of(&Sequences::new(x, y, rows, steps))
    }

    /// [`Trainer::evaluate`] for sequences of different lengths.
    pub fn evaluate_of(&self, data: &Sequences<'_>) -> Result<EvalStats, Error> {
        data.check(&self.network.spec)?;
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
        let all = predict()?;
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

    /// The network with its current weights.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The trained network.
    pub fn into_network(self) -> Network {
        self.network
    }

    fn allocate_chunks(&mut self, steps: usize) {
        if self.chunks.first().is_none_or(|c| read(c).steps != steps) {
            let n = self.config.batch.div_ceil(CHUNK_ROWS);
            self.chunks = (0..n).map(|_| RwLock::new(Chunk::new(&self.network, CHUNK_ROWS, steps))).collect();
        }
    }
}

/// Batches between two reports of progress.
const PROGRESS_BATCHES: usize = 64;

fn record(stats: &mut EpochStats, chunks: &[RwLock<Chunk>], y: &[u32]) {
    for chunk in chunks {
        let chunk = read(chunk);
        stats.loss += chunk.losses.iter().copied().map(f64::from).sum::<f64>();
        for (&row, &predicted_class) in chunk.rows.iter().zip(&chunk.predictions) {
            stats.predictions[row as usize] = predicted_class;
            stats.correct += usize::from(predicted_class == y[row as usize]);
        }
    }
}

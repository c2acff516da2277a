//! Fits a network to a pool: new windows each epoch, a loss after every step, averaged weights of the last epochs.

use citronella_nn::{LossAt, Network, Sequences, Spec, TrainConfig, Trainer};
use citronella_sensor::feature::sequence::WIDTH;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Options, Pool, SequenceError, Windows, conversation::column_index};
use crate::dataset::CLASSES;

/// Groups of columns whose values a client sets freely. They are masked at random, because an attack stays the same
/// attack whatever client identifier or keep-alive it uses.
const CLIENT_CHOSEN: [&[&str]; 4] = [
    &["mqtt_new_client", "host_clients_60s"],
    &["mqtt_has_user", "host_users_60s"],
    &["mqtt_keep_alive"],
    &["mqtt_qos", "mqtt_remaining_length"],
];

/// Separates the random stream of masks from that of windows.
const MASK_SEED: u64 = 0x6d61_736b;

/// Stages of constant learning rate; Adam restarts at each.
const STAGES: usize = 4;

/// Windows of a bucket that are trained on before the next bucket's turn.
const PART_ROWS: usize = 256;

/// Trains a network. `on_epoch` receives each epoch's number, from 1, and its mean loss.
///
/// # Errors
/// The pool has fewer than two classes, or the options do not describe a network.
pub fn fit(
    pool: &Pool,
    options: &Options,
    on_epoch: &mut dyn FnMut(usize, f64),
) -> Result<Network, SequenceError> {
    if pool.classes() < 2 {
        let (conversations, classes) = (pool.len(), pool.classes());
        return Err(SequenceError::TooLittle { recordings: 0, conversations, classes });
    }
    let spec = Spec {
        inputs: WIDTH,
        hidden: options.hidden.clone(),
        outputs: CLASSES.len(),
        dropout: options.dropout,
        batch_norm: false,
        loss_at: LossAt::EveryStep,
    };
    let masks = Masks::new(options);
    let mut network = without_inputs(Network::new(spec, options.seed)?, &masks.excluded)?;
    let mut mean = WeightMean::default();
    let mut epoch = 0;
    for stage in 0..STAGES {
        let mut trainer = Trainer::new(network, train_config(options, stage))?;
        while epoch < options.epochs * (stage + 1) / STAGES {
            let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(epoch as u64);
            let mut drawn = pool.draw(options.windows, options.steps, options.benign_of_attacker, seed);
            masks.apply(&mut drawn, seed);
            let (mut loss, mut rows) = (0.0, 0);
            for part in parts(&drawn) {
                let stats = trainer.epoch_of(&part, &mut |_| {})?;
                loss += stats.loss * part.rows as f64;
                rows += part.rows;
            }
            epoch += 1;
            if stage + 1 == STAGES {
                mean.add(trainer.network());
            }
            on_epoch(epoch, loss / rows.max(1) as f64);
        }
        network = trainer.into_network();
    }
    mean.network(network)
}

fn train_config(options: &Options, stage: usize) -> TrainConfig {
    let share = stage as f32 / (STAGES - 1) as f32;
    let decay = 0.1 + 0.9 * 0.5 * (1.0 + (std::f32::consts::PI * share).cos());
    TrainConfig {
        batch: options.batch,
        learning_rate: options.learning_rate * decay,
        seed: options.seed.wrapping_add(stage as u64),
        threads: options.threads.max(1),
        class_weights: None,
    }
}

/// Columns to zero in training windows.
struct Masks {
    /// Zeroed at random, a group at a time, with probability `chance`.
    groups: [Vec<usize>; CLIENT_CHOSEN.len()],
    chance: f64,
    /// Always zeroed.
    excluded: Vec<usize>,
}

impl Masks {
    fn new(options: &Options) -> Masks {
        Masks {
            groups: CLIENT_CHOSEN.map(column_indices),
            chance: options.masked.clamp(0.0, 1.0),
            excluded: column_indices(&options.without),
        }
    }

    fn apply(&self, drawn: &mut [Windows], seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ MASK_SEED);
        for windows in drawn {
            for window in windows.x.chunks_exact_mut(windows.steps * WIDTH) {
                let is_masked = |_: &&Vec<usize>| rng.random_bool(self.chance);
                let masked: Vec<usize> =
                    self.groups.iter().filter(is_masked).flatten().chain(&self.excluded).copied().collect();
                window.chunks_exact_mut(WIDTH).for_each(|row| clear(row, &masked));
            }
        }
    }
}

/// Indices of columns of the level; unknown names are skipped.
fn column_indices(names: &[impl AsRef<str>]) -> Vec<usize> {
    names.iter().filter_map(|name| column_index(name.as_ref())).collect()
}

fn clear(row: &mut [f32], columns: &[usize]) {
    for column in columns {
        row.get_mut(*column).into_iter().for_each(|value| *value = 0.0);
    }
}

/// The network with zero weights for some inputs. Training never changes them if the inputs are 0 there, too.
fn without_inputs(network: Network, columns: &[usize]) -> Result<Network, SequenceError> {
    if columns.is_empty() {
        return Ok(network);
    }
    let mut tensors = network.tensors();
    for (_, _, values) in tensors.iter_mut().filter(|(name, ..)| name == "lstm.weight_ih_l0") {
        values.chunks_exact_mut(WIDTH).for_each(|row| clear(row, columns));
    }
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    Ok(Network::from_tensors(network.spec().clone(), get)?)
}

/// Mean of the weights after each of the last epochs (stochastic weight averaging, Izmailov et al. 2018).
#[derive(Default)]
struct WeightMean {
    sums: Vec<Vec<f64>>,
    count: usize,
}

impl WeightMean {
    fn add(&mut self, network: &Network) {
        let tensors = network.tensors();
        self.sums.resize(tensors.len(), Vec::new());
        for (sums, (_, _, values)) in self.sums.iter_mut().zip(tensors) {
            sums.resize(values.len(), 0.0);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        }
        self.count += 1;
    }

    /// The network with the mean weights; unchanged if none were added.
    fn network(self, network: Network) -> Result<Network, SequenceError> {
        if self.count == 0 {
            return Ok(network);
        }
        let mean = |sums: Vec<f64>| sums.into_iter().map(|sum| (sum / self.count as f64) as f32).collect();
        let means: Vec<Vec<f32>> = self.sums.into_iter().map(mean).collect();
        let tensors: Vec<_> = network.tensors().into_iter().zip(means).collect();
        let get = |name: &str| tensors.iter().find(|t| t.0.0 == name).map(|t| (t.0.1.clone(), t.1.clone()));
        Ok(Network::from_tensors(network.spec().clone(), get)?)
    }
}

/// Splits the buckets into parts of [`PART_ROWS`] windows that alternate between short and long windows.
fn parts(drawn: &[Windows]) -> Vec<Sequences<'_>> {
    let mut all = Vec::new();
    for windows in drawn {
        let whole = windows.sequences();
        let width = whole.steps * WIDTH;
        for from in (0..whole.rows).step_by(PART_ROWS) {
            let to = (from + PART_ROWS).min(whole.rows);
            let (Some(x), Some(y)) = (whole.x.get(from * width..to * width), whole.y.get(from..to)) else {
                continue;
            };
            let lengths = whole.lengths.and_then(|lengths| lengths.get(from..to));
            all.push((from, Sequences { x, y, rows: to - from, lengths, ..whole }));
        }
    }
    all.sort_by_key(|(from, _)| *from);
    all.into_iter().map(|(_, part)| part).collect()
}

//! Training: a pool of conversations and their variants, windows drawn anew for each epoch, a loss after every step.

use citronella_nn::{LossAt, Network, Spec, TrainConfig, Trainer};
use citronella_sensor::feature::sequence::{SEQUENCE, WIDTH};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Captured, Pool, Recording, SequenceError, Variant, traffic::Traffic};
use crate::dataset::CLASSES;

/// How to train.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Options {
    /// Of everything random.
    pub seed: u64,
    /// Units of each LSTM layer.
    pub hidden: Vec<usize>,
    /// Epochs.
    pub epochs: usize,
    /// Windows drawn an epoch.
    pub windows: usize,
    /// Packets of a window at most; detection takes a state back to its begin after as many.
    pub steps: usize,
    /// Windows a batch.
    pub batch: usize,
    /// Adam's at the begin; it falls to a tenth along half a cosine.
    pub learning_rate: f32,
    /// Share of the LSTM's outputs that training drops.
    pub dropout: f32,
    /// Changed copies of each recording beside the recording itself.
    pub variants: usize,
    /// Share of benign windows that is honest work of a host from which an attack comes too.
    pub beside_attack: f64,
    /// Chance of each of [`CHOSEN`] to be 0 throughout a window that is trained on.
    pub masked: f64,
    /// Columns of the level that the network must do without.
    pub without: Vec<String>,
    /// Threads; the result does not depend on it.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 42,
            hidden: vec![64],
            epochs: 40,
            windows: 12_288,
            steps: 64,
            batch: 64,
            learning_rate: 3e-3,
            dropout: 0.2,
            variants: 14,
            beside_attack: 0.25,
            masked: 0.25,
            without: Vec::new(),
            threads: 2,
        }
    }
}

/// The variants of a recording that training sees, itself first.
pub fn variants(options: &Options) -> Vec<Variant> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut all = vec![Variant::PLAIN];
    for number in 1..=options.variants as u64 {
        let mut one_in = |n: u32| rng.random_range(0..n) == 0;
        let (thin, slow, late, lossy, spread) = (one_in(3), one_in(3), one_in(3), one_in(3), one_in(3));
        let shared = one_in(3);
        all.push(Variant {
            seed: options.seed.wrapping_mul(1_000).wrapping_add(number),
            time_scale: rng.random_range(-1.2f64..1.4).exp(),
            loss: if lossy { rng.random_range(0.0..0.05) } else { 0.0 },
            skip_secs: if late { rng.random_range(5.0..40.0) } else { 0.0 },
            keep_attack: if thin { rng.random_range(-3.5f64..-0.5).exp() } else { 1.0 },
            attack_scale: if slow { rng.random_range(0.5f64..3.0).exp() } else { 1.0 },
            sources: if spread { rng.random_range(2..6) } else { 1 },
            inside: number % 2 == 0,
            shared: if shared { rng.random_range(2..17) } else { 0 },
        });
    }
    all
}

/// What whoever connects chooses freely, in groups that go together: an attack is the same attack with one client
/// identifier or many, and no verdict is to hang on it.
const CHOSEN: [&[&str]; 4] = [
    &["mqtt_new_client", "host_clients_60s"],
    &["mqtt_has_user", "host_users_60s"],
    &["mqtt_keep_alive"],
    &["mqtt_qos", "mqtt_remaining_length"],
];

/// Sets the chance that masks columns apart from the one that draws windows.
const MASKS: u64 = 0x6d61_736b;

/// Conversations of a kind that are kept of a capture and a variant.
const MOST_OF_A_KIND: usize = 400;

/// What training draws from, a pool for each recording. Runs on the threads of the pool of threads it is called in.
///
/// # Errors
/// A capture cannot be read.
pub fn gather(recordings: &[&Recording], options: &Options) -> Result<Vec<Pool>, SequenceError> {
    let all = variants(options);
    let of_capture = |(number, capture): (usize, &Captured)| {
        let traffic = Traffic::read(capture)?;
        let changed = |variant: &Variant| {
            let seed = variant.seed.wrapping_add(number as u64 * 77);
            Pool::gather(capture, &traffic, Variant { seed, ..*variant }, MOST_OF_A_KIND)
        };
        Ok(Pool::of(&all.par_iter().map(changed).collect::<Vec<_>>()))
    };
    let captures: Vec<(usize, &Captured)> =
        (0..).zip(recordings).flat_map(|(n, r)| r.captures.iter().map(move |c| (n, c))).collect();
    let pools: Vec<Pool> =
        captures.par_iter().map(|one| of_capture(*one)).collect::<Result<_, SequenceError>>()?;
    let of_recording = |n: usize| {
        Pool::of(captures.iter().zip(&pools).filter(|((of, _), _)| *of == n).map(|(_, pool)| pool))
    };
    Ok((0..recordings.len()).map(of_recording).collect())
}

/// Trains a network on a pool; `heard` hears the number of each epoch and its mean loss.
///
/// # Errors
/// The pool has fewer than two classes, or the options describe no network.
pub fn fit(
    pool: &Pool,
    options: &Options,
    heard: &mut dyn FnMut(usize, f64),
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
    let hidden = places(&options.without);
    let chosen = CHOSEN.map(places);
    let mut network = without(Network::new(spec, options.seed)?, &hidden)?;
    // Adam forgets at each stage; within one the rate stands still.
    const STAGES: usize = 4;
    let mut mean = Mean::default();
    let mut epoch = 0;
    for stage in 0..STAGES {
        let share = stage as f32 / (STAGES - 1) as f32;
        let falling = 0.1 + 0.9 * 0.5 * (1.0 + (std::f32::consts::PI * share).cos());
        let config = TrainConfig {
            batch: options.batch,
            learning_rate: options.learning_rate * falling,
            seed: options.seed.wrapping_add(stage as u64),
            threads: options.threads.max(1),
            class_weights: None,
        };
        let mut trainer = Trainer::new(network, config)?;
        while epoch < options.epochs * (stage + 1) / STAGES {
            let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(epoch as u64);
            let mut drawn = pool.draw(options.windows, options.steps, options.beside_attack, seed);
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ MASKS);
            for windows in &mut drawn {
                for window in windows.x.chunks_exact_mut(windows.steps * WIDTH) {
                    let masked = |_: &&Vec<usize>| rng.random_bool(options.masked.clamp(0.0, 1.0));
                    let cleared: Vec<usize> =
                        chosen.iter().filter(masked).flatten().chain(&hidden).copied().collect();
                    window.chunks_exact_mut(WIDTH).for_each(|row| clear(row, &cleared));
                }
            }
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
            heard(epoch, loss / rows.max(1) as f64);
        }
        network = trainer.into_network();
    }
    mean.network(network)
}

/// The mean of a network's weights over the last epochs (Izmailov et al. 2018): less depends on where the last epoch
/// happened to end.
#[derive(Default)]
struct Mean {
    sums: Vec<Vec<f64>>,
    count: usize,
}

impl Mean {
    fn add(&mut self, network: &Network) {
        let tensors = network.tensors();
        self.sums.resize(tensors.len(), Vec::new());
        for (sums, (_, _, values)) in self.sums.iter_mut().zip(tensors) {
            sums.resize(values.len(), 0.0);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        }
        self.count += 1;
    }

    /// The network with the mean's weights, or as it is where nothing was added.
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

/// The places of columns in a row.
fn places(names: &[impl AsRef<str>]) -> Vec<usize> {
    let place = |name| SEQUENCE.iter().position(|column| column.name == AsRef::<str>::as_ref(name));
    names.iter().filter_map(place).collect()
}

fn clear(row: &mut [f32], places: &[usize]) {
    for place in places {
        row.get_mut(*place).into_iter().for_each(|value| *value = 0.0);
    }
}

/// The network without weights for some inputs. Where they are 0 in training too, it never gets any.
fn without(network: Network, places: &[usize]) -> Result<Network, SequenceError> {
    if places.is_empty() {
        return Ok(network);
    }
    let mut tensors = network.tensors();
    for (_, _, values) in tensors.iter_mut().filter(|(name, ..)| name == "lstm.weight_ih_l0") {
        values.chunks_exact_mut(WIDTH).for_each(|row| clear(row, places));
    }
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    Ok(Network::from_tensors(network.spec().clone(), get)?)
}

/// Rows of a bucket at a time, so that short and long windows take turns.
const PART_ROWS: usize = 256;

fn parts(drawn: &[super::pool::Windows]) -> Vec<citronella_nn::Sequences<'_>> {
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
            all.push((from, citronella_nn::Sequences { x, y, rows: to - from, lengths, ..whole }));
        }
    }
    all.sort_by_key(|(from, _)| *from);
    all.into_iter().map(|(_, part)| part).collect()
}

//! How fast this machine trains and runs a network: LSTM(64) and a dense head of 5, Adam, batch 32.

use std::hint::black_box;
use std::time::Instant;

use crate::random::Random;
use crate::{Error, Network, Simd, Spec, TrainConfig, Trainer};

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Steps a sequence.
    pub steps: usize,
    /// Values a step.
    pub features: usize,
    /// LSTM units.
    pub hidden: usize,
    /// Threads for training and for inference in batches; streaming runs on one.
    pub threads: usize,
    /// Seconds to spend on each figure.
    pub seconds: f64,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { steps: 26, features: 1, hidden: 64, threads: 1, seconds: 1.0 }
    }
}

const OUTPUTS: usize = 5;
const BATCH: usize = 32;
/// Rows an epoch.
const ROWS: usize = 32_000;

/// Values and labels without meaning: rows x steps x features, rows.
fn data(setup: &Setup, rows: usize) -> (Vec<f32>, Vec<u32>) {
    let mut random = Random::new(1, 9);
    let x = (0..rows * setup.steps * setup.features).map(|_| random.uniform() as f32 * 2.0 - 1.0).collect();
    (x, (0..rows).map(|_| random.below(OUTPUTS) as u32).collect())
}

fn network(setup: &Setup, simd: Simd) -> Result<Network, Error> {
    Ok(Network::new(Spec::new(setup.features, setup.hidden, OUTPUTS), 1)?.with_simd(simd))
}

/// Milliseconds a training step of 32 rows: the median of three epochs or more.
pub fn train_ms(setup: &Setup, simd: Simd) -> Result<f64, Error> {
    let rows = ROWS;
    let (x, y) = data(setup, rows);
    let config = TrainConfig { batch: BATCH, threads: setup.threads, ..TrainConfig::default() };
    let mut trainer = Trainer::new(network(setup, simd)?, config)?;
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < 3 || begin.elapsed().as_secs_f64() < setup.seconds {
        let begin = Instant::now();
        trainer.epoch(&x, &y, rows, setup.steps, &mut |_| ())?;
        times.push(begin.elapsed().as_secs_f64() / (rows / BATCH) as f64 * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Sequences a second at a given batch size.
pub fn infer_per_s(setup: &Setup, simd: Simd, batch: usize) -> Result<f64, Error> {
    let network = network(setup, simd)?;
    let (x, _) = data(setup, batch);
    rate(setup.seconds, batch, || {
        black_box(network.predict(black_box(&x), batch, setup.steps, setup.threads)).map(|_| ())
    })
}

/// `items` a second, each call doing `items`.
fn rate(seconds: f64, items: usize, mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    for _ in 0..5 {
        call()?;
    }
    let (mut calls, begin) = (0u64, Instant::now());
    while begin.elapsed().as_secs_f64() < seconds {
        call()?;
        calls += 1;
    }
    Ok(calls as f64 * items as f64 / begin.elapsed().as_secs_f64())
}

//! Benchmarks of training and inference on this machine: LSTM with a dense head of 5 outputs, Adam, batch 32.

mod stream;

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

pub use stream::{StreamRates, stream};

use crate::kernel::Peak;
use crate::random::Random;
use crate::{Error, Network, Precision, Simd, Spec, StreamCell, TrainConfig, Trainer};

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Steps per sequence.
    pub steps: usize,
    /// Values per step.
    pub features: usize,
    /// LSTM units.
    pub hidden: usize,
    /// Threads for training and for batch inference; streaming runs on one.
    pub threads: usize,
    /// Minimum seconds for each figure.
    pub seconds: f64,
    /// Numbers of conversations to stream over.
    pub conversations: Vec<usize>,
}

impl Default for Setup {
    fn default() -> Setup {
        let conversations = vec![1_000, 100_000, 1_000_000];
        Setup { steps: 26, features: 1, hidden: 64, threads: 1, seconds: 1.0, conversations }
    }
}

/// All figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was measured.
    pub setup: Setup,
    /// The instruction set in use.
    pub simd: &'static str,
    /// Milliseconds per training step of 32 rows: the median of at least three epochs.
    pub train_ms: f64,
    /// The best epoch.
    pub train_best_ms: f64,
    /// GFLOP/s of the matrix products in a training step, at the median.
    pub train_gflops: f64,
    /// Peak GFLOP/s of fused multiply-adds (two operations each) with as many threads.
    pub peak_gflops: f64,
    /// `train_gflops` / `peak_gflops`.
    pub share_of_peak: f64,
    /// Sequences per second at batch 1.
    pub infer_1: f64,
    /// Sequences per second at batch 32.
    pub infer_32: f64,
    /// Sequences per second at batch 1,024.
    pub infer_1024: f64,
    /// Bytes of state per conversation in f32.
    pub state_bytes: usize,
    /// For each number of conversations: f32 and, if the CPU supports it, bf16.
    pub streaming: Vec<StreamRates>,
}

/// Measures everything on the instruction set that networks use.
pub fn run(setup: &Setup) -> Result<Report, Error> {
    let simd = Simd::detect();
    let [train_best_ms, train_ms] = train_ms(setup, simd)?;
    let train_gflops = train_flops(setup) / train_ms / 1e6;
    let peak_gflops = peak_gflops(simd, setup.threads)?;
    let infer = |batch| infer_per_s(setup, simd, batch);
    let mut streaming = Vec::new();
    let probe = StreamCell::with_precision(&network(setup, simd)?, 0, Precision::Bf16);
    let bf16 = probe.ok().map(|_| Precision::Bf16);
    for precision in [Some(Precision::F32), bf16].into_iter().flatten() {
        for &conversations in &setup.conversations {
            streaming.push(stream(setup, simd, conversations, precision)?);
        }
    }
    Ok(Report {
        setup: setup.clone(),
        simd: simd.name(),
        train_ms,
        train_best_ms,
        train_gflops,
        peak_gflops,
        share_of_peak: train_gflops / peak_gflops,
        infer_1: infer(1)?,
        infer_32: infer(32)?,
        infer_1024: infer(1024)?,
        state_bytes: stream::state_bytes(setup, simd)?,
        streaming,
    })
}

const OUTPUTS: usize = 5;
const BATCH: usize = 32;
/// Rows per epoch.
const ROWS: usize = 16_000;

/// Floating-point operations of the LSTM's matrix products in a training step: forward, backward, weight gradients.
fn train_flops(setup: &Setup) -> f64 {
    let (h, depth) = (setup.hidden, 1 + setup.features + setup.hidden);
    (2 * BATCH * setup.steps * 4 * h * (2 * depth + h)) as f64
}

/// Random values (rows x steps x features) and labels (rows).
fn data(setup: &Setup, rows: usize) -> (Vec<f32>, Vec<u32>) {
    let mut random = Random::new(1, 9);
    let x = (0..rows * setup.steps * setup.features).map(|_| random.uniform() as f32 * 2.0 - 1.0).collect();
    (x, (0..rows).map(|_| random.below(OUTPUTS) as u32).collect())
}

fn network(setup: &Setup, simd: Simd) -> Result<Network, Error> {
    Ok(Network::new(Spec::new(setup.features, setup.hidden, OUTPUTS), 1)?.with_simd(simd))
}

/// Milliseconds per training step of 32 rows: best and median of at least three epochs.
pub fn train_ms(setup: &Setup, simd: Simd) -> Result<[f64; 2], Error> {
    let (x, y) = data(setup, ROWS);
    let config = TrainConfig { batch: BATCH, threads: setup.threads, ..TrainConfig::default() };
    let mut trainer = Trainer::new(network(setup, simd)?, config)?;
    let (mut times, started) = (Vec::new(), Instant::now());
    while times.len() < 3 || started.elapsed().as_secs_f64() < setup.seconds {
        let started = Instant::now();
        trainer.epoch(&x, &y, ROWS, setup.steps, &mut |_| ())?;
        times.push(started.elapsed().as_secs_f64() / (ROWS / BATCH) as f64 * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok([times[0], times[times.len() / 2]])
}

/// Sequences per second at a batch size.
pub fn infer_per_s(setup: &Setup, simd: Simd, batch: usize) -> Result<f64, Error> {
    let network = network(setup, simd)?;
    let (x, _) = data(setup, batch);
    rate(setup.seconds, batch, || {
        black_box(network.predict(black_box(&x), batch, setup.steps, setup.threads)).map(|_| ())
    })
}

/// Peak GFLOP/s with `threads` threads: the best of 20 short runs.
pub fn peak_gflops(simd: Simd, threads: usize) -> Result<f64, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| Error::Config(format!("cannot start {threads} threads: {e}")))?;
    let iterations = 1_000_000;
    let run = || {
        let started = Instant::now();
        let all =
            (0..threads).into_par_iter().with_max_len(1).map(|_| black_box(simd.run(Peak { iterations })).0);
        all.sum::<f64>() / started.elapsed().as_secs_f64() / 1e9
    };
    Ok(pool.install(|| (0..20).map(|_| run()).fold(0.0, f64::max)))
}

/// Items per second, with `items` per call.
fn rate(seconds: f64, items: usize, mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    for _ in 0..5 {
        call()?;
    }
    let (mut calls, started) = (0u64, Instant::now());
    while started.elapsed().as_secs_f64() < seconds {
        call()?;
        calls += 1;
    }
    Ok(calls as f64 * items as f64 / started.elapsed().as_secs_f64())
}

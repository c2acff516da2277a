//! A benchmark of SMOTE, on as many rows as in the LSTM paper.

use std::time::Instant;

use rand::RngExt;

use super::{
    Matrix, Smote, TrainSet,
    random::{Stream, rng},
};

/// Rows of each class before balancing: 69,200 in all.
pub const CLASS_ROWS: [usize; 5] = [24_000, 24_000, 16_000, 4_000, 1_200];
/// Inputs a row.
pub const INPUTS: usize = 26;

/// Times of SMOTE.
#[derive(Clone, Debug, PartialEq)]
pub struct SmoteTimes {
    /// Rows before balancing.
    pub rows: usize,
    /// Synthetic rows.
    pub synthetic: usize,
    /// Seconds of each run.
    pub seconds: Vec<f64>,
}

impl SmoteTimes {
    /// The median; 0 without runs.
    pub fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Times SMOTE (k = 5) on normally distributed rows with their class's number as mean. `threads`: 0 takes all.
pub fn smote(runs: usize, threads: usize) -> SmoteTimes {
    let mut rng = rng(0, Stream::Smote);
    let mut normal = || {
        let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
        radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
    };
    let (mut data, mut y) = (Vec::new(), Vec::new());
    for (class, rows) in (0u32..).zip(CLASS_ROWS) {
        data.extend((0..rows * INPUTS).map(|_| class as f32 + normal()));
        y.extend(std::iter::repeat_n(class, rows));
    }
    let train = TrainSet { x: Matrix { data, width: INPUTS }, y, classes: CLASS_ROWS.len() };
    let mut times = SmoteTimes { rows: train.y.len(), synthetic: 0, seconds: Vec::new() };
    for _ in 0..runs {
        let begin = Instant::now();
        let (balanced, _) = Smote { neighbours: 5, seed: 0 }.balance(&train, threads);
        times.seconds.push(begin.elapsed().as_secs_f64());
        times.synthetic = balanced.y.len() - train.y.len();
    }
    times
}

//! How fast SMOTE is on this machine, on rows as large as those of the LSTM paper.

use std::time::Instant;

use rand::RngExt;

use super::{
    Matrix, Smote, TrainSet,
    random::{Stream, rng},
};

/// Rows of each class before: five classes, 69,200 rows of 26 inputs.
pub const CLASS_ROWS: [usize; 5] = [24_000, 24_000, 16_000, 4_000, 1_200];
/// Inputs a row.
pub const INPUTS: usize = 26;

/// What SMOTE took.
#[derive(Clone, Debug, PartialEq)]
pub struct SmoteTimes {
    /// Rows before.
    pub rows: usize,
    /// Rows made.
    pub synthetic: usize,
    /// Seconds of each run.
    pub seconds: Vec<f64>,
}

impl SmoteTimes {
    /// The middle one; 0 without runs.
    pub fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Times SMOTE (k = 5) on standard normal rows whose mean is their class's number, on so many threads (0: all).
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

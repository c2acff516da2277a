//! SMOTE: synthetic rows between the rows of a rare class and their neighbours (Chawla et al. 2002).

use rand::RngExt;

use super::{
    Matrix, TrainSet,
    neighbours::Neighbours,
    random::{Stream, rng},
    threads::with_threads,
};

/// Raises every class to the size of the largest, as imbalanced-learn's `SMOTE` does by default. A synthetic row is
/// `x + u (n - x)` for a row `x` of the class drawn with replacement, one of its `neighbours` nearest rows `n` of the
/// same class, and `u` uniform in 0..1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smote {
    /// Neighbours to draw from (5 in the paper); a class with fewer other rows uses all of them.
    pub neighbours: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// The result for one class.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SmoteClass {
    /// Index of the class.
    pub class: u32,
    /// Its rows before balancing.
    pub rows: u64,
    /// Synthetic rows.
    pub synthetic: u64,
    /// Neighbours drawn from: fewer than requested if the class is small; 0 if its only row was repeated.
    pub neighbours: usize,
}

/// The result for the classes among the training rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SmoteReport {
    /// In the order of their indices.
    pub classes: Vec<SmoteClass>,
}

impl Smote {
    /// Returns the training rows followed by synthetic ones. The result does not depend on `threads` (0: all).
    pub fn balance(&self, train: &TrainSet, threads: usize) -> (TrainSet, SmoteReport) {
        let counts = train.counts();
        let target = counts.iter().copied().max().unwrap_or(0);
        let mut balanced = train.clone();
        let mut report = SmoteReport::default();
        let mut rng = rng(self.seed, Stream::Smote);
        for (class, &rows) in counts.iter().enumerate().filter(|(_, rows)| **rows > 0) {
            let synthetic = target - rows;
            let neighbours = self.neighbours.min(rows as usize - 1);
            let draws: Vec<Draw> = (0..synthetic)
                .map(|_| Draw {
                    row: rng.random_range(0..rows as u32),
                    neighbour: if neighbours > 0 { rng.random_range(0..neighbours) } else { 0 },
                    step: rng.random::<f32>(),
                })
                .collect();
            let points = rows_of(train, class as u32);
            let made = with_threads(threads, || synthesise(&points, &draws, neighbours));
            balanced.x.data.extend(made);
            balanced.y.extend((0..synthetic).map(|_| class as u32));
            report.classes.push(SmoteClass { class: class as u32, rows, synthetic, neighbours });
        }
        (balanced, report)
    }
}

/// The random choices for a synthetic row, drawn before any thread starts.
struct Draw {
    row: u32,
    neighbour: usize,
    step: f32,
}

fn rows_of(train: &TrainSet, class: u32) -> Matrix {
    let chosen = (0..).zip(&train.y).filter(|(_, y)| **y == class);
    Matrix { data: chosen.flat_map(|(row, _)| train.x.row(row)).copied().collect(), width: train.x.width }
}

fn synthesise(points: &Matrix, draws: &[Draw], neighbours: usize) -> Vec<f32> {
    let mut queries: Vec<u32> = draws.iter().map(|draw| draw.row).collect();
    queries.sort_unstable();
    queries.dedup();
    let near = if neighbours > 0 {
        let rows = queries.iter().flat_map(|&row| points.row(row as usize)).copied().collect();
        Neighbours::new(points).nearest(
            &Matrix { data: rows, width: points.width },
            Some(&queries),
            neighbours,
        )
    } else {
        Vec::new()
    };
    let mut made = Vec::with_capacity(draws.len() * points.width);
    for draw in draws {
        let of_row = queries.binary_search(&draw.row).ok().and_then(|at| near.get(at));
        let other = of_row.and_then(|rows| rows.get(draw.neighbour)).copied().unwrap_or(draw.row);
        let (row, other) = (points.row(draw.row as usize), points.row(other as usize));
        made.extend(row.iter().zip(other).map(|(x, n)| x + draw.step * (n - x)));
    }
    made
}

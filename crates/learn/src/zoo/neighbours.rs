//! k nearest neighbours (Cover and Hart 1967), exact, by Euclidean distance on unscaled inputs.

use serde_json::json;

use super::{Classifier, Method, ZooError, method::check};
use crate::prepare::{Matrix, Neighbours, TrainSet, with_threads};

/// The most frequent class among the `k` nearest training rows; the first of equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearestNeighbours {
    /// Neighbours that vote.
    pub k: usize,
}

struct Voters {
    points: Matrix,
    truth: Vec<u32>,
    classes: usize,
    k: usize,
}

impl Method for NearestNeighbours {
    fn name(&self) -> &'static str {
        "k-nn"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "k": self.k, "distance": "Euclidean, inputs not scaled" })
    }

    fn fit(&self, train: &TrainSet, _threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let (points, truth) = (train.x().clone(), train.y().to_vec());
        Ok(Box::new(Voters { points, truth, classes: train.classes(), k: self.k }))
    }
}

impl Classifier for Voters {
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let nearest = with_threads(threads, || Neighbours::new(&self.points).nearest(rows, None, self.k));
        let mut scores = vec![0.0; rows.rows() * self.classes];
        for (out, near) in scores.chunks_exact_mut(self.classes).zip(nearest) {
            let share = 1.0 / near.len().max(1) as f32;
            for class in near.iter().filter_map(|&row| self.truth.get(row as usize)) {
                out.iter_mut().skip(*class as usize).take(1).for_each(|votes| *votes += share);
            }
        }
        scores
    }

    fn size_bytes(&self) -> usize {
        size_of_val(&self.points.data[..]) + size_of_val(&self.truth[..])
    }
}

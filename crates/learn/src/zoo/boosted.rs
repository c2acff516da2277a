//! Gradient-boosted trees by the crate `forust-ml`, the current tabular baseline: log loss, one booster for each class
//! against the others (a single one for two classes).

use forust_ml::{GradientBooster, Matrix as Columns};
use rayon::prelude::*;
use serde_json::json;

use super::{Classifier, Method, ZooError, method::check};
use crate::prepare::{Matrix, TrainSet, with_threads};

/// Boosted trees of depth 6 with learning rate 0.3, as XGBoost's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoostedTrees {
    /// Trees of each class.
    pub trees: usize,
}

const DEPTH: usize = 6;
const LEARNING_RATE: f32 = 0.3;

struct Boosters {
    /// A booster, or the constant share of a class that has no rows or all of them.
    of_class: Vec<Result<Box<GradientBooster>, f32>>,
    width: usize,
    classes: usize,
}

impl Method for BoostedTrees {
    fn name(&self) -> &'static str {
        "boosted-trees"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "crate": "forust-ml 0.8", "loss": "log", "classes": "one against the others", "trees": self.trees,
            "depth": DEPTH, "learning_rate": LEARNING_RATE })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let columns = columns(train.x());
        let (rows, width, classes) = (train.x().rows(), train.x().width, train.classes());
        let each = |class: usize| {
            let y: Vec<f64> = train.y().iter().map(|&y| f64::from(u8::from(y as usize == class))).collect();
            let share = y.iter().sum::<f64>() / rows as f64;
            if share == 0.0 || share == 1.0 {
                return Ok(Err(share as f32));
            }
            let mut booster = GradientBooster::default()
                .set_iterations(self.trees)
                .set_learning_rate(LEARNING_RATE)
                .set_max_depth(DEPTH)
                .set_parallel(false);
            let fitted = booster.fit_unweighted(&Columns::new(&columns, rows, width), &y, None);
            fitted.map_err(|error| ZooError::Fit { model: "boosted-trees", problem: error.to_string() })?;
            Ok(Ok(Box::new(booster)))
        };
        let first = if classes == 2 { 1 } else { 0 };
        let fit = || (first..classes).into_par_iter().map(each).collect::<Result<Vec<_>, ZooError>>();
        Ok(Box::new(Boosters { of_class: with_threads(threads, fit)?, width, classes }))
    }
}

fn columns(rows: &Matrix) -> Vec<f64> {
    let column = |at: usize| rows.data.iter().skip(at).step_by(rows.width.max(1)).map(|x| f64::from(*x));
    (0..rows.width).flat_map(column).collect()
}

impl Classifier for Boosters {
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let (columns, count) = (columns(rows), rows.rows());
        let each = |booster: &Result<Box<GradientBooster>, f32>| match booster {
            Ok(booster) => {
                let data = Columns::new(&columns, count, self.width);
                booster
                    .predict(&data, false)
                    .into_iter()
                    .map(|log| (1.0 / (1.0 + (-log).exp())) as f32)
                    .collect()
            }
            Err(share) => vec![*share; count],
        };
        let of_class: Vec<Vec<f32>> = with_threads(threads, || self.of_class.par_iter().map(each).collect());
        if let (2, [attack]) = (self.classes, of_class.as_slice()) {
            return attack.iter().flat_map(|p| [1.0 - p, *p]).collect();
        }
        let mut scores = vec![0.0; count * self.classes];
        for (row, out) in scores.chunks_exact_mut(self.classes.max(1)).enumerate() {
            let raw = of_class.iter().map(|of| of.get(row).copied().unwrap_or_default());
            let sum: f32 = raw.clone().sum();
            out.iter_mut().zip(raw).for_each(|(out, p)| *out = if sum > 0.0 { p / sum } else { p });
        }
        scores
    }

    /// The size of their JSON; the crate gives no other.
    fn size_bytes(&self) -> usize {
        let size = |booster: &Result<Box<GradientBooster>, f32>| match booster {
            Ok(booster) => booster.json_dump().map_or(0, |json| json.len()),
            Err(_) => 4,
        };
        self.of_class.iter().map(size).sum()
    }
}

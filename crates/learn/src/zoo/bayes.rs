//! Gaussian naive Bayes with scikit-learn's smoothing: 1e-9 of the largest variance is added to every variance.

use rayon::prelude::*;
use serde_json::json;

use super::{Classifier, Method, ZooError, method::check};
use crate::prepare::{Matrix, TrainSet, with_threads};

/// Gaussian naive Bayes: inputs are independent and normally distributed within each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GaussianNaiveBayes;

struct Normals {
    width: usize,
    /// For each class with rows: its index, the log of its prior and normalising factor, means, and 1 / (2 variance).
    classes: Vec<(usize, f64, Vec<f64>, Vec<f64>)>,
    count: usize,
}

const SMOOTHING: f64 = 1e-9;

impl Method for GaussianNaiveBayes {
    fn name(&self) -> &'static str {
        "naive-bayes"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "distribution": "normal", "variance_smoothing": SMOOTHING })
    }

    fn fit(&self, train: &TrainSet, _threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let (width, rows) = (train.x().width, train.x().rows() as f64);
        let all: Vec<&[f32]> = train.x().data.chunks_exact(width).collect();
        let largest = moments(&all, width).1.into_iter().fold(0.0, f64::max);
        let classes = (0..train.classes()).filter_map(|class| {
            let own = all.iter().zip(train.y()).filter(|(_, y)| **y as usize == class).map(|(row, _)| *row);
            let own: Vec<&[f32]> = own.collect();
            if own.is_empty() {
                return None;
            }
            let (means, variances) = moments(&own, width);
            let variances = variances.into_iter().map(|v| (v + SMOOTHING * largest).max(f64::MIN_POSITIVE));
            let variances: Vec<f64> = variances.collect();
            let spread: f64 = variances.iter().map(|v| (std::f64::consts::TAU * v).ln() / 2.0).sum();
            let halves = variances.iter().map(|v| 0.5 / v).collect();
            Some((class, (own.len() as f64 / rows).ln() - spread, means, halves))
        });
        Ok(Box::new(Normals { width, classes: classes.collect(), count: train.classes() }))
    }
}

/// Means and population variances.
fn moments(rows: &[&[f32]], width: usize) -> (Vec<f64>, Vec<f64>) {
    let n = rows.len().max(1) as f64;
    let (mut means, mut variances) = (vec![0.0; width], vec![0.0; width]);
    for row in rows {
        means.iter_mut().zip(*row).for_each(|(mean, x)| *mean += f64::from(*x) / n);
    }
    for row in rows {
        let off = row.iter().zip(&means).map(|(x, mean)| f64::from(*x) - mean);
        variances.iter_mut().zip(off).for_each(|(variance, off)| *variance += off * off / n);
    }
    (means, variances)
}

impl Classifier for Normals {
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let mut scores = vec![0.0; rows.rows() * self.count];
        let each = |(out, row): (&mut [f32], &[f32])| {
            let mut logs = vec![f64::NEG_INFINITY; self.count];
            for (class, base, means, halves) in &self.classes {
                let off = row.iter().zip(means).zip(halves);
                let log = base - off.map(|((x, m), h)| (f64::from(*x) - m).powi(2) * h).sum::<f64>();
                logs.iter_mut().skip(*class).take(1).for_each(|of_class| *of_class = log);
            }
            let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logs.iter().map(|log| (log - highest).exp()).sum();
            out.iter_mut().zip(&logs).for_each(|(p, log)| *p = ((log - highest).exp() / sum) as f32);
        };
        with_threads(threads, || {
            let out = scores.par_chunks_exact_mut(self.count.max(1));
            out.zip(rows.data.par_chunks_exact(self.width.max(1))).with_min_len(256).for_each(each);
        });
        scores
    }

    fn size_bytes(&self) -> usize {
        self.classes.len() * (2 * self.width + 1) * size_of::<f64>()
    }
}

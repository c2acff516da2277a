//! Linear models: logistic regression (softmax) and the linear SVM (squared hinge, one class against the others), with
//! an L2 penalty and C = 1 as scikit-learn's `LogisticRegression` and `LinearSVC` define them, fitted by L-BFGS. Inputs are
//! standardised over the training rows; without that neither converges.

use citronella_nn::{View, multiply};
use rayon::prelude::*;
use serde_json::json;

use super::{Classifier, Method, ZooError, lbfgs, method::check, scale::Scale};
use crate::prepare::{Matrix, TrainSet, with_threads};

/// Logistic regression: softmax over linear scores. Intercepts are not penalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogisticRegression;

/// The linear SVM: a separating plane for each class. Intercepts are penalised, as in LIBLINEAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinearSvm;

#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Softmax,
    SquaredHinge,
}

/// L-BFGS iterations, at most.
const ITERATIONS: usize = 400;

struct Linear {
    scale: Scale,
    loss: Loss,
    width: usize,
    /// classes x inputs, then the intercepts.
    weights: Vec<f32>,
    classes: usize,
}

impl Method for LogisticRegression {
    fn name(&self) -> &'static str {
        "logistic-regression"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "penalty": "L2", "C": 1.0, "solver": "L-BFGS", "iterations": ITERATIONS, "inputs": "standardised" })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        Ok(Box::new(with_threads(threads, || fit(train, Loss::Softmax))))
    }
}

impl Method for LinearSvm {
    fn name(&self) -> &'static str {
        "svm-linear"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "loss": "squared hinge", "penalty": "L2", "C": 1.0, "solver": "L-BFGS", "iterations": ITERATIONS,
            "classes": "one against the others", "inputs": "standardised" })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        Ok(Box::new(with_threads(threads, || fit(train, Loss::SquaredHinge))))
    }
}

/// Rows of a partial sum of the loss: fixed, so that the order of summation does not depend on the threads.
const ROWS: usize = 2048;

fn fit(train: &TrainSet, loss: Loss) -> Linear {
    let scale = Scale::fit(train);
    let x = scale.apply(train.x());
    let (width, classes) = (x.width, train.classes());
    let n = width * classes;
    // The mean loss, so that the stopping tolerance does not depend on the number of rows.
    let rows = x.rows().max(1) as f64;
    let mut objective = |weights: &[f64], gradient: &mut [f64]| {
        let narrow: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        let parts: Vec<(f64, Vec<f32>)> = x
            .data
            .par_chunks(ROWS * width)
            .zip(train.y().par_chunks(ROWS))
            .map(|(x, y)| part(loss, x, y, &narrow, width, classes))
            .collect();
        gradient.fill(0.0);
        let mut sum = 0.0;
        for (loss, part) in parts {
            sum += loss;
            gradient.iter_mut().zip(part).for_each(|(sum, g)| *sum += f64::from(g));
        }
        let penalised = if loss == Loss::Softmax { n } else { n + classes };
        for (gradient, weight) in gradient.iter_mut().zip(weights).take(penalised) {
            *gradient += weight;
            sum += weight * weight / 2.0;
        }
        gradient.iter_mut().for_each(|g| *g /= rows);
        sum / rows
    };
    let weights = lbfgs::minimise(n + classes, ITERATIONS, 1e-5, &mut objective);
    Linear { scale, loss, width, weights: weights.into_iter().map(|w| w as f32).collect(), classes }
}

/// Linear scores, rows x classes.
fn linear(x: &[f32], weights: &[f32], width: usize, classes: usize) -> Vec<f32> {
    let rows = x.len() / width.max(1);
    let (planes, intercepts) = weights.split_at(width * classes);
    let mut scores = intercepts.repeat(rows);
    multiply(View::new(x, rows, width), View::new(planes, classes, width).transposed(), 1.0, &mut scores);
    scores
}

/// The loss and its gradient over some rows.
fn part(loss: Loss, x: &[f32], y: &[u32], weights: &[f32], width: usize, classes: usize) -> (f64, Vec<f32>) {
    let mut slopes = linear(x, weights, width, classes);
    let mut sum = 0.0;
    for (row, &class) in slopes.chunks_exact_mut(classes).zip(y) {
        match loss {
            Loss::Softmax => {
                softmax(row);
                for (at, p) in row.iter_mut().enumerate().skip(class as usize).take(1) {
                    debug_assert_eq!(at, class as usize);
                    sum -= f64::from(p.max(1e-30).ln());
                    *p -= 1.0;
                }
            }
            Loss::SquaredHinge => {
                for (at, score) in row.iter_mut().enumerate() {
                    let sign = if at == class as usize { 1.0 } else { -1.0 };
                    let short = (1.0 - sign * *score).max(0.0);
                    sum += f64::from(short * short);
                    *score = -2.0 * sign * short;
                }
            }
        }
    }
    let rows = y.len();
    let mut gradient = vec![0.0; width * classes];
    multiply(View::new(&slopes, rows, classes).transposed(), View::new(x, rows, width), 0.0, &mut gradient);
    let intercepts = (0..classes).map(|class| slopes.iter().skip(class).step_by(classes).sum::<f32>());
    gradient.extend(intercepts);
    (sum, gradient)
}

fn softmax(row: &mut [f32]) {
    let highest = row.iter().fold(f32::MIN, |a, b| a.max(*b));
    row.iter_mut().for_each(|value| *value = (*value - highest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

impl Classifier for Linear {
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let x = self.scale.apply(rows);
        with_threads(threads, || {
            let parts = x.data.par_chunks(ROWS * self.width.max(1));
            let each = |x: &[f32]| {
                let mut scores = linear(x, &self.weights, self.width, self.classes);
                if self.loss == Loss::Softmax {
                    scores.chunks_exact_mut(self.classes).for_each(softmax);
                }
                scores
            };
            parts.flat_map_iter(each).collect()
        })
    }

    fn size_bytes(&self) -> usize {
        size_of_val(&self.weights[..]) + self.scale.size_bytes()
    }
}

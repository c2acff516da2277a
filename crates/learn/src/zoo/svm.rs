//! The support-vector machine with an RBF kernel, one class against one, by sequential minimal optimisation (Fan, Chen
//! and Lin 2005, working sets by second-order information), as LIBSVM and scikit-learn's `SVC` define it: C = 1, gamma =
//! 1 / (inputs x variance). Inputs are standardised over the training rows.
//!
//! The kernel matrix of each two classes is in memory, so training takes a capped random sample, stratified by class.

use citronella_nn::{View, multiply};
use rayon::prelude::*;
use serde_json::json;

use super::{Classifier, Method, ZooError, method::check, scale::Scale};
use crate::prepare::{Matrix, Stream, TrainSet, rng, shuffle, with_threads};

/// An RBF SVM on a capped number of training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RbfSvm {
    /// Training rows, at most.
    pub max_rows: usize,
    /// Seed of the sample.
    pub seed: u64,
}

const C: f64 = 1.0;
/// The tolerance of the optimality conditions, as LIBSVM's.
const TOLERANCE: f64 = 1e-3;
const MAX_STEPS: usize = 200_000;

struct Machine {
    scale: Scale,
    gamma: f32,
    /// The support vectors of all pairs.
    support: Matrix,
    pairs: Vec<Pair>,
    classes: usize,
}

/// The classifier of two classes: `a` if its decision value is positive, else `b`.
struct Pair {
    a: usize,
    b: usize,
    /// Row of `support`, and its signed weight.
    weights: Vec<(u32, f32)>,
    offset: f32,
}

impl Method for RbfSvm {
    fn name(&self) -> &'static str {
        "svm-rbf"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "kernel": "RBF", "gamma": "scale", "C": C, "classes": "one against one", "inputs": "standardised",
            "max_training_rows": self.max_rows, "seed": self.seed })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        Ok(Box::new(with_threads(threads, || self.machine(train))))
    }
}

impl RbfSvm {
    /// Training rows of each class: all, or a random share.
    fn rows(&self, train: &TrainSet) -> Vec<Vec<u32>> {
        let mut of_class = vec![Vec::new(); train.classes()];
        for (row, &class) in (0..).zip(train.y()) {
            if let Some(rows) = of_class.get_mut(class as usize) {
                rows.push(row);
            }
        }
        let share = (self.max_rows as f64 / train.y().len().max(1) as f64).min(1.0);
        let mut rng = rng(self.seed, Stream::Model);
        for rows in &mut of_class {
            shuffle(&mut rng, rows);
            rows.truncate((rows.len() as f64 * share).ceil() as usize);
            rows.sort_unstable();
        }
        of_class
    }

    fn machine(&self, train: &TrainSet) -> Machine {
        let scale = Scale::fit(train);
        let of_class = self.rows(train);
        let width = train.x().width;
        let sample: Vec<f32> =
            of_class.iter().flatten().flat_map(|&row| train.x().row(row as usize)).copied().collect();
        let x = scale.apply(&Matrix { data: sample, width });
        let mean = x.data.iter().map(|v| f64::from(*v)).sum::<f64>() / x.data.len().max(1) as f64;
        let variance =
            x.data.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / x.data.len().max(1) as f64;
        let gamma = if variance > 0.0 { (1.0 / (width as f64 * variance)) as f32 } else { 1.0 };
        let mut ranges = Vec::new();
        let mut first = 0;
        for rows in &of_class {
            ranges.push(first..first + rows.len());
            first += rows.len();
        }
        let classes = train.classes();
        let pairs = (0..classes).flat_map(|a| (a + 1..classes).map(move |b| (a, b)));
        let pairs: Vec<(usize, usize)> = pairs
            .filter(|(a, b)| {
                ranges.get(*a).is_some_and(|r| !r.is_empty()) && ranges.get(*b).is_some_and(|r| !r.is_empty())
            })
            .collect();
        let solve = |&(a, b): &(usize, usize)| {
            let rows = |class: usize| ranges.get(class).cloned().unwrap_or_default();
            let own: Vec<u32> = rows(a).chain(rows(b)).map(|row| row as u32).collect();
            let signs: Vec<f64> =
                own.iter().map(|row| if rows(a).contains(&(*row as usize)) { 1.0 } else { -1.0 }).collect();
            let data: Vec<f32> = own.iter().flat_map(|&row| x.row(row as usize)).copied().collect();
            let kernel = kernel(&data, &data, width, gamma);
            let (alphas, offset) = solve(&kernel, &signs);
            let weights = own.iter().zip(alphas.iter().zip(&signs)).filter(|(_, (alpha, _))| **alpha > 0.0);
            let weights = weights.map(|(&row, (alpha, sign))| (row, (alpha * sign) as f32)).collect();
            Pair { a, b, weights, offset: offset as f32 }
        };
        let mut pairs: Vec<Pair> = pairs.par_iter().map(solve).collect();
        // Keep only support vectors.
        let mut index = vec![u32::MAX; x.rows()];
        let mut support = Matrix { data: Vec::new(), width };
        for (row, _) in pairs.iter_mut().flat_map(|pair| &mut pair.weights) {
            let Some(index) = index.get_mut(*row as usize) else { continue };
            if *index == u32::MAX {
                *index = (support.data.len() / width) as u32;
                support.data.extend_from_slice(x.row(*row as usize));
            }
            *row = *index;
        }
        Machine { scale, gamma, support, pairs, classes }
    }
}

/// exp(-gamma |a - b|^2) for each row of `a` and each of `b`.
fn kernel(a: &[f32], b: &[f32], width: usize, gamma: f32) -> Vec<f32> {
    let lengths = |rows: &[f32]| -> Vec<f32> {
        rows.chunks_exact(width).map(|row| row.iter().map(|x| x * x).sum()).collect()
    };
    let (of_a, of_b) = (lengths(a), lengths(b));
    let mut out = vec![0.0; of_a.len() * of_b.len()];
    multiply(View::new(a, of_a.len(), width), View::new(b, of_b.len(), width).transposed(), 0.0, &mut out);
    for (row, a) in out.chunks_exact_mut(of_b.len().max(1)).zip(&of_a) {
        for (value, b) in row.iter_mut().zip(&of_b) {
            *value = (-gamma * (a + b - 2.0 * *value).max(0.0)).exp();
        }
    }
    out
}

/// Solves the dual problem: the weight of each row, 0 to C, and the offset.
fn solve(kernel: &[f32], signs: &[f64]) -> (Vec<f64>, f64) {
    let n = signs.len();
    let mut alphas = vec![0.0f64; n];
    let mut gradient = vec![-1.0f64; n];
    let row = |at: usize| kernel.get(at * n..(at + 1) * n).unwrap_or_default();
    let up = |sign: f64, alpha: f64| if sign > 0.0 { alpha < C } else { alpha > 0.0 };
    let low = |sign: f64, alpha: f64| if sign > 0.0 { alpha > 0.0 } else { alpha < C };
    for _ in 0..MAX_STEPS {
        // The row that violates the conditions most, and the one that gains most with it.
        let (mut i, mut highest) = (usize::MAX, f64::NEG_INFINITY);
        for (t, ((sign, alpha), g)) in signs.iter().zip(&alphas).zip(&gradient).enumerate() {
            if up(*sign, *alpha) && -sign * g > highest {
                (i, highest) = (t, -sign * g);
            }
        }
        let with_i = row(i.min(n));
        let (mut j, mut gain, mut lowest) = (usize::MAX, 0.0f64, f64::INFINITY);
        for (t, (((sign, alpha), g), k)) in signs.iter().zip(&alphas).zip(&gradient).zip(with_i).enumerate() {
            if !low(*sign, *alpha) {
                continue;
            }
            lowest = lowest.min(-sign * g);
            let ahead = highest + sign * g;
            if ahead > 0.0 {
                let curve = (2.0 - 2.0 * f64::from(*k)).max(1e-12);
                if ahead * ahead / curve > gain {
                    (j, gain) = (t, ahead * ahead / curve);
                }
            }
        }
        if highest - lowest < TOLERANCE || j == usize::MAX {
            break;
        }
        let get = |values: &[f64], at: usize| values.get(at).copied().unwrap_or_default();
        let curve = (2.0 - 2.0 * f64::from(with_i.get(j).copied().unwrap_or_default())).max(1e-12);
        let (of_i, of_j) = (get(signs, i), get(signs, j));
        let step = (highest + of_j * get(&gradient, j)) / curve;
        // The sum of the signed weights is constant; both weights stay within 0..C.
        let limit_i = if of_i > 0.0 { C - get(&alphas, i) } else { get(&alphas, i) };
        let limit_j = if of_j > 0.0 { get(&alphas, j) } else { C - get(&alphas, j) };
        let step = step.min(limit_i).min(limit_j);
        for (at, by) in [(i, step * of_i), (j, -step * of_j)] {
            if let Some(alpha) = alphas.get_mut(at) {
                *alpha = (*alpha + by).clamp(0.0, C);
                if *alpha < 1e-12 {
                    *alpha = 0.0;
                } else if C - *alpha < 1e-12 {
                    *alpha = C;
                }
            }
        }
        for ((g, sign), (with_i, with_j)) in gradient.iter_mut().zip(signs).zip(with_i.iter().zip(row(j))) {
            *g += sign * step * (f64::from(*with_i) - f64::from(*with_j));
        }
    }
    let (mut sum, mut free, mut above, mut below) = (0.0, 0, f64::INFINITY, f64::NEG_INFINITY);
    for ((sign, alpha), g) in signs.iter().zip(&alphas).zip(&gradient) {
        let at = sign * g;
        if *alpha > 0.0 && *alpha < C {
            (sum, free) = (sum + at, free + 1);
        } else if up(*sign, *alpha) {
            above = above.min(at);
        } else {
            below = below.max(at);
        }
    }
    let rho = if free > 0 { sum / f64::from(free) } else { f64::midpoint(above, below) };
    (alphas, -rho)
}

/// Rows of a parallel chunk.
const ROWS: usize = 256;

impl Classifier for Machine {
    /// The votes of the pairs plus a share of their decision values below one vote, as scikit-learn's `decision_function`.
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let x = self.scale.apply(rows);
        let (width, count) = (x.width.max(1), self.support.rows());
        let each = |part: &[f32]| {
            let kernel = kernel(part, &self.support.data, width, self.gamma);
            let mut scores = vec![0.0f32; part.len() / width * self.classes];
            for (at, out) in scores.chunks_exact_mut(self.classes).enumerate() {
                let kernel = kernel.get(at * count..(at + 1) * count).unwrap_or_default();
                let (mut votes, mut sums) = (vec![0.0f32; self.classes], vec![0.0f32; self.classes]);
                for pair in &self.pairs {
                    let terms = pair
                        .weights
                        .iter()
                        .map(|(row, w)| w * kernel.get(*row as usize).copied().unwrap_or_default());
                    let value = pair.offset + terms.sum::<f32>();
                    let mut add = |class: usize, vote: f32, value: f32| {
                        votes.iter_mut().skip(class).take(1).for_each(|v| *v += vote);
                        sums.iter_mut().skip(class).take(1).for_each(|s| *s += value);
                    };
                    add(pair.a, f32::from(value > 0.0), value);
                    add(pair.b, f32::from(value <= 0.0), -value);
                }
                for ((out, votes), sum) in out.iter_mut().zip(votes).zip(sums) {
                    *out = votes + sum / (3.0 * (sum.abs() + 1.0));
                }
            }
            scores
        };
        with_threads(threads, || x.data.par_chunks(ROWS * width).flat_map_iter(each).collect())
    }

    fn size_bytes(&self) -> usize {
        let pairs: usize = self.pairs.iter().map(|pair| size_of_val(&pair.weights[..]) + 4).sum();
        size_of_val(&self.support.data[..]) + pairs + self.scale.size_bytes()
    }
}

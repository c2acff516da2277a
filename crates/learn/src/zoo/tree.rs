//! Decision trees and random forests with exact splits by entropy, as scikit-learn's CART grows them; and a shallow tree
//! over bins by class-balanced Gini impurity.
//!
//! In: training rows, `f32`. Out: trees with the classes' shares in each leaf. A threshold lies halfway between two
//! neighbouring values. A node is split until it is pure or all inputs are constant. Of equal splits the first in a
//! random order of the inputs wins, drawn for each node.

mod binned;
mod gini;
mod grow;
mod ranks;
mod split;

pub(crate) use binned::BinnedTree;

use rand::RngExt;
use rayon::prelude::*;
use serde_json::json;

use super::{Classifier, Method, ZooError, method::check};
use crate::prepare::{Matrix, Stream, TrainSet, rng, with_threads};
use grow::Grower;
use ranks::Ranks;

/// A decision tree (entropy), grown until its leaves are pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionTree {
    /// Seed of the order of inputs.
    pub seed: u64,
}

/// A random forest (entropy): each tree on a bootstrap sample, each split over a random choice of as many inputs as the
/// square root of their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomForest {
    /// The number of trees (10 in Hindy et al. 2020).
    pub trees: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Method for DecisionTree {
    fn name(&self) -> &'static str {
        "decision-tree"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "criterion": "entropy", "seed": self.seed })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let grow = || {
            let ranks = Ranks::new(train.x());
            let weights = vec![1; train.x().rows()];
            let mut rng = rng(self.seed, Stream::Model);
            let tree = Grower::new(&ranks, train.y(), train.classes(), train.x().width)
                .grow(&weights, Some(&mut rng));
            Forest { trees: vec![tree], classes: train.classes() }
        };
        Ok(Box::new(with_threads(threads, grow)))
    }
}

impl Method for RandomForest {
    fn name(&self) -> &'static str {
        "random-forest"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "trees": self.trees, "criterion": "entropy", "inputs_per_split": "sqrt", "seed": self.seed })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let rows = train.x().rows();
        let inputs = (train.x().width as f64).sqrt() as usize;
        let grow = || {
            let ranks = Ranks::new(train.x());
            let one = |tree: usize| {
                let mut rng = rng(self.seed.wrapping_add(tree as u64), Stream::Model);
                let mut weights = vec![0u32; rows];
                for _ in 0..rows {
                    if let Some(weight) = weights.get_mut(rng.random_range(0..rows)) {
                        *weight += 1;
                    }
                }
                Grower::new(&ranks, train.y(), train.classes(), inputs.max(1)).grow(&weights, Some(&mut rng))
            };
            let trees = (0..self.trees.max(1)).into_par_iter().map(one).collect();
            Forest { trees, classes: train.classes() }
        };
        Ok(Box::new(with_threads(threads, grow)))
    }
}

/// Trees whose leaves' shares are averaged; a decision tree is a forest of one.
struct Forest {
    trees: Vec<Tree>,
    classes: usize,
}

/// Nodes, the root first, and the leaves' shares, leaves x classes.
pub(super) struct Tree {
    nodes: Vec<Node>,
    shares: Vec<f32>,
}

#[derive(Clone, Copy)]
pub(super) struct Node {
    /// The input to compare; [`LEAF`] in a leaf.
    input: u32,
    /// `x <= threshold` goes left.
    threshold: f32,
    /// The left child, which the right one follows; in a leaf its number.
    next: u32,
}

const LEAF: u32 = u32::MAX;

impl Tree {
    fn shares_of(&self, row: &[f32], classes: usize) -> &[f32] {
        let first = self.leaf(|input| row.get(input).copied().unwrap_or(f32::NAN)) * classes;
        self.shares.get(first..first + classes).unwrap_or_default()
    }

    /// The number of the leaf of a row, given as its inputs' values; NaN goes right.
    #[inline]
    fn leaf(&self, value: impl Fn(usize) -> f32) -> usize {
        let mut at = 0usize;
        while let Some(node) = self.nodes.get(at) {
            if node.input == LEAF {
                return node.next as usize;
            }
            let is_left = value(node.input as usize) <= node.threshold;
            at = node.next as usize + usize::from(!is_left);
        }
        0
    }
}

/// Rows of a parallel chunk.
const ROWS: usize = 1024;

impl Classifier for Forest {
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let mut scores = vec![0.0; rows.rows() * self.classes];
        let share = 1.0 / self.trees.len().max(1) as f32;
        let each = |(out, x): (&mut [f32], &[f32])| {
            for tree in &self.trees {
                for (out, row) in out.chunks_exact_mut(self.classes).zip(x.chunks_exact(rows.width.max(1))) {
                    out.iter_mut()
                        .zip(tree.shares_of(row, self.classes))
                        .for_each(|(sum, s)| *sum += s * share);
                }
            }
        };
        with_threads(threads, || {
            let parts = scores.par_chunks_mut(ROWS * self.classes.max(1));
            parts.zip(rows.data.par_chunks(ROWS * rows.width.max(1))).for_each(each);
        });
        scores
    }

    fn size_bytes(&self) -> usize {
        let bytes = |tree: &Tree| size_of_val(&tree.nodes[..]) + size_of_val(&tree.shares[..]);
        self.trees.iter().map(bytes).sum()
    }
}

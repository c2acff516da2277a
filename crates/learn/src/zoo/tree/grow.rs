//! Growing one tree.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    LEAF, Node, Tree,
    ranks::{Column, Ranks},
};

/// From this many rows a node's inputs are tried side by side.
const PARALLEL_ROWS: usize = 1 << 13;

/// Grows trees over the same rows.
pub(super) struct Grower<'a> {
    ranks: &'a Ranks,
    truth: &'a [u32],
    classes: usize,
    /// Inputs tried at a split, those that cannot split not counted.
    inputs: usize,
    /// n log2 n.
    n_log_n: Vec<f64>,
}

/// The best split of a node by one input.
#[derive(Clone, Copy)]
struct Split {
    /// Sum over both sides and all classes of n log2 n, less the sides' own: higher is purer.
    purity: f64,
    /// The last rank that goes left, and the first that goes right.
    ranks: (u32, u32),
}

/// A node whose rows are still to be looked at.
struct Open {
    node: usize,
    rows: std::ops::Range<usize>,
}

/// Rows of a node that share a rank, as they are met in order.
struct Scan<'g> {
    n_log_n: &'g [f64],
    left: Vec<u32>,
    right: Vec<u32>,
    left_sum: f64,
    right_sum: f64,
    left_rows: u32,
    right_rows: u32,
}

impl Scan<'_> {
    fn of(&self, n: u32) -> f64 {
        self.n_log_n.get(n as usize).copied().unwrap_or_default()
    }

    fn pass(&mut self, class: usize, weight: u32) {
        let (Some(&left), Some(&right)) = (self.left.get(class), self.right.get(class)) else { return };
        self.left_sum += self.of(left + weight) - self.of(left);
        self.right_sum += self.of(right - weight) - self.of(right);
        if let (Some(l), Some(r)) = (self.left.get_mut(class), self.right.get_mut(class)) {
            *l += weight;
            *r -= weight;
        }
        self.left_rows += weight;
        self.right_rows -= weight;
    }

    fn purity(&self) -> f64 {
        self.left_sum - self.of(self.left_rows) + self.right_sum - self.of(self.right_rows)
    }
}

impl<'a> Grower<'a> {
    pub(super) fn new(ranks: &'a Ranks, truth: &'a [u32], classes: usize, inputs: usize) -> Self {
        let n_log_n = (0..=ranks.rows()).map(|n| n as f64 * (n.max(1) as f64).log2()).collect();
        Grower { ranks, truth, classes, inputs, n_log_n }
    }

    /// Grows a tree over the rows with a weight; the weights add up to no more than the rows.
    pub(super) fn grow(&self, weights: &[u32], rng: &mut ChaCha8Rng) -> Tree {
        let mut rows: Vec<u32> = (0..).zip(weights).filter(|(_, w)| **w > 0).map(|(row, _)| row).collect();
        let mut tree = Tree { nodes: Vec::new(), shares: Vec::new() };
        let mut order: Vec<usize> = (0..self.ranks.columns().len()).collect();
        let leaf = Node { input: LEAF, threshold: 0.0, next: 0 };
        tree.nodes.push(leaf);
        let mut open = vec![Open { node: 0, rows: 0..rows.len() }];
        while let Some(Open { node, rows: range }) = open.pop() {
            let Some(here) = rows.get_mut(range.clone()) else { continue };
            let counts = self.counts(here, weights);
            let best = match counts.iter().filter(|n| **n > 0).count() {
                0 | 1 => None,
                _ => self.best(here, weights, &counts, &mut order, rng),
            };
            let Some((input, split)) = best else {
                let total = counts.iter().sum::<u32>().max(1) as f32;
                let number = tree.shares.len() / self.classes;
                tree.shares.extend(counts.iter().map(|&n| n as f32 / total));
                set(&mut tree.nodes, node, Node { next: number as u32, ..leaf });
                continue;
            };
            let Some(column) = self.ranks.columns().get(input) else { continue };
            let left = partition(here, |row| rank(column, row) <= split.ranks.0);
            let next = tree.nodes.len() as u32;
            let threshold = column.between(split.ranks.0, split.ranks.1);
            set(&mut tree.nodes, node, Node { input: input as u32, threshold, next });
            tree.nodes.extend([leaf; 2]);
            let middle = range.start + left;
            open.push(Open { node: next as usize + 1, rows: middle..range.end });
            open.push(Open { node: next as usize, rows: range.start..middle });
        }
        tree
    }

    fn class(&self, row: u32) -> usize {
        self.truth.get(row as usize).map_or(0, |&class| class as usize)
    }

    fn counts(&self, rows: &[u32], weights: &[u32]) -> Vec<u32> {
        let mut counts = vec![0; self.classes];
        for &row in rows {
            if let Some(count) = counts.get_mut(self.class(row)) {
                *count += weight(weights, row);
            }
        }
        counts
    }

    /// The best split over inputs in a random order: as many as are tried at a split, and more until one can split.
    fn best(
        &self,
        rows: &[u32],
        weights: &[u32],
        counts: &[u32],
        order: &mut [usize],
        rng: &mut ChaCha8Rng,
    ) -> Option<(usize, Split)> {
        for last in (1..order.len()).rev() {
            order.swap(last, rng.random_range(0..=last));
        }
        let split = |&input: &usize| {
            let column = self.ranks.columns().get(input)?;
            Some((input, self.split(column, rows, weights, counts)?))
        };
        let better = |best: Option<(usize, Split)>, one: (usize, Split)| match best {
            Some(best) if best.1.purity >= one.1.purity => Some(best),
            _ => Some(one),
        };
        if self.inputs >= order.len() && rows.len() >= PARALLEL_ROWS {
            let all: Vec<_> = order.par_iter().map(split).collect();
            return all.into_iter().flatten().fold(None, better);
        }
        order.iter().filter_map(split).take(self.inputs).fold(None, better)
    }

    /// The purest split by one input; `None` where all rows have the same value.
    fn split(&self, column: &Column, rows: &[u32], weights: &[u32], counts: &[u32]) -> Option<Split> {
        let range = rows.iter().map(|&row| rank(column, row));
        let (low, high) = range.fold((u32::MAX, 0), |(low, high), rank| (low.min(rank), high.max(rank)));
        if low >= high {
            return None;
        }
        let mut scan = Scan {
            n_log_n: &self.n_log_n,
            left: vec![0; self.classes],
            right: counts.to_vec(),
            left_sum: 0.0,
            right_sum: 0.0,
            left_rows: 0,
            right_rows: counts.iter().sum(),
        };
        scan.right_sum = counts.iter().map(|&n| scan.of(n)).sum();
        let mut best: Option<Split> = None;
        let mut before = low;
        let mut arrive = |rank: u32, scan: &Scan<'_>| {
            if rank > before {
                let purity = scan.purity();
                if best.is_none_or(|best| purity > best.purity) {
                    best = Some(Split { purity, ranks: (before, rank) });
                }
                before = rank;
            }
        };
        let span = (high - low) as usize + 1;
        if span <= 2 * rows.len() {
            let mut table = vec![0u32; span * self.classes];
            for &row in rows {
                let at = (rank(column, row) - low) as usize * self.classes + self.class(row);
                if let Some(count) = table.get_mut(at) {
                    *count += weight(weights, row);
                }
            }
            for (rank, counts) in (low..).zip(table.chunks_exact(self.classes)) {
                if counts.iter().all(|n| *n == 0) {
                    continue;
                }
                arrive(rank, &scan);
                counts
                    .iter()
                    .enumerate()
                    .filter(|(_, n)| **n > 0)
                    .for_each(|(class, &n)| scan.pass(class, n));
            }
        } else {
            let mut sorted: Vec<(u32, u32)> = rows.iter().map(|&row| (rank(column, row), row)).collect();
            sorted.sort_unstable();
            for (rank, row) in sorted {
                arrive(rank, &scan);
                scan.pass(self.class(row), weight(weights, row));
            }
        }
        best
    }
}

fn rank(column: &Column, row: u32) -> u32 {
    column.ranks.get(row as usize).copied().unwrap_or_default()
}

fn weight(weights: &[u32], row: u32) -> u32 {
    weights.get(row as usize).copied().unwrap_or_default()
}

fn set(nodes: &mut [Node], at: usize, node: Node) {
    if let Some(place) = nodes.get_mut(at) {
        *place = node;
    }
}

/// Puts the rows that go left before the others; returns their number.
fn partition(rows: &mut [u32], left: impl Fn(u32) -> bool) -> usize {
    let mut count = 0;
    for at in 0..rows.len() {
        if rows.get(at).is_some_and(|&row| left(row)) {
            rows.swap(count, at);
            count += 1;
        }
    }
    count
}

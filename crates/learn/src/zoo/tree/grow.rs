//! Growing one tree.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    LEAF, Node, Tree,
    gini::BalancedGini,
    ranks::{Column, Ranks},
    split::Split,
};
use crate::prepare::shuffle;

/// Rows of a node from which its inputs are tried in parallel.
const PARALLEL_ROWS: usize = 1 << 13;

/// How a node's best split is chosen.
pub(super) enum Criterion {
    /// The highest information gain. Nodes are split until they are pure; thresholds lie halfway between values.
    Entropy,
    /// The largest fall of class-balanced Gini impurity, within limits of size; thresholds are values.
    BalancedGini(BalancedGini),
}

/// Grows trees over the same rows.
pub(super) struct Grower<'a> {
    ranks: &'a Ranks,
    truth: &'a [u32],
    classes: usize,
    /// Inputs tried at a split.
    inputs: usize,
    criterion: Criterion,
    /// n log2 n.
    n_log_n: Vec<f64>,
}

/// A node whose rows are still to be split.
struct Open {
    node: usize,
    rows: std::ops::Range<usize>,
    depth: usize,
}

/// The counts on both sides of a split that moves through the ranks in ascending order.
struct Scan<'s> {
    n_log_n: &'s [f64],
    left: &'s mut [u32],
    right: &'s mut [u32],
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

/// Buffers that all splits share.
#[derive(Default)]
struct Scratch {
    left: Vec<u32>,
    right: Vec<u32>,
    /// Rows by rank and class.
    table: Vec<u32>,
    /// Rank and tag of each row.
    sorted: Vec<u64>,
}

/// A row's class and weight in one number, so that one look-up gives both. Classes: below 65,536.
#[derive(Clone, Copy)]
struct Tag(u32);

impl Tag {
    fn new(class: u32, weight: u32) -> Tag {
        Tag(weight.min(0xffff) << 16 | class & 0xffff)
    }

    fn class(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    fn weight(self) -> u32 {
        self.0 >> 16
    }
}

impl<'a> Grower<'a> {
    /// By entropy, over the best of `inputs` inputs at each split.
    pub(super) fn new(ranks: &'a Ranks, truth: &'a [u32], classes: usize, inputs: usize) -> Self {
        let n_log_n = (0..=ranks.rows()).map(|n| n as f64 * (n.max(1) as f64).log2()).collect();
        Grower { ranks, truth, classes, inputs, criterion: Criterion::Entropy, n_log_n }
    }

    /// By class-balanced Gini impurity, over all inputs in their order.
    pub(super) fn balanced(ranks: &'a Ranks, truth: &'a [u32], gini: BalancedGini) -> Self {
        let (classes, inputs) = (gini.weights.len(), usize::MAX);
        Grower {
            ranks,
            truth,
            classes,
            inputs,
            criterion: Criterion::BalancedGini(gini),
            n_log_n: Vec::new(),
        }
    }

    /// Grows a tree over the rows with a weight; the weights add up to no more than the rows. Without `rng` inputs are
    /// tried in their order.
    pub(super) fn grow(&self, weights: &[u32], mut rng: Option<&mut ChaCha8Rng>) -> Tree {
        let mut rows: Vec<u32> = (0..).zip(weights).filter(|(_, w)| **w > 0).map(|(row, _)| row).collect();
        let tags: Vec<Tag> = self.truth.iter().zip(weights).map(|(&c, &w)| Tag::new(c, w)).collect();
        let mut tree = Tree { nodes: Vec::new(), shares: Vec::new() };
        let mut order: Vec<usize> = (0..self.ranks.columns().len()).collect();
        let mut scratch = Scratch::default();
        let leaf = Node { input: LEAF, threshold: 0.0, next: 0 };
        tree.nodes.push(leaf);
        let mut open = vec![Open { node: 0, rows: 0..rows.len(), depth: 0 }];
        while let Some(Open { node, rows: range, depth }) = open.pop() {
            let Some(here) = rows.get_mut(range.clone()) else { continue };
            let counts = self.counts(here, &tags);
            let is_final = match &self.criterion {
                Criterion::Entropy => false,
                Criterion::BalancedGini(gini) => gini.is_final(depth, here.len()),
            };
            let best = match counts.iter().filter(|n| **n > 0).count() {
                0 | 1 => None,
                _ if is_final => None,
                _ => self.best(here, &tags, &counts, &mut order, &mut scratch, rng.as_deref_mut()),
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
            let threshold = match self.criterion {
                Criterion::Entropy => column.between(split.ranks.0, split.ranks.1),
                Criterion::BalancedGini(_) => column.value(split.ranks.0),
            };
            set(&mut tree.nodes, node, Node { input: input as u32, threshold, next });
            tree.nodes.extend([leaf; 2]);
            let middle = range.start + left;
            open.push(Open { node: next as usize + 1, rows: middle..range.end, depth: depth + 1 });
            open.push(Open { node: next as usize, rows: range.start..middle, depth: depth + 1 });
        }
        tree
    }

    fn counts(&self, rows: &[u32], tags: &[Tag]) -> Vec<u32> {
        let mut counts = vec![0; self.classes];
        for tag in rows.iter().filter_map(|&row| tags.get(row as usize)) {
            if let Some(count) = counts.get_mut(tag.class()) {
                *count += tag.weight();
            }
        }
        counts
    }

    /// The best split over the inputs: the first `self.inputs` in order, including those with only one value, and more
    /// until one can split.
    fn best(
        &self,
        rows: &[u32],
        tags: &[Tag],
        counts: &[u32],
        order: &mut [usize],
        scratch: &mut Scratch,
        mut rng: Option<&mut ChaCha8Rng>,
    ) -> Option<(usize, Split)> {
        let better = |best: Option<(usize, Split)>, one: (usize, Split)| match best {
            Some(best) if best.1.purity >= one.1.purity => Some(best),
            _ => Some(one),
        };
        let all = self.inputs >= order.len();
        if all && rows.len() >= PARALLEL_ROWS {
            if let Some(rng) = rng {
                shuffle(rng, order);
            }
            let split = |&input: &usize| {
                let column = self.ranks.columns().get(input)?;
                Some((input, self.split(column, rows, tags, counts, &mut Scratch::default())?))
            };
            let splits: Vec<_> = order.par_iter().map(split).collect();
            return splits.into_iter().flatten().fold(None, better);
        }
        let mut best = None;
        for tried in 0..order.len() {
            if tried >= self.inputs && best.is_some() {
                break;
            }
            // The next of a random order, drawn when it is needed.
            let next = match &mut rng {
                Some(rng) => {
                    let last = order.len() - 1 - tried;
                    order.swap(last, rng.random_range(0..=last));
                    last
                }
                None => tried,
            };
            let Some(&input) = order.get(next) else { break };
            let Some(column) = self.ranks.columns().get(input) else { break };
            if let Some(split) = self.split(column, rows, tags, counts, scratch) {
                best = better(best, (input, split));
            }
        }
        best
    }

    /// The purest split by one input; `None` where all rows have the same value.
    fn split(
        &self,
        column: &Column,
        rows: &[u32],
        tags: &[Tag],
        counts: &[u32],
        scratch: &mut Scratch,
    ) -> Option<Split> {
        let (mut low, mut high) = (u32::MAX, 0);
        for &row in rows {
            let rank = rank(column, row);
            (low, high) = (low.min(rank), high.max(rank));
        }
        if low >= high {
            return None;
        }
        if let Criterion::BalancedGini(gini) = &self.criterion {
            count_by_rank(column, rows, tags, (low, high), self.classes, &mut scratch.table);
            return gini.best(&scratch.table, low, counts, rows.len());
        }
        let Scratch { left, right, table, sorted } = scratch;
        left.clear();
        left.resize(self.classes, 0);
        right.clear();
        right.extend_from_slice(counts);
        let right_rows = counts.iter().sum();
        let mut scan = Scan {
            n_log_n: &self.n_log_n,
            left,
            right,
            left_sum: 0.0,
            right_sum: 0.0,
            left_rows: 0,
            right_rows,
        };
        scan.right_sum = counts.iter().map(|&n| scan.of(n)).sum();
        let mut best: Option<Split> = None;
        let mut before = low;
        let mut reach = |rank: u32, scan: &Scan<'_>| {
            if rank > before {
                let purity = scan.purity();
                if best.is_none_or(|best| purity > best.purity) {
                    best = Some(Split { purity, ranks: (before, rank) });
                }
                before = rank;
            }
        };
        let span = (high - low) as usize + 1;
        if span * self.classes <= 2 * rows.len() {
            count_by_rank(column, rows, tags, (low, high), self.classes, table);
            for (rank, counts) in (low..).zip(table.chunks_exact(self.classes)) {
                if counts.iter().all(|n| *n == 0) {
                    continue;
                }
                reach(rank, &scan);
                counts
                    .iter()
                    .enumerate()
                    .filter(|(_, n)| **n > 0)
                    .for_each(|(class, &n)| scan.pass(class, n));
            }
        } else {
            let tagged = rows.iter().filter_map(|&row| Some((rank(column, row), *tags.get(row as usize)?)));
            sorted.clear();
            sorted.extend(tagged.map(|(rank, tag)| u64::from(rank) << 32 | u64::from(tag.0)));
            sorted.sort_unstable();
            for &both in sorted.iter() {
                let tag = Tag(both as u32);
                reach((both >> 32) as u32, &scan);
                scan.pass(tag.class(), tag.weight());
            }
        }
        best
    }
}

/// Counts the rows of each rank of `low..=high` by class: ranks x classes.
fn count_by_rank(
    column: &Column,
    rows: &[u32],
    tags: &[Tag],
    (low, high): (u32, u32),
    classes: usize,
    table: &mut Vec<u32>,
) {
    table.clear();
    table.resize(((high - low) as usize + 1) * classes, 0);
    let tagged = rows.iter().filter_map(|&row| Some((rank(column, row), *tags.get(row as usize)?)));
    for (rank, tag) in tagged {
        if let Some(count) = table.get_mut((rank - low) as usize * classes + tag.class()) {
            *count += tag.weight();
        }
    }
}

fn rank(column: &Column, row: u32) -> u32 {
    column.ranks.get(row as usize).copied().unwrap_or_default()
}

fn set(nodes: &mut [Node], at: usize, node: Node) {
    if let Some(slot) = nodes.get_mut(at) {
        *slot = node;
    }
}

/// Moves the rows that go left before the others, and returns their number.
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

//! A small decision tree over all columns at once: what the rows carry together, found in a second.
//!
//! Columns are cut into 255 quantiles of the training rows, each class weighs the same, a node is split where the
//! weighted Gini impurity falls most, to a depth of 12. At most [`MOST_ROWS`] training rows, spread over all.

use super::{
    Rows,
    power::{Bins, Groups, Power, Split},
};

const BINS: usize = 254;
const DEPTH: usize = 12;
const LEAST_ROWS: usize = 4;
/// Training rows that a tree looks at.
pub(super) const MOST_ROWS: usize = 20_000;

/// Columns as bytes, bins by the training rows.
struct Binned {
    columns: Vec<Vec<u8>>,
}

struct Node {
    column: usize,
    /// Bins up to this one go left.
    up_to: u8,
    left: usize,
    right: usize,
}

enum Place {
    Split(Node),
    Leaf(usize),
}

/// What a tree over `columns` scores on the test rows; `truth` may be other than the rows' own classes.
pub(super) fn power(
    rows: &Rows,
    columns: &[&[f64]],
    truth: &[u32],
    classes: usize,
    normal: Option<u32>,
    split: &Split,
) -> Power {
    let stride = split.train.len().div_ceil(MOST_ROWS).max(1);
    let train: Vec<usize> = split.train.iter().copied().step_by(stride).collect();
    let column = |values: &&[f64]| {
        let bins = Bins::new(values, false, &train, BINS);
        (0..rows.len())
            .map(|row| bins.of(values.get(row).copied().unwrap_or(f64::NAN)).min(255) as u8)
            .collect()
    };
    let binned = Binned { columns: columns.iter().map(column).collect() };
    let mut totals = vec![0u32; classes];
    for &row in &train {
        totals.get_mut(class_of(truth, row)).into_iter().for_each(|total| *total += 1);
    }
    let weights = totals.iter().map(|&total| 1.0 / f64::from(total.max(1))).collect();
    let mut tree = Tree { places: Vec::new(), counts: Vec::new(), weights, binned: &binned, truth };
    tree.grow(train, DEPTH);
    let of_test = split.test.iter().map(|&row| tree.leaf(row)).collect();
    Groups { counts: tree.counts, of_test }.power(truth, classes, normal, split)
}

fn class_of(truth: &[u32], row: usize) -> usize {
    truth.get(row).map_or(0, |class| *class as usize)
}

struct Tree<'a> {
    places: Vec<Place>,
    /// Training rows of each class in each leaf.
    counts: Vec<Vec<u32>>,
    weights: Vec<f64>,
    binned: &'a Binned,
    truth: &'a [u32],
}

impl Tree<'_> {
    fn leaf(&self, row: usize) -> Option<usize> {
        let mut at = 0;
        loop {
            match self.places.get(at)? {
                Place::Leaf(leaf) => return Some(*leaf),
                Place::Split(node) => {
                    let bin = *self.binned.columns.get(node.column)?.get(row)?;
                    at = if bin <= node.up_to { node.left } else { node.right };
                }
            }
        }
    }

    /// Grows a node over rows and returns its place.
    fn grow(&mut self, rows: Vec<usize>, depth: usize) -> usize {
        let place = self.places.len();
        let mut counts = vec![0u32; self.weights.len()];
        for &row in &rows {
            counts.get_mut(class_of(self.truth, row)).into_iter().for_each(|count| *count += 1);
        }
        let pure = counts.iter().filter(|count| **count > 0).count() < 2;
        let best =
            if pure || depth == 0 || rows.len() < 2 * LEAST_ROWS { None } else { self.best(&rows, &counts) };
        let Some((column, up_to)) = best else {
            self.places.push(Place::Leaf(self.counts.len()));
            self.counts.push(counts);
            return place;
        };
        self.places.push(Place::Leaf(usize::MAX));
        let is_left = |row: &usize| {
            self.binned.columns.get(column).and_then(|bins| bins.get(*row)).is_some_and(|bin| *bin <= up_to)
        };
        let (left, right) = rows.into_iter().partition(is_left);
        let (left, right) = (self.grow(left, depth - 1), self.grow(right, depth - 1));
        if let Some(node) = self.places.get_mut(place) {
            *node = Place::Split(Node { column, up_to, left, right });
        }
        place
    }

    /// The column and bin whose split lowers the weighted Gini impurity most.
    fn best(&self, rows: &[usize], counts: &[u32]) -> Option<(usize, u8)> {
        let classes = self.weights.len();
        let weigh = |counts: &[f64]| -> f64 {
            let sum: f64 = counts.iter().sum();
            if sum > 0.0 { counts.iter().map(|n| n * n).sum::<f64>() / sum } else { 0.0 }
        };
        let all: Vec<f64> = counts.iter().zip(&self.weights).map(|(n, w)| f64::from(*n) * w).collect();
        let whole = weigh(&all);
        let mut best: Option<(f64, usize, u8)> = None;
        let mut histogram = vec![0u32; 256 * classes];
        for (column, bins) in self.binned.columns.iter().enumerate() {
            histogram.fill(0);
            for &row in rows {
                let bin = bins.get(row).copied().unwrap_or(0) as usize;
                let at = bin * classes + class_of(self.truth, row);
                histogram.get_mut(at).into_iter().for_each(|count| *count += 1);
            }
            let (mut left, mut right, mut left_rows) = (vec![0.0; classes], all.clone(), 0usize);
            for (bin, counts) in (0..=255u8).zip(histogram.chunks_exact(classes)) {
                let here: usize = counts.iter().map(|n| *n as usize).sum();
                if here == 0 {
                    continue;
                }
                left_rows += here;
                for ((l, r), (n, w)) in left.iter_mut().zip(&mut right).zip(counts.iter().zip(&self.weights))
                {
                    *l += f64::from(*n) * w;
                    *r = (*r - f64::from(*n) * w).max(0.0);
                }
                if left_rows < LEAST_ROWS || rows.len() - left_rows < LEAST_ROWS {
                    continue;
                }
                let gain = weigh(&left) + weigh(&right) - whole;
                if gain > best.map_or(1e-9 * whole, |(gain, ..)| gain) {
                    best = Some((gain, column, bin));
                }
            }
        }
        best.map(|(_, column, bin)| (column, bin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_together_tell_what_neither_tells_alone() {
        let n = 4_000;
        let bit = |row: usize, at: usize| ((row * 2_654_435_761) >> at & 1) as f64;
        let (a, b): (Vec<f64>, Vec<f64>) = (0..n).map(|row| (bit(row, 13), bit(row, 17))).unzip();
        let truth: Vec<u32> = a.iter().zip(&b).map(|(a, b)| u32::from(a != b)).collect();
        let c: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 0.4 * b).collect();
        let classes = ["normal", "attack"].map(str::to_owned).to_vec();
        let rows = Rows { classes, truth: truth.clone(), first_test_file: usize::MAX, ..Rows::default() };
        let split = Split::by_chance(&truth, &(0..n).collect::<Vec<_>>(), 3);
        let score = |columns: &[&[f64]]| power(&rows, columns, &truth, 2, Some(0), &split).skill;
        assert!(score(&[&a]).abs() < 0.1 && score(&[&b]).abs() < 0.1);
        assert!(score(&[&c]) > 0.99);
        assert_eq!(score(&[]), 0.0);
    }
}

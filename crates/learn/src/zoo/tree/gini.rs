//! Class-balanced Gini impurity over few ranks: every class weighs the same, however many rows it has.

use super::split::Split;

/// The criterion, with the limits of a tree's size.
pub(super) struct BalancedGini {
    /// The weight of a row of each class: 1 / the class's training rows.
    pub(super) weights: Vec<f64>,
    pub(super) max_depth: usize,
    /// Rows on either side of a split, at least.
    pub(super) min_rows: usize,
}

/// The fall of the impurity from which a node is split, as a share of the node's own.
const MIN_GAIN: f64 = 1e-9;

impl BalancedGini {
    /// Whether a node must be a leaf.
    pub(super) fn is_final(&self, depth: usize, rows: usize) -> bool {
        depth >= self.max_depth || rows < 2 * self.min_rows
    }

    /// The split with the largest fall of the impurity, the first of equals. `table`: rows by rank, from `low` on, and
    /// class; `counts`: the node's rows by class.
    pub(super) fn best(&self, table: &[u32], low: u32, counts: &[u32], rows: usize) -> Option<Split> {
        let mut right: Vec<f64> = counts.iter().zip(&self.weights).map(|(n, w)| f64::from(*n) * w).collect();
        let mut left = vec![0.0; right.len()];
        let whole = purity(&right);
        let mut left_rows = 0usize;
        let mut open: Option<(f64, u32)> = None;
        let mut best: Option<Split> = None;
        for (rank, counts) in (low..).zip(table.chunks_exact(self.weights.len().max(1))) {
            let here: usize = counts.iter().map(|n| *n as usize).sum();
            if here == 0 {
                continue;
            }
            if let Some((gain, last)) = open.take()
                && gain > best.map_or(MIN_GAIN * whole, |best| best.purity)
            {
                best = Some(Split { purity: gain, ranks: (last, rank) });
            }
            left_rows += here;
            for ((left, right), (n, weight)) in
                left.iter_mut().zip(&mut right).zip(counts.iter().zip(&self.weights))
            {
                *left += f64::from(*n) * weight;
                *right = (*right - f64::from(*n) * weight).max(0.0);
            }
            if left_rows >= self.min_rows && rows - left_rows >= self.min_rows {
                open = Some((purity(&left) + purity(&right) - whole, rank));
            }
        }
        best
    }
}

/// The sum of squares over the sum: the higher, the purer.
fn purity(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 { weights.iter().map(|n| n * n).sum::<f64>() / sum } else { 0.0 }
}

//! A shallow tree over binned inputs that weighs all classes the same: a quick measure of what inputs carry together.

use super::{Tree, gini::BalancedGini, grow::Grower, ranks::Ranks};

/// A tree over inputs of at most 256 bins.
pub(crate) struct BinnedTree(Tree);

impl BinnedTree {
    /// Grows a tree of at most `max_depth` splits from root to leaf, each with `min_rows` rows or more on either side.
    /// `inputs`: for each input the rows' bins. `truth`: the rows' classes, below `classes`.
    pub(crate) fn grow(
        inputs: &[Vec<u8>],
        (truth, classes): (&[u32], usize),
        (max_depth, min_rows): (usize, usize),
    ) -> BinnedTree {
        let mut totals = vec![0u32; classes];
        for &class in truth {
            totals.get_mut(class as usize).into_iter().for_each(|total| *total += 1);
        }
        let weights = totals.iter().map(|&total| 1.0 / f64::from(total.max(1))).collect();
        let gini = BalancedGini { weights, max_depth, min_rows };
        let ranks = Ranks::of_bins(inputs, truth.len());
        BinnedTree(Grower::balanced(&ranks, truth, gini).grow(&vec![1; truth.len()], None))
    }

    /// The number of the leaf of a row, given as its bin for each input.
    pub(crate) fn leaf(&self, bin: impl Fn(usize) -> u8) -> usize {
        self.0.leaf(|input| bin(input).into())
    }
}

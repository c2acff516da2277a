//! What a shallow decision tree over several columns scores.
//!
//! Columns are binned into quantiles of the training rows; the tree is [`BinnedTree`], of depth 12, on at most
//! [`MAX_ROWS`] training rows, evenly spaced.

use super::power::{Bins, Groups, Power, Target};
use crate::{prepare::Split, zoo::BinnedTree};

const BINS: usize = 254;
const MAX_DEPTH: usize = 12;
/// Training rows on either side of a split, at least.
const MIN_ROWS: usize = 4;
/// Training rows that a tree is grown on, at most.
const MAX_ROWS: usize = 20_000;

/// The power of a tree over `columns` on the test rows.
pub(super) fn power(columns: &[&[f64]], target: &Target<'_>, split: &Split) -> Power {
    let stride = split.train().len().div_ceil(MAX_ROWS).max(1);
    let train: Vec<u32> = split.train().iter().copied().step_by(stride).collect();
    let bins: Vec<Bins> = columns.iter().map(|values| Bins::new(values, false, &train, BINS)).collect();
    let bin = |column: usize, row: u32| {
        let value = columns.get(column).and_then(|values| values.get(row as usize)).copied();
        bins.get(column).map_or(0, |bins| bins.of(value.unwrap_or(f64::NAN)).min(255) as u8)
    };
    let inputs: Vec<Vec<u8>> =
        (0..columns.len()).map(|column| train.iter().map(|&row| bin(column, row)).collect()).collect();
    let truth: Vec<u32> = train.iter().map(|&row| target.class_of(row)).collect();
    let tree = BinnedTree::grow(&inputs, (&truth, target.classes), (MAX_DEPTH, MIN_ROWS));
    let leaf = |row: u32| tree.leaf(|column| bin(column, row));
    Groups::by_key(target, (&train, split.test()), leaf).power(target, split.test())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::{Stream, rng};

    #[test]
    fn two_columns_predict_together_what_neither_predicts_alone() {
        let n = 4_000;
        let bit = |row: usize, at: usize| ((row * 2_654_435_761) >> at & 1) as f64;
        let (a, b): (Vec<f64>, Vec<f64>) = (0..n).map(|row| (bit(row, 13), bit(row, 17))).unzip();
        let truth: Vec<u32> = a.iter().zip(&b).map(|(a, b)| u32::from(a != b)).collect();
        let c: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 0.4 * b).collect();
        let rows: Vec<u32> = (0..n as u32).collect();
        let split = Split::at_random(&rows, &truth, 0.3, &mut rng(3, Stream::Audit));
        let target = Target { truth: &truth, classes: 2, normal: Some(0) };
        let score = |columns: &[&[f64]]| power(columns, &target, &split).skill;
        assert!(score(&[&a]).abs() < 0.1 && score(&[&b]).abs() < 0.1);
        assert!(score(&[&c]) > 0.99);
        assert_eq!(score(&[]), 0.0);
    }
}

//! Inputs as ranks among their distinct values, so that splits compare integers and stay exact.

use rayon::prelude::*;

use crate::prepare::Matrix;

/// The columns of a matrix, by rank.
pub(super) struct Ranks {
    columns: Vec<Column>,
    rows: usize,
}

/// One input.
pub(super) struct Column {
    /// Each row's rank.
    pub(super) ranks: Vec<u32>,
    /// The distinct values, ascending; NaN counts as the lowest.
    values: Vec<f32>,
}

impl Ranks {
    pub(super) fn new(x: &Matrix) -> Ranks {
        let column = |at: usize| {
            let value = |row: usize| {
                let value = x.data.get(row * x.width + at).copied().unwrap_or_default();
                if value.is_nan() { f32::NEG_INFINITY } else { value + 0.0 }
            };
            let mut values: Vec<f32> = (0..x.rows()).map(value).collect();
            values.sort_unstable_by(f32::total_cmp);
            values.dedup();
            let rank = |row| values.partition_point(|known| *known < value(row)) as u32;
            Column { ranks: (0..x.rows()).map(rank).collect(), values }
        };
        Ranks { columns: (0..x.width).into_par_iter().map(column).collect(), rows: x.rows() }
    }

    /// Ranks of columns of small integers, such as bins, `rows` each.
    pub(super) fn of_bins(columns: &[Vec<u8>], rows: usize) -> Ranks {
        let column = |bins: &Vec<u8>| {
            let mut values: Vec<u8> = bins.clone();
            values.sort_unstable();
            values.dedup();
            let rank = |bin: &u8| values.partition_point(|known| known < bin) as u32;
            Column {
                ranks: bins.iter().map(rank).collect(),
                values: values.iter().map(|&v| v.into()).collect(),
            }
        };
        Ranks { columns: columns.iter().map(column).collect(), rows }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

impl Column {
    /// The value of a rank.
    pub(super) fn value(&self, rank: u32) -> f32 {
        self.values.get(rank as usize).copied().unwrap_or_default()
    }

    /// Halfway between two ranks' values; the lower one where rounding would reach the upper.
    pub(super) fn between(&self, lower: u32, upper: u32) -> f32 {
        let (lower, upper) = (self.value(lower), self.value(upper));
        let middle = lower / 2.0 + upper / 2.0;
        if middle < upper && middle.is_finite() { middle.max(lower) } else { lower }
    }
}

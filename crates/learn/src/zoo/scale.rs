//! Standardisation for the methods that depend on the scale of inputs.

use crate::prepare::{Matrix, TrainSet};

/// Mean and standard deviation of each input over the training rows.
pub(super) struct Scale {
    of_input: Vec<(f64, f64)>,
}

impl Scale {
    pub(super) fn fit(train: &TrainSet) -> Scale {
        let width = train.x().width;
        let n = train.x().rows().max(1) as f64;
        let rows = || train.x().data.chunks_exact(width.max(1));
        let mut of_input = vec![(0.0, 0.0); width];
        for row in rows() {
            of_input.iter_mut().zip(row).for_each(|((mean, _), x)| *mean += f64::from(*x) / n);
        }
        for row in rows() {
            for ((mean, square), x) in of_input.iter_mut().zip(row) {
                *square += (f64::from(*x) - *mean).powi(2) / n;
            }
        }
        for (mean, square) in &mut of_input {
            // The deviation of a constant input is rounding.
            *square = if *square > 1e-12 * (1.0 + *mean * *mean) { square.sqrt() } else { 1.0 };
        }
        Scale { of_input }
    }

    pub(super) fn apply(&self, rows: &Matrix) -> Matrix {
        let scaled =
            |(x, (mean, deviation)): (&f32, &(f64, f64))| ((f64::from(*x) - mean) / deviation) as f32;
        let rows_of = rows.data.chunks_exact(rows.width.max(1));
        Matrix {
            data: rows_of.flat_map(|row| row.iter().zip(&self.of_input).map(scaled)).collect(),
            width: rows.width,
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(&self.of_input[..])
    }
}

//! The training rows, and the encoders and scalers that are fitted on them.

use citronella_sensor::{
    detect::{Encoder, Input, Op, Value},
    feature::schema::Level,
};
use rayon::prelude::*;

use super::{PrepareError, threads::with_threads};
use crate::dataset::{Labels, Table};

/// The transformation of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// One input for each value among the training rows, in alphabetical order.
    OneHot,
    /// Zero mean and unit variance over the training rows.
    Standardise,
    /// The number unchanged.
    AsIs {
        /// The number for an empty cell.
        empty: i32,
    },
    /// Whole seconds, scaled so that the training rows span 0 to 1.
    MinMaxSeconds,
}

/// A column and its transformation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// The column's name.
    pub column: String,
    /// Its transformation.
    pub transform: Transform,
}

/// The training rows of a [`Split`](super::Split): the only rows that encoders and scalers can be fitted on.
#[derive(Clone, Copy, Debug)]
pub struct TrainFold<'a> {
    table: &'a Table,
    rows: &'a [u32],
    labels: &'a Labels,
}

/// A matrix in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// The numbers.
    pub data: Vec<f32>,
    /// Columns.
    pub width: usize,
}

impl Matrix {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// A row; empty if out of range.
    pub fn row(&self, row: usize) -> &[f32] {
        self.data.get(row * self.width..(row + 1) * self.width).unwrap_or_default()
    }
}

/// Encoded training rows with their classes, from a [`TrainFold`] or, within this crate, from whole recordings that are
/// not evaluated on.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSet {
    pub(super) x: Matrix,
    pub(super) y: Vec<u32>,
    pub(super) classes: usize,
}

impl TrainSet {
    /// Rows of whole recordings. The caller ensures that none of them is evaluated on.
    pub(crate) fn of_recordings(x: Matrix, y: Vec<u32>, classes: usize) -> TrainSet {
        TrainSet { x, y, classes }
    }

    /// The inputs, rows x inputs.
    pub fn x(&self) -> &Matrix {
        &self.x
    }

    /// The class of each row.
    pub fn y(&self) -> &[u32] {
        &self.y
    }

    /// The number of classes, with or without rows.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of rows of each class.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.classes];
        for &class in &self.y {
            if let Some(count) = counts.get_mut(class as usize) {
                *count += 1;
            }
        }
        counts
    }
}

impl<'a> TrainFold<'a> {
    pub(super) fn new(table: &'a Table, rows: &'a [u32], labels: &'a Labels) -> Self {
        TrainFold { table, rows, labels }
    }

    /// The feature level of the rows.
    pub fn level(&self) -> Level {
        self.table.level()
    }

    /// The rows, ascending.
    pub fn rows(&self) -> &'a [u32] {
        self.rows
    }

    /// Fits encoders and scalers, in the order of `steps`.
    ///
    /// # Errors
    /// A step names a column that the level does not have.
    pub fn fit(&self, steps: &[Step]) -> Result<Vec<Input>, PrepareError> {
        let mut inputs = Vec::new();
        for step in steps {
            let level = self.table.level().name();
            let column = self.table.column(&step.column);
            let column =
                column.ok_or_else(|| PrepareError::NoSuchColumn { column: step.column.clone(), level })?;
            let input = |op| Input { column: step.column.clone(), op };
            match step.transform {
                Transform::OneHot => {
                    inputs
                        .extend(self.categories(column).into_iter().map(|value| input(Op::OneHot { value })));
                }
                Transform::Standardise => {
                    let (mean, std) = mean_and_std(&self.numbers(column));
                    inputs.push(input(Op::Standardise { mean, std }));
                }
                Transform::AsIs { empty } => inputs.push(input(Op::AsIs { empty: empty.into() })),
                Transform::MinMaxSeconds => {
                    let seconds = self.numbers(column).into_iter().map(|micros| (micros / 1e6).floor());
                    let range = seconds.fold((f64::MAX, f64::MIN), |(lo, hi), s| (s.min(lo), s.max(hi)));
                    let (min, max) = if range.0 <= range.1 { range } else { (0.0, 0.0) };
                    inputs.push(input(Op::MinMaxSeconds { min, max }));
                }
            }
        }
        Ok(inputs)
    }

    /// Encodes the training rows.
    pub fn encode(&self, encoder: &Encoder, threads: usize) -> TrainSet {
        let class = |&row: &u32| self.labels.of_row.get(row as usize).copied().unwrap_or_default();
        TrainSet {
            x: encode(self.table, self.rows, encoder, threads),
            y: self.rows.iter().map(class).collect(),
            classes: self.labels.classes.len(),
        }
    }

    fn numbers(&self, column: usize) -> Vec<f64> {
        let number = |&row: &u32| match self.table.value(row as usize, column) {
            Value::Number(number) => Some(number),
            _ => None,
        };
        self.rows.iter().filter_map(number).collect()
    }

    fn categories(&self, column: usize) -> Vec<String> {
        let mut values = std::collections::BTreeSet::new();
        for &row in self.rows {
            match self.table.value(row as usize, column) {
                Value::Text(text) if !values.contains(text) => values.insert(text.to_owned()),
                Value::Number(number) => values.insert(number.to_string()),
                _ => false,
            };
        }
        values.into_iter().collect()
    }
}

/// Encodes rows of a table with a fitted encoder.
pub fn encode(table: &Table, rows: &[u32], encoder: &Encoder, threads: usize) -> Matrix {
    let width = encoder.width();
    let mut data = vec![0.0; rows.len() * width];
    if width > 0 {
        with_threads(threads, || {
            data.par_chunks_mut(width).zip(rows).for_each(|(out, &row)| {
                encoder.encode(|column| table.value(row as usize, column), out);
            });
        });
    }
    Matrix { data, width }
}

/// Mean and population standard deviation; a deviation within rounding becomes 1, by the rule of scikit-learn's
/// `StandardScaler`: `var <= n eps var + (n mean eps)^2`.
fn mean_and_std(numbers: &[f64]) -> (f64, f64) {
    if numbers.is_empty() {
        return (0.0, 1.0);
    }
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let deviation: f64 = numbers.iter().map(|x| x - mean).sum();
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    // The second term corrects the rounding of the mean (Chan, Golub and LeVeque 1983).
    let variance = ((squares - deviation * deviation / n) / n).max(0.0);
    let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
    (mean, if variance <= rounding { 1.0 } else { variance.sqrt() })
}

#[cfg(test)]
mod tests {
    use super::mean_and_std;

    #[test]
    fn population_deviation_and_constant_columns() {
        assert_eq!(mean_and_std(&[1.0, 3.0]), (2.0, 1.0));
        assert_eq!(mean_and_std(&[7.0; 5]), (7.0, 1.0));
        assert_eq!(mean_and_std(&[0.1; 1000]).1, 1.0);
        assert_eq!(mean_and_std(&[]), (0.0, 1.0));
    }
}

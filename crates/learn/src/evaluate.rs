//! Figures over predictions, and trivial baselines.
//!
//! In: class names, each row's true class and a model's probabilities (rows x classes, row-major) or predicted
//! classes. Out: structs that serialise to JSON in a stable order.
//!
//! A row with a score that is not finite has no verdict: it counts as wrong in every figure and ranks worst in every
//! curve. A figure that the data does not support is `None` (JSON `null`), with its reason; no figure is NaN or
//! infinite.

mod attack;
mod baseline;
mod calibration;
mod confusion;
mod curve;
mod evaluation;
mod history;

pub use attack::AttackView;
pub use baseline::{BaselineError, Majority, Matrix, NearestInTime, PortOnly, Stump};
pub use calibration::{Calibration, CalibrationBin};
pub use confusion::{Averages, ClassMetrics, Confusion};
pub use curve::{OperatingPoint, PrCurve, PrPoint, Ranking, RocCurve, RocPoint};
pub use evaluation::{Evaluation, OneVsRest};
pub use history::{Epoch, EpochScores, History};

/// Predictions and truth do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// No classes.
    #[error("no class names were given: an evaluation needs at least one class")]
    NoClasses,
    /// The number of predicted values does not match rows and classes.
    #[error("{got} predicted values for {rows} rows and {classes} classes: {expected} were expected")]
    Shape {
        /// Rows of truth.
        rows: usize,
        /// Number of classes.
        classes: usize,
        /// Values that were expected.
        expected: usize,
        /// Values that were given.
        got: usize,
    },
    /// A class index without a name.
    #[error("row {row}: class number {class} has no name (there are {classes} classes)")]
    UnknownClass {
        /// The row, from 0.
        row: usize,
        /// Its class index.
        class: u32,
        /// Number of classes.
        classes: usize,
    },
    /// The normal class does not exist.
    #[error("the normal class is number {normal}, but there are only {classes} classes")]
    UnknownNormal {
        /// The index given.
        normal: u32,
        /// Number of classes.
        classes: usize,
    },
}

/// A model's output for each row.
#[derive(Debug, Clone, Copy)]
pub enum Scores<'a> {
    /// Probabilities, rows x classes, row-major; two columns 1 - p, p for a sigmoid output p.
    Probabilities(&'a [f32]),
    /// The predicted class of each row; figures that need scores are omitted.
    Classes(&'a [u32]),
}

/// Truth and predictions.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    /// Class names, by class index.
    pub classes: &'a [String],
    /// True class of each row.
    pub truth: &'a [u32],
    /// The model's output for each row.
    pub scores: Scores<'a>,
    /// Index of the benign class, if there is one; every other class is an attack.
    pub normal: Option<u32>,
}

impl<'a> Predictions<'a> {
    /// Predictions whose benign class is the one named `normal`, if any.
    pub fn new(classes: &'a [String], truth: &'a [u32], scores: Scores<'a>) -> Self {
        let normal = classes.iter().position(|name| name == "normal").and_then(|at| u32::try_from(at).ok());
        Self { classes, truth, scores, normal }
    }

    /// Checks shapes and class indices.
    ///
    /// # Errors
    /// [`EvaluateError`], with the row.
    pub fn check(&self) -> Result<(), EvaluateError> {
        let (rows, classes) = (self.truth.len(), self.classes.len());
        if classes == 0 {
            return Err(EvaluateError::NoClasses);
        }
        let (expected, got) = match self.scores {
            Scores::Probabilities(values) => (rows * classes, values.len()),
            Scores::Classes(values) => (rows, values.len()),
        };
        if expected != got {
            return Err(EvaluateError::Shape { rows, classes, expected, got });
        }
        check_classes(self.truth, classes)?;
        if let Scores::Classes(values) = self.scores {
            check_classes(values, classes)?;
        }
        match self.normal {
            Some(normal) if normal as usize >= classes => {
                Err(EvaluateError::UnknownNormal { normal, classes })
            }
            _ => Ok(()),
        }
    }

    /// The predicted class of each row: the first of the highest probabilities; `None` if a score of the row is not
    /// finite.
    pub fn predicted(&self) -> Vec<Option<u32>> {
        match self.scores {
            Scores::Classes(values) => values.iter().copied().map(Some).collect(),
            Scores::Probabilities(values) => {
                values.chunks_exact(self.classes.len().max(1)).map(top).collect()
            }
        }
    }
}

fn check_classes(values: &[u32], classes: usize) -> Result<(), EvaluateError> {
    match values.iter().enumerate().find(|(_, class)| **class as usize >= classes) {
        Some((row, &class)) => Err(EvaluateError::UnknownClass { row, class, classes }),
        None => Ok(()),
    }
}

fn top(row: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (class, &score) in (0_u32..).zip(row) {
        if !score.is_finite() {
            return None;
        }
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((class, score));
        }
    }
    best.map(|(class, _)| class)
}

/// `part / whole`; `None` if `whole` is 0.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The mean; `None` without values.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

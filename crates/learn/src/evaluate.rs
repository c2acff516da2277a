//! What a model is worth: figures over predictions, and the simple rules that must stand beside them.
//!
//! In: class names, the true class of each row and what a model said (probabilities, rows x classes in
//! row-major order, or predicted classes alone). Out: structs that serialise to JSON in a stable order.
//!
//! Nothing here flatters a model. A row with a score that is not finite gets no verdict: it counts as wrong
//! in every figure and as ranked worst in every curve. A figure that the data cannot support is `None`
//! (JSON `null`), with its reason beside it; no figure is ever NaN or infinite.

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

/// Predictions that do not fit together; the text says which and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// There is no class to judge.
    #[error("no class names were given: an evaluation needs at least one class")]
    NoClasses,
    /// The number of scores or predictions is not what the rows and classes ask for.
    #[error("{got} predicted values for {rows} rows and {classes} classes: {expected} were expected")]
    Shape {
        /// Rows of truth.
        rows: usize,
        /// Classes named.
        classes: usize,
        /// Values that were expected.
        expected: usize,
        /// Values that were given.
        got: usize,
    },
    /// A class number has no name.
    #[error("row {row}: class number {class} has no name (there are {classes} classes)")]
    UnknownClass {
        /// The row, counted from 0.
        row: usize,
        /// Its class number.
        class: u32,
        /// Classes named.
        classes: usize,
    },
    /// The class named as normal does not exist.
    #[error("the normal class is number {normal}, but there are only {classes} classes")]
    UnknownNormal {
        /// The number given.
        normal: u32,
        /// Classes named.
        classes: usize,
    },
}

/// What a model said about each row.
#[derive(Debug, Clone, Copy)]
pub enum Scores<'a> {
    /// Probabilities, rows x classes, row-major. A sigmoid output p is given as the two columns 1 - p, p.
    Probabilities(&'a [f32]),
    /// The predicted class of each row; figures that need scores are then left out.
    Classes(&'a [u32]),
}

/// The truth and what a model made of it.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    /// Name of each class; its place is the class number.
    pub classes: &'a [String],
    /// True class of each row.
    pub truth: &'a [u32],
    /// What the model said, row for row.
    pub scores: Scores<'a>,
    /// Number of the class that is no attack, if there is one; any other class counts as an attack.
    pub normal: Option<u32>,
}

impl<'a> Predictions<'a> {
    /// Predictions where the class called `normal`, if any, is the one that is no attack.
    pub fn new(classes: &'a [String], truth: &'a [u32], scores: Scores<'a>) -> Self {
        let normal = classes.iter().position(|name| name == "normal").and_then(|at| u32::try_from(at).ok());
        Self { classes, truth, scores, normal }
    }

    /// Checks that everything fits together.
    ///
    /// # Errors
    /// [`EvaluateError`], with the row where it does not.
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

    /// The predicted class of each row: the first of the highest probabilities, `None` where a score of
    /// the row is not finite.
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

/// `part / whole`, `None` where there is no whole.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The mean of what there is, `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

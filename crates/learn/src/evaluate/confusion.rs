//! The confusion matrix and the figures that follow from it.

use serde::{Deserialize, Serialize};

use super::{mean, share};

/// Counts by true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Class names, in the order of rows and columns.
    pub classes: Vec<String>,
    /// Rows of each true class (outer) with each predicted class (inner).
    pub counts: Vec<Vec<u64>>,
    /// Rows of each true class with no predicted class, all counted as wrong: a score was not finite, or the sequence
    /// detector's verdict was unknown.
    pub no_verdict: Vec<u64>,
}

/// The figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class's name.
    pub class: String,
    /// Rows of the class.
    pub support: u64,
    /// Rows predicted as the class.
    pub predicted: u64,
    /// TP / (TP + FP); 0 if the class was never predicted (see `precision_undefined`).
    pub precision: f64,
    /// Whether the class was never predicted and its precision is 0 by convention.
    pub precision_undefined: bool,
    /// TP / (TP + FN); `None` if the class has no rows.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); `None` if the class has no rows.
    pub f1: Option<f64>,
}

/// Averages over the classes with rows; a class without rows is excluded, not counted as 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Number of classes present in the truth.
    pub classes: usize,
    /// Mean precision.
    pub precision: Option<f64>,
    /// Mean recall.
    pub recall: Option<f64>,
    /// Mean of the classes' F1.
    pub f1: Option<f64>,
}

impl Confusion {
    /// Counts pairs of `truth` and `predicted`; `None` is a row without a verdict. Skips pairs with a class index out
    /// of range ([`super::Predictions::check`] rejects them).
    pub fn count(classes: &[String], truth: &[u32], predicted: &[Option<u32>]) -> Self {
        let mut confusion = Self {
            classes: classes.to_vec(),
            counts: vec![vec![0; classes.len()]; classes.len()],
            no_verdict: vec![0; classes.len()],
        };
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            let cell = match predicted {
                Some(predicted) => {
                    confusion.counts.get_mut(truth as usize).and_then(|row| row.get_mut(predicted as usize))
                }
                None => confusion.no_verdict.get_mut(truth as usize),
            };
            if let Some(cell) = cell {
                *cell += 1;
            }
        }
        confusion
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.support().iter().sum()
    }

    /// Rows of each true class.
    pub fn support(&self) -> Vec<u64> {
        self.counts.iter().zip(&self.no_verdict).map(|(row, none)| row.iter().sum::<u64>() + none).collect()
    }

    /// Rows predicted as each class.
    pub fn predicted(&self) -> Vec<u64> {
        (0..self.classes.len()).map(|class| self.counts.iter().map(|row| row[class]).sum()).collect()
    }

    fn correct(&self) -> u64 {
        self.counts.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// Share of rows classified correctly.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.correct(), self.rows())
    }

    /// Mean recall over the classes with rows.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean(self.per_class().iter().filter_map(|class| class.recall))
    }

    /// Precision, recall and F1 of each class.
    pub fn per_class(&self) -> Vec<ClassMetrics> {
        let (support, predicted) = (self.support(), self.predicted());
        let one = |(class, name): (usize, &String)| {
            let (support, predicted, correct) = (support[class], predicted[class], self.counts[class][class]);
            ClassMetrics {
                class: name.clone(),
                support,
                predicted,
                precision: share(correct, predicted).unwrap_or(0.0),
                precision_undefined: predicted == 0,
                recall: share(correct, support),
                f1: share(2 * correct, support + predicted).filter(|_| support > 0),
            }
        };
        self.classes.iter().enumerate().map(one).collect()
    }

    /// Unweighted means over the classes with rows.
    pub fn macro_average(&self) -> Averages {
        let present: Vec<_> = self.per_class().into_iter().filter(|class| class.support > 0).collect();
        Averages {
            classes: present.len(),
            precision: mean(present.iter().map(|class| class.precision)),
            recall: mean(present.iter().filter_map(|class| class.recall)),
            f1: mean(present.iter().filter_map(|class| class.f1)),
        }
    }

    /// Means weighted by each class's rows.
    pub fn weighted_average(&self) -> Averages {
        let present: Vec<_> = self.per_class().into_iter().filter(|class| class.support > 0).collect();
        let rows = self.rows();
        let weigh = |figure: &dyn Fn(&ClassMetrics) -> f64| {
            let sum: f64 = present.iter().map(|class| figure(class) * class.support as f64).sum();
            (rows > 0).then(|| sum / rows as f64)
        };
        Averages {
            classes: present.len(),
            precision: weigh(&|class| class.precision),
            recall: weigh(&|class| class.recall.unwrap_or(0.0)),
            f1: weigh(&|class| class.f1.unwrap_or(0.0)),
        }
    }

    /// Matthews correlation coefficient for any number of classes (Gorodkin 2004, R_K): 1 is perfect, 0 no better than
    /// chance. 0 if truth or predictions have a single class, as in scikit-learn; `None` without rows. Rows without a
    /// verdict count as predictions of an additional class.
    pub fn mcc(&self) -> Option<f64> {
        let rows = i128::from(self.rows());
        if rows == 0 {
            return None;
        }
        let (support, mut predicted) = (self.support(), self.predicted());
        let none: u64 = self.no_verdict.iter().sum();
        let product: i128 =
            support.iter().zip(&predicted).map(|(&a, &b)| i128::from(a) * i128::from(b)).sum();
        predicted.push(none);
        let square = |counts: &[u64]| counts.iter().map(|&n| i128::from(n) * i128::from(n)).sum::<i128>();
        let covariance = i128::from(self.correct()) * rows - product;
        let (of_truth, of_predictions) = (rows * rows - square(&support), rows * rows - square(&predicted));
        if of_truth == 0 || of_predictions == 0 {
            return Some(0.0);
        }
        Some(covariance as f64 / ((of_truth as f64).sqrt() * (of_predictions as f64).sqrt()))
    }
}

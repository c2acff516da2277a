//! Figures of each training epoch (figures 2 to 5 of the paper).

use serde::{Deserialize, Serialize};

use super::Confusion;

/// The epochs of a training run, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One entry per epoch.
    pub epochs: Vec<Epoch>,
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number, from 1.
    pub number: u32,
    /// Figures on the training rows.
    pub training: EpochScores,
    /// Figures on the validation rows, if there are any.
    pub validation: Option<EpochScores>,
}

/// Figures of one set of rows after one epoch; `None` if undefined or not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochScores {
    /// Mean cross-entropy per row, in nats.
    pub loss: Option<f64>,
    /// Macro-averaged precision over the classes present.
    pub precision: Option<f64>,
    /// Macro-averaged recall over the classes present.
    pub recall: Option<f64>,
    /// Share of rows classified correctly.
    pub accuracy: Option<f64>,
}

impl EpochScores {
    /// The figures of a mean loss and a confusion matrix; a loss that is not finite becomes `None`.
    pub fn new(loss: f64, confusion: &Confusion) -> Self {
        let averages = confusion.macro_average();
        Self {
            loss: loss.is_finite().then_some(loss),
            precision: averages.precision,
            recall: averages.recall,
            accuracy: confusion.accuracy(),
        }
    }
}

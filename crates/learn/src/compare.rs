//! Every model of the literature on the same rows, under the protocol that it was published with and under the honest
//! one.
//!
//! In: data sets. Out: an [`Entry`] for each model, level, task and protocol. *Published* protocols split rows by chance,
//! as the papers did, so that rows of one attack fall on both sides. The *honest* one trains on some recordings and tests
//! on another. Entries are kept under a hash of the data and of everything that decides them, so that a run that was
//! interrupted goes on where it stopped.

mod baseline;
mod cache;
mod data;
mod published;
mod registry;
mod run;
mod sequence;

use serde::{Deserialize, Serialize};

use crate::{
    dataset::DatasetError,
    evaluate::{BaselineError, Confusion, EvaluateError},
    prepare::PrepareError,
    sequence::SequenceError,
    train::TrainError,
    zoo::ZooError,
};

pub use data::{DEFAULT_MAX_ROWS, Data};
pub use published::Reference;
pub use registry::{MODELS, Model};
pub use run::{Cell, Observer, Options, plan, run};

/// What keeps training and test apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A quarter of the rows, by chance (Hindy et al. 2020); a fifth for the LSTM paper's presets.
    Split,
    /// Stratified k-fold, by chance (Hindy et al. 2020).
    Folds,
    /// Each recording with an attack in turn, trained on all others.
    Recordings,
    /// NSL-KDD's own split: KDDTrain+ and KDDTest+, which holds attacks that do not occur in training.
    Given,
}

impl Protocol {
    /// Whether it is what the literature published figures with.
    pub const fn is_published(self) -> bool {
        !matches!(self, Protocol::Recordings)
    }

    /// Its name in tables, which says what it is worth.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Split => "PUBLISHED: rows split by chance",
            Protocol::Folds => "PUBLISHED: k-fold by chance",
            Protocol::Recordings => "HONEST: a recording never seen",
            Protocol::Given => "PUBLISHED: KDDTrain+ to KDDTest+",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Protocol::Split => {
                "one part of the rows is kept for the test by chance: rows of one attack fall on both sides, so the figures say how well a model remembers"
            }
            Protocol::Folds => {
                "every row is tested once, by a model trained on the other parts, which chance made: rows of one attack fall on both sides"
            }
            Protocol::Recordings => {
                "every recording is tested by a model trained on the others: other addresses, times and settings, the same tools"
            }
            Protocol::Given => "the data set's own split: the test holds 17 attacks that training does not",
        }
    }
}

/// What is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Normal or attack.
    Binary,
    /// Normal or which attack.
    MultiClass,
}

impl Task {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Task::Binary => "binary",
            Task::MultiClass => "multi-class",
        }
    }
}

/// What one model is worth on one level, task and protocol. Rows of all folds or recordings are judged together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The model.
    pub model: String,
    /// Where it comes from.
    pub source: String,
    /// What a row stands for.
    pub level: String,
    /// What is told apart.
    pub task: Task,
    /// What keeps training and test apart.
    pub protocol: Protocol,
    /// Everything that decides what training does.
    pub parameters: serde_json::Value,
    /// Models trained: folds, or recordings left out.
    pub fits: u32,
    /// Training rows, on average.
    pub train_rows: u64,
    /// Rows judged.
    pub test_rows: u64,
    /// Share of rows called rightly.
    pub accuracy: Option<f64>,
    /// Lowest and highest accuracy of a fit.
    pub accuracy_range: Option<(f64, f64)>,
    /// Over the classes with rows.
    pub macro_precision: Option<f64>,
    /// Over the classes with rows.
    pub macro_recall: Option<f64>,
    /// Over the classes with rows.
    pub macro_f1: Option<f64>,
    /// Matthews' correlation coefficient.
    pub mcc: Option<f64>,
    /// Area under the ROC curve, attack against normal.
    pub roc_auc: Option<f64>,
    /// Share of attack rows flagged while at most one normal row in 1,000 is.
    pub tpr_at_fpr_1e3: Option<f64>,
    /// Seconds of a fit on average, encoding included.
    pub train_s: f64,
    /// Rows scored a second, encoding included.
    pub rows_per_s: f64,
    /// What a fitted model keeps, on average.
    pub size_bytes: u64,
    /// True against predicted classes.
    pub confusion: Confusion,
    /// Rows that were left out, and why.
    pub caps: Vec<String>,
    /// What was published for it, on the same data only.
    pub reference: Option<Reference>,
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The data cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The rows cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A model cannot be fitted.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// A preset cannot be trained.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The sequence detector cannot be trained.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// Predictions that do not fit together.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A baseline cannot be fitted.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// NSL-KDD and other data.
    #[error("NSL-KDD has other columns than captures: compare on one or the other")]
    Mixed,
    /// A result could not be kept.
    #[error("{path}: cannot keep a result ({problem}); name a folder you can write to with --cache")]
    Cache {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
}

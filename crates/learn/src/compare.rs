//! The models of the literature on the same rows, under the protocols of their papers and under an honest one.
//!
//! In: data sets. Out: an [`Entry`] for each model, level, task and protocol. *Published* protocols split rows at random,
//! so that rows of one attack are in training and test. The *honest* one trains on some recordings and tests on another.
//! Entries are cached by a hash of everything that decides them, so that an interrupted run resumes where it stopped.

mod baseline;
mod cache;
mod cell;
mod data;
mod published;
mod registry;
mod run;
mod sequence;
mod totals;

use serde::{Deserialize, Serialize};

use crate::{
    dataset::DatasetError,
    evaluate::{BaselineError, Confusion, EvaluateError},
    prepare::PrepareError,
    sequence::SequenceError,
    train::TrainError,
    zoo::ZooError,
};

pub use cell::{Cell, Options};
pub use data::{DEFAULT_MAX_ROWS, Data};
pub use published::Reference;
pub use registry::{MODELS, Model};
pub use run::{Observer, plan, run};

/// How training and test are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A random quarter of the rows is the test (Hindy et al. 2020); a fifth for the LSTM paper's presets.
    Split,
    /// Stratified random k-fold (Hindy et al. 2020).
    Folds,
    /// Each recording with an attack is the test in turn; training takes all others.
    Recordings,
    /// NSL-KDD's own split: KDDTrain+, and KDDTest+ with attacks that training lacks.
    Given,
}

impl Protocol {
    /// Whether the literature published figures under it.
    pub const fn is_published(self) -> bool {
        !matches!(self, Protocol::Recordings)
    }

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Split => "PUBLISHED: random split",
            Protocol::Folds => "PUBLISHED: random k-fold",
            Protocol::Recordings => "HONEST: unseen recording",
            Protocol::Given => "PUBLISHED: KDDTrain+ to KDDTest+",
        }
    }

    /// Its meaning, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Protocol::Split => {
                "a random part of the rows is the test: rows of one attack are in training and test, so the figures measure how well a model memorises"
            }
            Protocol::Folds => {
                "every row is tested once, by a model trained on the other random parts: rows of one attack are in training and test"
            }
            Protocol::Recordings => {
                "every recording is tested by a model trained on the others: other addresses, times and settings, the same tools"
            }
            Protocol::Given => "the data set's own split: the test holds 17 attacks that training does not",
        }
    }
}

/// The classes that are predicted.
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

/// The result of one model on one level, task and protocol. Rows of all folds or recordings are evaluated together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The model.
    pub model: String,
    /// Its publication.
    pub source: String,
    /// What a row stands for.
    pub level: String,
    /// The classes that are predicted.
    pub task: Task,
    /// How training and test are separated.
    pub protocol: Protocol,
    /// Everything that decides what training does.
    pub parameters: serde_json::Value,
    /// Models fitted: one for each fold or recording left out.
    pub fits: u32,
    /// Training rows, on average.
    pub train_rows: u64,
    /// Rows evaluated.
    pub test_rows: u64,
    /// Share of rows classified correctly.
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
    /// Bytes of a fitted model, on average.
    pub size_bytes: u64,
    /// True against predicted classes.
    pub confusion: Confusion,
    /// Caps on the rows, as text.
    pub caps: Vec<String>,
    /// Published figures on the same data.
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
    /// Inconsistent predictions.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A baseline cannot be fitted.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// NSL-KDD together with other data.
    #[error("NSL-KDD has other columns than captures: compare on one or the other")]
    Mixed,
    /// A result could not be stored.
    #[error("{path}: cannot store a result ({problem}); name a writable folder with --cache")]
    Cache {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
}

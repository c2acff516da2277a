//! Why a sequence model cannot be trained or judged.

use citronella_sensor::{capture::CaptureError, detect::ModelError};

use crate::{dataset::DatasetError, evaluate::EvaluateError};

/// Why a sequence model cannot be trained or judged.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// A manifest or a file beside it cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The network and its data do not fit together.
    #[error(transparent)]
    Network(#[from] citronella_nn::Error),
    /// The model's file or card cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Truth and predictions do not fit together.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// There is nothing to learn from.
    #[error(
        "{recordings} recordings with {conversations} conversations of {classes} classes: a model needs two classes \
         or more; give manifests whose captures hold benign traffic and attacks"
    )]
    TooLittle {
        /// Recordings given.
        recordings: usize,
        /// Conversations found in them.
        conversations: usize,
        /// Classes among those.
        classes: usize,
    },
}

//! Errors of training and evaluating sequence models.

use citronella_sensor::{capture::CaptureError, detect::ModelError};

use crate::dataset::DatasetError;

/// A sequence model could not be trained or evaluated.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// A manifest or a file in its folder cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The network does not fit its data.
    #[error(transparent)]
    Network(#[from] citronella_nn::Error),
    /// The model's file or card cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recordings have too few classes.
    #[error(
        "{recordings} recordings with {conversations} conversations of {classes} classes: a model needs at least two \
         classes; give manifests whose captures hold benign traffic and attacks"
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

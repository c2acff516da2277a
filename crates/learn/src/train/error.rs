//! Errors of training and scoring.

use citronella_sensor::detect::ModelError;

use crate::{dataset::DatasetError, prepare::PrepareError};

/// A model could not be trained or used.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data set lacks something.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The rows cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The network rejected its shape or its data.
    #[error("the network: {0}")]
    Network(#[from] citronella_nn::Error),
    /// The model does not fit the data or itself.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Model and rows are of different levels.
    #[error("the model reads rows of the {model} level, the data has rows of the {data} level")]
    Level {
        /// The model's level.
        model: String,
        /// The data's level.
        data: &'static str,
    },
    /// More rows than `u32` indices.
    #[error(
        "{rows} rows are more than can be trained on at once (4,294,967,295); read fewer rows of each file"
    )]
    TooManyRows {
        /// Number of rows.
        rows: usize,
    },
}

//! The interface of all models: fitted on training rows, then scoring rows.

use citronella_sensor::detect::{Encoder, Input};

use crate::{
    dataset::Table,
    prepare::{Matrix, PrepareError, Step, TrainFold, TrainSet, encode},
};

/// Why a model cannot be fitted.
#[derive(Debug, thiserror::Error)]
pub enum ZooError {
    /// The rows cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// There are no training rows, inputs or classes.
    #[error("{model}: {rows} training rows of {width} inputs and {classes} classes: one of each is needed")]
    Empty {
        /// The model.
        model: &'static str,
        /// Training rows.
        rows: usize,
        /// Inputs a row.
        width: usize,
        /// Classes.
        classes: usize,
    },
    /// The network rejects its shape or data.
    #[error("the network: {0}")]
    Network(#[from] citronella_nn::Error),
    /// A library failed to fit.
    #[error("{model}: {problem}")]
    Fit {
        /// The model.
        model: &'static str,
        /// The library's message.
        problem: String,
    },
}

/// A model before training.
pub trait Method: Send + Sync {
    /// Its name in tables and on the command line.
    fn name(&self) -> &'static str;

    /// Everything that decides what training does, including row caps.
    fn parameters(&self) -> serde_json::Value;

    /// Fits the model. The result does not depend on `threads` (0: all).
    ///
    /// # Errors
    /// There are no rows, no inputs or no classes.
    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError>;
}

/// A fitted model.
pub trait Classifier: Send + Sync {
    /// Scores of each row for each class, rows x classes in row-major order: probabilities if the model has them, else higher
    /// is likelier.
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32>;

    /// The size of the fitted model in bytes.
    fn size_bytes(&self) -> usize;
}

/// A classifier with the encoder that was fitted on the same training rows.
pub struct Fitted {
    inputs: Vec<Input>,
    encoder: Encoder,
    classifier: Box<dyn Classifier>,
}

impl Fitted {
    /// Fits an encoder, then the model, on a table's training rows.
    ///
    /// # Errors
    /// A step names no column, or the model cannot be fitted.
    pub fn on(
        method: &dyn Method,
        fold: &TrainFold<'_>,
        steps: &[Step],
        threads: usize,
    ) -> Result<Fitted, ZooError> {
        let (inputs, encoder) = encoder(fold, steps)?;
        let classifier = method.fit(&fold.encode(&encoder, threads), threads)?;
        Ok(Fitted { inputs, encoder, classifier })
    }

    /// Scores rows of a table: rows x classes, in the order of the training labels' classes.
    pub fn scores(&self, table: &Table, rows: &[u32], threads: usize) -> Vec<f32> {
        self.classifier.scores(&encode(table, rows, &self.encoder, threads), threads)
    }

    /// The model's inputs: column and operation of each.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The model.
    pub fn classifier(&self) -> &dyn Classifier {
        &*self.classifier
    }
}

/// Fits inputs on a fold, and their encoder for its level.
pub(crate) fn encoder(fold: &TrainFold<'_>, steps: &[Step]) -> Result<(Vec<Input>, Encoder), ZooError> {
    let inputs = fold.fit(steps)?;
    let level = fold.level();
    let encoder = Encoder::new(level, &inputs, &[])
        .map_err(|column| PrepareError::NoSuchColumn { column, level: level.name() })?;
    Ok((inputs, encoder))
}

/// Checks that there are rows, inputs and classes.
pub(super) fn check(model: &'static str, train: &TrainSet) -> Result<(), ZooError> {
    let (rows, width, classes) = (train.x().rows(), train.x().width, train.classes());
    if rows == 0 || width == 0 || classes == 0 {
        return Err(ZooError::Empty { model, rows, width, classes });
    }
    Ok(())
}

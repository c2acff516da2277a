//! What every model of the literature is here: fitted on training rows, asked for scores.

use citronella_sensor::detect::{Encoder, Input};

use super::{
    BoostedTrees, DecisionTree, DeepNetwork, GaussianNaiveBayes, LinearSvm, LogisticRegression,
    NearestNeighbours, RandomForest, RbfSvm, StackedLstm,
};
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
    /// There is nothing to learn from.
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
    /// The network refused its shape or its data.
    #[error("the network: {0}")]
    Network(#[from] citronella_nn::Error),
    /// A library's fit failed.
    #[error("{model}: {problem}")]
    Fit {
        /// The model.
        model: &'static str,
        /// What the library said.
        problem: String,
    },
}

/// A model before training: its name, its parameters, and how it is fitted.
pub trait Method: Send + Sync {
    /// Its name in tables and on the command line.
    fn name(&self) -> &'static str;

    /// Everything that decides what training does, row caps included.
    fn parameters(&self) -> serde_json::Value;

    /// Learns from training rows, on so many threads (0: all); the result does not depend on their number.
    ///
    /// # Errors
    /// There are no rows, no inputs or no classes.
    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError>;
}

/// A fitted model.
pub trait Classifier: Send + Sync {
    /// rows x classes, row after row; higher is likelier. Probabilities where the model has them.
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32>;

    /// What it keeps, in bytes.
    fn size_bytes(&self) -> usize;
}

/// A classifier with the encoders that were fitted on the same training rows.
pub struct Fitted {
    inputs: Vec<Input>,
    encoder: Encoder,
    classifier: Box<dyn Classifier>,
}

impl Fitted {
    /// Fits encoders, then the model, on a table's training rows.
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

    /// Scores of a table's rows: rows x classes, the classes in the order of the labels trained with.
    pub fn scores(&self, table: &Table, rows: &[u32], threads: usize) -> Vec<f32> {
        self.classifier.scores(&encode(table, rows, &self.encoder, threads), threads)
    }

    /// What each of the model's inputs is made of.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The model.
    pub fn classifier(&self) -> &dyn Classifier {
        &*self.classifier
    }
}

/// Inputs fitted on a fold, bound to its table's columns.
pub(crate) fn encoder(fold: &TrainFold<'_>, steps: &[Step]) -> Result<(Vec<Input>, Encoder), ZooError> {
    let inputs = fold.fit(steps)?;
    let level = fold.level();
    let encoder = Encoder::new(level, &inputs, &[])
        .map_err(|column| PrepareError::NoSuchColumn { column, level: level.name() })?;
    Ok((inputs, encoder))
}

/// Refuses rows that nothing can be learnt from.
pub(super) fn check(model: &'static str, train: &TrainSet) -> Result<(), ZooError> {
    let (rows, width, classes) = (train.x().rows(), train.x().width, train.classes());
    if rows == 0 || width == 0 || classes == 0 {
        return Err(ZooError::Empty { model, rows, width, classes });
    }
    Ok(())
}

/// The model of a name, with the parameters of the literature.
pub fn method(name: &str, seed: u64) -> Option<Box<dyn Method>> {
    methods(seed).into_iter().find(|method| method.name() == name)
}

/// All classical models, with the parameters of the literature.
pub fn methods(seed: u64) -> Vec<Box<dyn Method>> {
    vec![
        Box::new(LogisticRegression),
        Box::new(NearestNeighbours { k: 5 }),
        Box::new(GaussianNaiveBayes),
        Box::new(DecisionTree { seed }),
        Box::new(RandomForest { trees: 10, seed }),
        Box::new(RbfSvm { max_rows: 5_000, seed }),
        Box::new(LinearSvm),
        Box::new(DeepNetwork { hidden: [64, 64], epochs: 10, seed }),
        Box::new(StackedLstm { hidden: [64, 64], dropout_percent: 20, epochs: 10, seed }),
        Box::new(BoostedTrees { trees: 50 }),
    ]
}

//! Khan's dense network and Bashar's stacked LSTM. Inputs are standardised over the training rows.

use citronella_nn::{DenseNetwork, LossAt, Network, Spec, TrainConfig, Trainer};
use serde_json::json;

use super::{Classifier, Method, ZooError, method::check, scale::Scale};
use crate::prepare::{Matrix, TrainSet, with_threads};

/// Khan et al. 2021: two hidden layers with ReLU, Adam, batches of 128. Layer sizes and epochs are
/// chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeepNetwork {
    /// Units of each hidden layer.
    pub hidden: [usize; 2],
    /// Training epochs.
    pub epochs: usize,
    /// Seed of the weights and the order of rows.
    pub seed: u64,
}

/// Bashar et al. 2022: stacked LSTM layers, each with batch normalisation and dropout; a row is one time step.
/// Layer sizes, dropout and epochs are chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackedLstm {
    /// Units of each layer.
    pub hidden: [usize; 2],
    /// Dropout in percent.
    pub dropout_percent: u8,
    /// Training epochs.
    pub epochs: usize,
    /// Seed of the weights, the order of rows, and dropout.
    pub seed: u64,
}

/// Rows of a training batch.
const BATCH: usize = 128;
const LEARNING_RATE: f32 = 1e-3;

impl Method for DeepNetwork {
    fn name(&self) -> &'static str {
        "dnn"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "hidden": self.hidden, "activation": "ReLU", "optimiser": "Adam", "learning_rate": 0.001, "batch": BATCH,
            "epochs": self.epochs, "seed": self.seed, "inputs": "standardised" })
    }

    fn fit(&self, train: &TrainSet, _threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let scale = Scale::fit(train);
        let x = scale.apply(train.x());
        let sizes = [x.width, self.hidden[0], self.hidden[1], train.classes()];
        let mut network = DenseNetwork::new(&sizes, self.seed)?;
        let config = TrainConfig {
            batch: BATCH,
            learning_rate: LEARNING_RATE,
            seed: self.seed,
            ..TrainConfig::default()
        };
        network.train(&x.data, train.y(), self.epochs, &config, &mut |_| {})?;
        Ok(Box::new(Dense { scale, network, classes: train.classes() }))
    }
}

struct Dense {
    scale: Scale,
    network: DenseNetwork,
    classes: usize,
}

impl Classifier for Dense {
    fn scores(&self, rows: &Matrix, _threads: usize) -> Vec<f32> {
        let unknown = |_| vec![f32::NAN; rows.rows() * self.classes];
        self.network.predict(&self.scale.apply(rows).data).unwrap_or_else(unknown)
    }

    fn size_bytes(&self) -> usize {
        self.network.parameters() * size_of::<f32>() + self.scale.size_bytes()
    }
}

impl Method for StackedLstm {
    fn name(&self) -> &'static str {
        "stacked-lstm"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "lstm": self.hidden, "batch_normalisation": true, "dropout": f64::from(self.dropout_percent) / 100.0,
            "time_steps": 1, "optimiser": "Adam", "learning_rate": 0.001, "batch": BATCH, "epochs": self.epochs,
            "seed": self.seed, "inputs": "standardised" })
    }

    fn fit(&self, train: &TrainSet, threads: usize) -> Result<Box<dyn Classifier>, ZooError> {
        check(self.name(), train)?;
        let scale = Scale::fit(train);
        let x = scale.apply(train.x());
        let spec = Spec {
            inputs: x.width,
            hidden: self.hidden.to_vec(),
            outputs: if train.classes() == 2 { 1 } else { train.classes() },
            dropout: f32::from(self.dropout_percent) / 100.0,
            batch_norm: true,
            loss_at: LossAt::LastStep,
        };
        let threads = if threads == 0 { rayon::current_num_threads() } else { threads };
        let config = TrainConfig {
            batch: BATCH,
            learning_rate: LEARNING_RATE,
            seed: self.seed,
            threads,
            class_weights: None,
        };
        let mut trainer = Trainer::new(Network::new(spec, self.seed)?, config)?;
        for _ in 0..self.epochs {
            trainer.epoch(&x.data, train.y(), x.rows(), 1, &mut |_| {})?;
        }
        Ok(Box::new(Recurrent { scale, network: trainer.into_network(), classes: train.classes() }))
    }
}

struct Recurrent {
    scale: Scale,
    network: Network,
    classes: usize,
}

impl Classifier for Recurrent {
    fn scores(&self, rows: &Matrix, threads: usize) -> Vec<f32> {
        let x = self.scale.apply(rows);
        let predict =
            || self.network.predict(&x.data, x.rows(), 1, rayon::current_num_threads()).unwrap_or_default();
        let outputs = with_threads(threads, predict);
        if self.network.spec().outputs > 1 {
            return outputs;
        }
        debug_assert_eq!(self.classes, 2);
        outputs.into_iter().flat_map(|attack| [1.0 - attack, attack]).collect()
    }

    fn size_bytes(&self) -> usize {
        let weights: usize = self.network.tensors().iter().map(|(_, _, values)| values.len()).sum();
        weights * size_of::<f32>() + self.scale.size_bytes()
    }
}

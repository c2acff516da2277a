//! What a model file says about itself, as JSON in the safetensors metadata.

use super::Input;

/// The version of the model file's layout; it changes when a program can no longer read what another wrote.
pub const FORMAT: u64 = 1;

/// A file that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataFile {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub file: String,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// Which rows are the model's business.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RowRule {
    /// A row with an empty cell in one of these columns is passed over, in training and in detection.
    pub required: Vec<String>,
    /// Rows taken from each file in training.
    pub rows_per_file: Option<u64>,
}

/// How a row's inputs enter the LSTM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One input a time step: the LSTM walks over the columns of a row.
    Columns,
    /// All inputs of a row in one time step: the LSTM walks over rows.
    Rows,
}

/// The network's dimensions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NetworkCard {
    /// How inputs become time steps.
    pub shape: Shape,
    /// Units of each LSTM layer, first layer first.
    pub lstm: Vec<usize>,
    /// Units of the dense layer: 1 (sigmoid, the probability of the second class) or one a class (softmax).
    pub outputs: usize,
}

impl NetworkCard {
    /// Numbers that the network reads at a time step, for a row of `width` inputs.
    pub fn inputs(&self, width: usize) -> usize {
        match self.shape {
            Shape::Columns => 1,
            Shape::Rows => width,
        }
    }

    /// Time steps that a row of `width` inputs makes.
    pub fn steps(&self, width: usize) -> usize {
        match self.shape {
            Shape::Columns => width,
            Shape::Rows => 1,
        }
    }
}

/// Everything about a model but its weights.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Card {
    /// Layout version of the file, [`FORMAT`].
    pub format: u64,
    /// Version of the program that wrote it.
    pub program: String,
    /// The preset it was trained by.
    pub preset: String,
    /// The feature level of its rows.
    pub level: String,
    /// Class names, in the order of the outputs.
    pub classes: Vec<String>,
    /// What the model reads of a row, in order.
    pub inputs: Vec<Input>,
    /// Which rows it reads.
    pub rows: RowRule,
    /// The network's dimensions.
    pub network: NetworkCard,
    /// The seed of everything random in its training.
    pub seed: u64,
    /// The files it was trained on.
    pub data: Vec<DataFile>,
    /// How it was trained: a document of its trainer.
    pub training: serde_json::Value,
    /// What it scored when it was made, and on what: a document of its trainer.
    pub metrics: serde_json::Value,
}

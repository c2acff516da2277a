//! The model card: JSON in the metadata of the safetensors file.

use super::Input;

/// Version of the model file's layout, incremented by incompatible changes.
pub const FORMAT: u64 = 1;

/// A file that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataFile {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub file: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
}

/// Which rows the model reads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RowRule {
    /// Training and detection skip rows with an empty cell in one of these columns.
    pub required: Vec<String>,
    /// Maximum rows of each file in training.
    pub rows_per_file: Option<u64>,
}

/// How the LSTM reads a row's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One input per time step: a row is a sequence of columns.
    Columns,
    /// All inputs of a row in one time step: a conversation is a sequence of rows.
    Rows,
}

/// The network's dimensions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NetworkCard {
    /// How inputs become time steps.
    pub shape: Shape,
    /// Units of each LSTM layer, input layer first.
    pub lstm: Vec<usize>,
    /// Units of the dense layer: 1 (sigmoid, the probability of the second class) or one per class (softmax).
    pub outputs: usize,
}

impl NetworkCard {
    /// Inputs per time step for a row of `width` inputs.
    pub fn inputs(&self, width: usize) -> usize {
        match self.shape {
            Shape::Columns => 1,
            Shape::Rows => width,
        }
    }

    /// Time steps of a row of `width` inputs.
    pub fn steps(&self, width: usize) -> usize {
        match self.shape {
            Shape::Columns => width,
            Shape::Rows => 1,
        }
    }
}

/// A model without its weights.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Card {
    /// Layout version of the file, [`FORMAT`].
    pub format: u64,
    /// Version of the program that wrote it.
    pub program: String,
    /// The training preset.
    pub preset: String,
    /// The feature level of its rows.
    pub level: String,
    /// Class names, in the order of the outputs.
    pub classes: Vec<String>,
    /// The inputs of a row, in order.
    pub inputs: Vec<Input>,
    /// Which rows it reads.
    pub rows: RowRule,
    /// The network's dimensions.
    pub network: NetworkCard,
    /// The training seed.
    pub seed: u64,
    /// The training files.
    pub data: Vec<DataFile>,
    /// Training options and calibrated settings; the trainer defines the format.
    pub training: serde_json::Value,
    /// Figures of the evaluation after training; the trainer defines the format.
    pub metrics: serde_json::Value,
}

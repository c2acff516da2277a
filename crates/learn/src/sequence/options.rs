//! Training options.

/// Options of a training run. Model files store them under their serialised names.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Options {
    /// Seed of every random choice.
    pub seed: u64,
    /// Units of each LSTM layer.
    pub hidden: Vec<usize>,
    /// Epochs.
    pub epochs: usize,
    /// Windows drawn per epoch.
    pub windows: usize,
    /// Maximum packets of a window; detection resets a conversation's state after as many.
    pub steps: usize,
    /// Windows per batch.
    pub batch: usize,
    /// Initial learning rate of Adam; it decays to a tenth along half a cosine.
    pub learning_rate: f32,
    /// Dropout rate of the LSTM's outputs.
    pub dropout: f32,
    /// Augmented copies of each recording besides the recording itself.
    pub variants: usize,
    /// Share of benign windows from hosts that also attack.
    #[serde(rename = "beside_attack")]
    pub benign_of_attacker: f64,
    /// Probability that a group of columns that a client sets freely is 0 throughout a training window.
    pub masked: f64,
    /// Columns of the level to exclude.
    pub without: Vec<String>,
    /// Threads; the result does not depend on it.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 42,
            hidden: vec![64],
            epochs: 40,
            windows: 12_288,
            steps: 64,
            batch: 64,
            learning_rate: 3e-3,
            dropout: 0.2,
            variants: 14,
            benign_of_attacker: 0.25,
            masked: 0.25,
            without: Vec::new(),
            threads: 2,
        }
    }
}

//! Progress notifications of training.

use super::Epoch;

/// A stage of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Selects, labels and splits rows.
    Split,
    /// Fits encoders and scalers, encodes rows.
    Encode,
    /// Generates synthetic rows.
    Smote,
    /// Trains the network.
    Train,
    /// Scores the test rows.
    Test,
}

impl Stage {
    /// Name for a progress line.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Split => "split",
            Stage::Encode => "encode",
            Stage::Smote => "SMOTE",
            Stage::Train => "train",
            Stage::Test => "test",
        }
    }
}

/// Observes training; every method does nothing by default.
pub trait Observer {
    /// A stage begins.
    fn stage(&mut self, stage: Stage) {
        let _ = stage;
    }

    /// `done` of `of` rows of the stage are done; while training, of all epochs.
    fn progress(&mut self, done: u64, of: u64) {
        let _ = (done, of);
    }

    /// An epoch of `of` has ended.
    fn epoch(&mut self, epoch: &Epoch, of: usize) {
        let _ = (epoch, of);
    }
}

/// Ignores all notifications.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

//! What a caller hears while a model is trained.

use super::Epoch;

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Rows are chosen, labelled and split.
    Split,
    /// Encoders and scalers are fitted, rows are encoded.
    Encode,
    /// Synthetic rows are made.
    Smote,
    /// The network learns.
    Train,
    /// The test rows are scored.
    Test,
}

impl Stage {
    /// What is done, for a progress line.
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

/// Hears how the work goes; every method does nothing unless it is written.
pub trait Observer {
    /// A stage begins.
    fn stage(&mut self, stage: Stage) {
        let _ = stage;
    }

    /// `done` of `of` rows of the stage are done (of all epochs, while training).
    fn progress(&mut self, done: u64, of: u64) {
        let _ = (done, of);
    }

    /// An epoch, of so many, is over.
    fn epoch(&mut self, epoch: &Epoch, of: usize) {
        let _ = (epoch, of);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

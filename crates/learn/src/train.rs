//! Training of a preset's model of rows, and scoring of rows with a model.
//!
//! In: a [`Preset`](crate::zoo::Preset) or a model file, and a [`Table`](crate::dataset::Table). Out: [`Trained`] or
//! [`Scored`]: model, probabilities and truth. An [`Observer`] receives progress. The same seed gives the same numbers
//! on any number of threads.

mod error;
mod observer;
mod run;
mod score;

pub use error::TrainError;
pub use observer::{Observer, Silent, Stage};
pub use run::{Epoch, History, Options, Sizes, StageTime, Trained, run};
pub use score::{Scored, score, score_rows};

//! Training a preset's model, and scoring rows with a model.
//!
//! In: a [`Preset`](crate::zoo::Preset) or a model file, and a [`Table`](crate::dataset::Table). Out: [`Trained`] or
//! [`Scored`]: models, probabilities and truth, for `evaluate` to judge. Nothing is printed: an [`Observer`] hears
//! how it goes. The same seed gives the same numbers for any number of threads.

mod error;
mod observer;
mod run;
mod score;

pub use error::TrainError;
pub use observer::{Observer, Silent, Stage};
pub use run::{Epoch, History, Options, Sizes, StageTime, Trained, run};
pub use score::{Scored, score, score_rows};

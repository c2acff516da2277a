//! From rows to verdicts: the model file, and the scaler that training and detection share.
//!
//! In: rows of a feature level. Out: the model's inputs, one `f32` for each [`Input`].

mod card;
mod error;
mod input;
mod model;
mod reason;

pub use card::{Card, DataFile, FORMAT, NetworkCard, RowRule, Shape};
pub use error::ModelError;
pub use input::{Encoder, Input, Op, Value};
pub use model::ModelFile;
pub use reason::{Reason, reasons};

//! From rows to verdicts: the model file, and the scaler that training and detection share.
//!
//! In: rows of a feature level. Out: the model's inputs, one `f32` for each [`Input`]. Or in: packets, out: what a
//! [`Shard`] with a [`Detector`] finds in them.

mod batch;
mod card;
mod detector;
mod drift;
mod error;
mod explain;
mod input;
mod model;
mod reason;
mod shard;
mod silence;
mod verdicts;

pub use card::{Card, DataFile, FORMAT, NetworkCard, RowRule, Shape};
pub use detector::Detector;
pub use drift::{Drift, Outlook};
pub use error::ModelError;
pub use explain::{ExplainError, ExplainedPacket, Explanation, FlowChoice, explain};
pub use input::{Encoder, Input, Op, Value};
pub use model::ModelFile;
pub use reason::{Reason, reasons};
pub use shard::{Batching, Config, Counters, FlowVerdict, Shard, Sink};
pub use verdicts::{COLUMNS as VERDICT_COLUMNS, VerdictWriter};

//! From rows to verdicts: the model file, and the scaler that training and detection share.
//!
//! In: rows of a feature level. Out: the model's inputs, one `f32` for each [`Input`]. Or in: packets, out: what a
//! [`Shard`] with a [`Detector`] finds in them.

mod batch;
mod batch_part;
mod card;
mod config;
mod counters;
mod detector;
mod drift;
mod error;
mod explain;
mod input;
mod model;
mod reason;
mod scorer;
mod shard;
mod silence;
mod sink;
mod verdicts;

pub use card::{Card, DataFile, FORMAT, NetworkCard, RowRule, Shape};
pub use config::{Batching, Config};
pub use counters::Counters;
pub use detector::Detector;
pub use drift::{Drift, Outlook};
pub use error::ModelError;
pub use explain::{ExplainError, ExplainedPacket, Explanation, FlowChoice, explain};
pub use input::{Encoder, Input, Op, Value};
pub use model::ModelFile;
pub use reason::{Reason, reasons};
pub use shard::Shard;
pub use sink::{FlowVerdict, Sink};
pub use verdicts::{COLUMNS as VERDICT_COLUMNS, VerdictWriter};

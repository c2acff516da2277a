//! From rows to verdicts: model files, the encoding of rows that training and detection share, and detection.
//!
//! In: rows of a feature level; out: the model's inputs, one `f32` for each [`Input`]. In: packets; out: the findings and
//! verdicts of a [`Shard`] with a [`Detector`], reported to an [`Observer`].

mod batch;
mod batch_part;
mod card;
mod config;
mod counters;
mod detector;
mod error;
mod explain;
mod finding;
mod idle_watch;
mod input;
mod model;
mod observer;
mod reason;
mod scorer;
mod shard;
mod verdicts;

pub use card::{Card, DataFile, FORMAT, NetworkCard, RowRule, Shape};
pub use config::{Batching, Config};
pub use counters::Counters;
pub use detector::Detector;
pub use error::ModelError;
pub use explain::{ExplainError, ExplainedPacket, Explanation, FlowChoice, explain};
pub use finding::{Finding, FindingSource, RuleId};
pub use input::{Encoder, Input, Op, Value};
pub use model::ModelFile;
pub use observer::{Control, FlowVerdict, Observer, Progress, RuleContext};
pub use reason::{Reason, reasons};
pub use shard::Shard;
pub use verdicts::{COLUMNS as VERDICT_COLUMNS, VerdictWriter};

//! EVE JSON: the sensor's events as the records that Suricata writes and that the tools around it read.
//!
//! In: events of the alert engine ([`EveSink`]) and of sessions ([`SessionRecorder`]). Out: records, one a line, through a
//! bounded queue to a file, a pipe or stdout ([`output`]). Encoding runs outside the lock of the alert engine; the
//! queue's writer has a thread of its own. A field of a record is written in `alert`, `mqtt`, `record` or `stats`.

#![forbid(unsafe_code)]

mod alert;
mod encoder;
mod json;
mod mqtt;
pub mod output;
mod record;
mod session;
mod sink;
mod stats;
mod time;

pub use encoder::{Encoder, EveCounters, EveOptions};
pub use session::SessionRecorder;
pub use sink::EveSink;

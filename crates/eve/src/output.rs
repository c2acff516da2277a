//! Output of records: a bounded queue, and a thread that writes to a file, a pipe or stdout.
//!
//! In: whole records. Out: bytes of a [`Target`], rotated where asked for. Offline the queue blocks; live it drops and
//! counts, alerts last. It is part of this crate because it moves encoded records only.

mod queue;
mod target;

pub use queue::{QueueCounters, QueueSender, RecordWriter, WhenFull, start};
pub use target::{Rotation, Target};

//! Threads that share work: one primitive, [`Monitor`], and what is built on it, [`WorkerPool`] and [`Team`].
//!
//! | type | threads live for | use |
//! |---|---|---|
//! | [`Monitor`] | one call of [`Monitor::run`] | pipelines with a queue of their own (encoding rows, sharded flows) |
//! | [`WorkerPool`] | as long as the pool | batches of jobs that run while the caller does other work (LSTM steps of detection) |
//! | [`Team`] | one call of [`Team::run`] | phases that all threads pass together (LSTM training) |
//!
//! Loops over independent items use rayon instead.
//!
//! Invariants, checked by tests/loom.rs over all interleavings with a bounded number of preemptions:
//! 1. *No lost wake-up.* All state, the count of notifications and the count of sleepers change under the monitor's lock. A
//!    waiter that saw the state before a change sees another count of notifications, or is counted as a sleeper.
//! 2. *Every job runs exactly once per batch*, on one thread, and [`WorkerPool::finish`] returns after the last.
//! 3. *A panic ends all.* A panic in a thread of [`Monitor::run`] or [`Team::run`] wakes every waiter, and surfaces in the
//!    caller. A panic in a job of a pool ends that job only and is reported once, by [`WorkerPool::finish`].
//! 4. *Dropping a pool joins its threads*, also in the middle of a batch; jobs that have not started do not run.
//! 5. *A barrier separates phases*: no member passes before all have arrived, and all see what was written before.

mod monitor;
mod sync;
mod team;
mod worker_pool;

pub use monitor::{BeforeSleep, Guard, Monitor};
pub use team::{Member, Team};
pub use worker_pool::{JobPanicked, WorkerPool};

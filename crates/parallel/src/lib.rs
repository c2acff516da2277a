//! Threads that share work.
mod monitor;
mod sync;
mod team;
mod worker_pool;

pub use monitor::{BeforeSleep, Guard, Monitor};
pub use team::{Member, Team};
pub use worker_pool::{JobPanicked, WorkerPool};

//! Experiments behind the training's decisions: harder variants of attacks, and classes left out of training.
//!
//! In: recordings, the names of those to hold out, and training options. Out: counts of conversations. Networks of
//! different held-out recordings are trained in parallel, one thread each, on the caller's rayon thread pool.
//! `cargo run --release -p citronella-learn --example sequence` prints the results.

mod harder;
mod unseen;

pub use harder::{ClassCounts, HarderResult, VARIANTS, harder_attacks};
pub use unseen::{Counts, UnseenResult, unseen_classes};

use super::{Options, Pool, Recording};

/// Threshold of every class in the experiments.
const THRESHOLD: f32 = 0.97;

/// The union of the pools of all recordings but those named.
fn pool_without(recordings: &[Recording], pools: &[Pool], names: &[&str]) -> Pool {
    let others = recordings.iter().zip(pools).filter(|(r, _)| !names.contains(&r.name.as_str()));
    Pool::union(others.map(|(_, pool)| pool))
}

/// Options of a network that is trained in parallel with others.
fn single_threaded(options: &Options) -> Options {
    Options { threads: 1, ..options.clone() }
}

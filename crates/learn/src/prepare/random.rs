//! Seeded random numbers, with an independent stream for each use.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for. Streams of one seed are independent of each other.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Audit = 0,
    TestSplit = 1,
    ValidationSplit = 2,
    Smote = 3,
    Model = 4,
    RowCap = 5,
}

/// The generator of a seed's stream.
pub(crate) fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

/// Shuffles by Fisher and Yates' algorithm.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.random_range(0..=last));
    }
}

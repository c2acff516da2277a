//! Seeded random numbers, an independent stream for each purpose.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are for: purposes share a seed but no numbers.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    TestSplit = 1,
    ValidationSplit = 2,
    Smote = 3,
    Model = 4,
    RowCap = 5,
}

/// The stream of a seed for a purpose.
pub(crate) fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose as u64);
    rng
}

/// Fisher and Yates' shuffle.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.random_range(0..=last));
    }
}

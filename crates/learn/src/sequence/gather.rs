//! Extraction of the training set: a pool of conversations for each recording, with augmented variants.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{MemoryCapture, Options, Pool, Recording, SequenceError, Variant, traffic::Traffic};

/// Maximum conversations of a stratum from each capture and variant.
const MAX_PER_STRATUM: usize = 400;

/// The variants of each recording in the training set; the first is the unchanged recording.
pub fn variants(options: &Options) -> Vec<Variant> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut all = vec![Variant::PLAIN];
    for number in 1..=options.variants as u64 {
        let mut one_in = |n: u32| rng.random_range(0..n) == 0;
        let (is_thin, is_slow, is_late) = (one_in(3), one_in(3), one_in(3));
        let (is_lossy, is_distributed, is_behind_nat) = (one_in(3), one_in(3), one_in(3));
        all.push(Variant {
            seed: options.seed.wrapping_mul(1_000).wrapping_add(number),
            time_scale: rng.random_range(-1.2f64..1.4).exp(),
            loss: if is_lossy { rng.random_range(0.0..0.05) } else { 0.0 },
            skip_secs: if is_late { rng.random_range(5.0..40.0) } else { 0.0 },
            attack_share: if is_thin { rng.random_range(-3.5f64..-0.5).exp() } else { 1.0 },
            attack_scale: if is_slow { rng.random_range(0.5f64..3.0).exp() } else { 1.0 },
            attack_sources: if is_distributed { rng.random_range(2..6) } else { 1 },
            inside: number % 2 == 0,
            nat_clients: if is_behind_nat { rng.random_range(2..17) } else { 0 },
        });
    }
    all
}

/// Returns one pool for each recording. Runs on the caller's rayon thread pool.
///
/// # Errors
/// A capture cannot be read.
pub fn gather(recordings: &[&Recording], options: &Options) -> Result<Vec<Pool>, SequenceError> {
    let variants = variants(options);
    let pool_of_capture = |(number, capture): (usize, &MemoryCapture)| {
        let traffic = Traffic::read(capture)?;
        let pool_of_variant = |variant: &Variant| {
            let seed = variant.seed.wrapping_add(number as u64 * 77);
            Pool::gather(capture, &traffic, Variant { seed, ..*variant }, MAX_PER_STRATUM)
        };
        Ok(Pool::union(&variants.par_iter().map(pool_of_variant).collect::<Vec<_>>()))
    };
    let captures: Vec<(usize, &MemoryCapture)> =
        (0..).zip(recordings).flat_map(|(n, r)| r.captures.iter().map(move |c| (n, c))).collect();
    let pools: Vec<Pool> =
        captures.par_iter().map(|one| pool_of_capture(*one)).collect::<Result<_, SequenceError>>()?;
    let pool_of_recording = |number: usize| {
        let own = captures.iter().zip(&pools).filter(|((recording, _), _)| *recording == number);
        Pool::union(own.map(|(_, pool)| pool))
    };
    Ok((0..recordings.len()).map(pool_of_recording).collect())
}

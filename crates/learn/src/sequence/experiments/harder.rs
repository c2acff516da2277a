//! Detection of attacks that are slower, thinner, distributed or from inside.

use citronella_sensor::feature::sequence::verdict::Settings;
use rayon::prelude::*;

use super::super::{
    Confused, Figures, Options, Recording, SequenceError, Variant, confusions, figures, fit, gather,
    score_variant, verdict,
};
use super::{THRESHOLD, pool_without, single_threaded};
use crate::dataset::CLASSES;

const PLAIN: Variant = Variant { seed: 991, ..Variant::PLAIN };

/// The variants, each with its name.
pub const VARIANTS: [(&str, Variant); 7] = [
    ("as recorded", PLAIN),
    ("slow", Variant { attack_scale: 10.0, ..PLAIN }),
    ("thin 1/50", Variant { attack_share: 0.02, ..PLAIN }),
    ("4 sources 1/5", Variant { attack_share: 0.2, attack_sources: 4, ..PLAIN }),
    ("inside", Variant { inside: true, ..PLAIN }),
    ("inside 1/10", Variant { attack_share: 0.1, inside: true, ..PLAIN }),
    ("inside slow", Variant { attack_scale: 8.0, inside: true, ..PLAIN }),
];

/// An attack class's conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCounts {
    /// Class index.
    pub class: u32,
    /// Conversations.
    pub flows: usize,
    /// Those flagged as any attack.
    pub flagged: usize,
    /// Those classified correctly.
    pub correct: usize,
}

/// Figures of one variant of a recording.
#[derive(Clone, Debug)]
pub struct HarderResult {
    /// The held-out recording.
    pub held_out: String,
    /// The recording that was scored: the held-out one or one of `also`.
    pub recording: String,
    /// Name of the variant.
    pub variant: &'static str,
    /// Consecutive packets that flag a conversation.
    pub packets: u32,
    /// The figures.
    pub figures: Figures,
    /// Counts of each attack class.
    pub classes: Vec<ClassCounts>,
    /// Misclassified conversations, most frequent first.
    pub confused: Vec<Confused>,
}

/// Holds out each recording of `held` in turn, and scores every variant of it and of `also`.
///
/// # Errors
/// A capture cannot be read, or a training set has fewer than two classes.
pub fn harder_attacks(
    recordings: &[Recording],
    held: &[String],
    also: &[Recording],
    options: &Options,
) -> Result<Vec<HarderResult>, SequenceError> {
    let pools = gather(&recordings.iter().collect::<Vec<_>>(), options)?;
    let settings_of = |packets| Settings::plain(options.steps as u32, packets, THRESHOLD, CLASSES.len());
    let run = |name: &String| -> Result<Vec<HarderResult>, SequenceError> {
        let pool = pool_without(recordings, &pools, &[name]);
        let network = fit(&pool, &single_threaded(options), &mut |_, _| ())?;
        let mut results = Vec::new();
        for recording in recordings.iter().filter(|r| r.name == *name).chain(also) {
            for (variant_name, variant) in VARIANTS {
                let captures = &recording.captures;
                let flows = score_variant(&network, pool.limits(), options.steps, captures, variant)?;
                for settings in [settings_of(2), settings_of(3)] {
                    let counts = |class| {
                        let own = flows.iter().filter(|flow| flow.truth == class);
                        let verdicts: Vec<u32> = own.map(|flow| verdict(flow, &settings).class).collect();
                        ClassCounts {
                            class,
                            flows: verdicts.len(),
                            flagged: verdicts.iter().filter(|verdict| **verdict > 0).count(),
                            correct: verdicts.iter().filter(|verdict| **verdict == class).count(),
                        }
                    };
                    results.push(HarderResult {
                        held_out: name.clone(),
                        recording: recording.name.clone(),
                        variant: variant_name,
                        packets: settings.packets,
                        figures: figures(&flows, &settings),
                        classes: (1..CLASSES.len() as u32).map(counts).collect(),
                        confused: confusions(&flows, &settings),
                    });
                }
            }
        }
        Ok(results)
    };
    let all: Vec<Vec<HarderResult>> =
        held.par_iter().with_max_len(1).map(run).collect::<Result<_, SequenceError>>()?;
    Ok(all.into_iter().flatten().collect())
}

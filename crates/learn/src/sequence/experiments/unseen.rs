//! Verdicts on an attack class that the training set does not contain.

use std::collections::BTreeMap;

use citronella_nn::Network;
use citronella_sensor::feature::sequence::{
    unknown::Unknown,
    verdict::{Benign, Settings},
};
use rayon::prelude::*;

use super::super::{Options, Pool, Recording, SequenceError, benign_beyond, fit, gather, score, verdict};
use super::{THRESHOLD, pool_without, single_threaded};
use crate::dataset::CLASSES;

/// Conversations, and how many of them were flagged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Conversations.
    pub flows: usize,
    /// Those flagged as any class.
    pub flagged: usize,
    /// Those flagged as unknown.
    pub unknown: usize,
}

impl Counts {
    fn add(&mut self, class: u32) {
        self.flows += 1;
        self.flagged += usize::from(class > 0);
        self.unknown += usize::from(class as usize == CLASSES.len());
    }
}

/// Verdicts on a held-out recording by a network that was trained without one class.
#[derive(Clone, Debug, Default)]
pub struct UnseenResult {
    /// The held-out recording.
    pub held_out: String,
    /// Index of the class left out of training.
    pub class: u32,
    /// Multiple of the training set's limits from which a conversation is unknown.
    pub times: f32,
    /// Verdicts on the class's conversations: class index (or [`CLASSES`]`.len()` for unknown) and count.
    pub verdicts: BTreeMap<u32, usize>,
    /// Conversations of the other attacks.
    pub other_attacks: Counts,
    /// Benign conversations, without those of hosts that also attack.
    pub benign: Counts,
    /// Benign conversations of hosts that also attack.
    pub benign_of_attackers: Counts,
}

/// Holds out each recording of `held` and leaves each attack class out of training in turn. The threshold of the
/// unknown class allows one false alert a day on the other recordings, each compared with the limits of the rest.
/// `network` only has to have the right shape: the limits alone decide there.
///
/// # Errors
/// A capture cannot be read, or a training set has fewer than two classes.
pub fn unseen_classes(
    recordings: &[Recording],
    held: &[String],
    network: &Network,
    options: &Options,
) -> Result<Vec<UnseenResult>, SequenceError> {
    let pools = gather(&recordings.iter().collect::<Vec<_>>(), options)?;
    let unknown = |name: &String| calibrated_unknown(recordings, &pools, name, network, options);
    let unknown: Vec<Option<Unknown>> = held.par_iter().map(unknown).collect::<Result<_, SequenceError>>()?;
    let classes = 1..CLASSES.len() as u32;
    let tasks: Vec<(&String, &Option<Unknown>, u32)> = held
        .iter()
        .zip(&unknown)
        .flat_map(|(name, unknown)| classes.clone().map(move |class| (name, unknown, class)))
        .collect();
    let run = |(name, unknown, class): &(&String, &Option<Unknown>, u32)| {
        let pool = pool_without(recordings, &pools, &[name]);
        let settings = Settings { unknown: (*unknown).clone(), ..plain(options) };
        let recordings = recordings.iter().filter(|r| r.name == **name);
        without_class(&pool, *class, recordings, settings, options)
            .map(|result| UnseenResult { held_out: (*name).clone(), ..result })
    };
    tasks.par_iter().with_max_len(1).map(run).collect()
}

fn plain(options: &Options) -> Settings {
    Settings::plain(options.steps as u32, 3, THRESHOLD, CLASSES.len())
}

/// The unknown class's settings, from all attacked recordings but `name`.
fn calibrated_unknown(
    recordings: &[Recording],
    pools: &[Pool],
    name: &str,
    network: &Network,
    options: &Options,
) -> Result<Option<Unknown>, SequenceError> {
    let (mut flows, mut hours) = (Vec::new(), 0.0);
    for other in recordings.iter().filter(|r| r.name != *name && r.is_attacked()) {
        let pool = pool_without(recordings, pools, &[name, &other.name]);
        flows.extend(score(network, pool.limits(), options.steps, &other.captures)?);
        hours += other.hours()? as f32;
    }
    let plain = plain(options);
    let unknown = Some(benign_beyond(&flows.iter().collect::<Vec<_>>(), &plain));
    let benign = Benign { hours, highest: vec![Vec::new(); CLASSES.len()], ceilings: Vec::new() };
    Ok(Settings { benign, unknown, ..plain }.for_false_alerts(1.0).unknown)
}

fn without_class<'a>(
    pool: &Pool,
    class: u32,
    recordings: impl Iterator<Item = &'a Recording>,
    mut settings: Settings,
    options: &Options,
) -> Result<UnseenResult, SequenceError> {
    let network = fit(&pool.without_classes(&[class]), &single_threaded(options), &mut |_, _| ())?;
    settings.unknown.iter_mut().for_each(|unknown| unknown.limits = pool.limits().clone());
    let times = settings.unknown.as_ref().map_or(0.0, |unknown| unknown.times);
    let mut result = UnseenResult { class, times, ..UnseenResult::default() };
    for recording in recordings {
        for flow in &score(&network, pool.limits(), options.steps, &recording.captures)? {
            let verdict = verdict(flow, &settings).class;
            match flow.truth {
                _ if flow.is_benign_of_attacker => result.benign_of_attackers.add(verdict),
                0 => result.benign.add(verdict),
                truth if truth == class => *result.verdicts.entry(verdict).or_default() += 1,
                _ => result.other_attacks.add(verdict),
            }
        }
    }
    Ok(result)
}

//! The training set: conversations in strata, and windows drawn from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use citronella_sensor::feature::sequence::unknown::Limits;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    MemoryCapture, Variant, Windows,
    conversation::Conversation,
    traffic::{LabelledRow, Traffic},
    windows::{buckets, push},
};
use crate::dataset::CLASSES;

/// Conversations of some recordings, in strata of class, service, length and flow rate. Clones and unions share the
/// rows.
#[derive(Clone, Default)]
pub struct Pool {
    parts: Vec<Arc<Vec<Conversation>>>,
    limits: Limits,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Number of conversations.
    pub fn len(&self) -> usize {
        self.conversations().count()
    }

    /// Whether there are no conversations.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of classes that occur.
    pub fn classes(&self) -> usize {
        let mut occurs = [false; CLASSES.len()];
        for conversation in self.conversations() {
            occurs.get_mut(conversation.class as usize).into_iter().for_each(|is| *is = true);
        }
        occurs.iter().filter(|is| **is).count()
    }

    /// The highest feature values of hosts that do not attack, in the unchanged captures.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The union of several pools.
    pub fn union<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Pool {
        let mut all = Pool::new();
        for pool in pools {
            all.parts.extend(pool.parts.iter().cloned());
            all.limits.merge(&pool.limits);
        }
        all
    }

    /// A copy without the conversations of some classes.
    pub fn without_classes(&self, classes: &[u32]) -> Pool {
        let filtered = |part: &Arc<Vec<Conversation>>| {
            let others = part.iter().filter(|one| !classes.contains(&one.class)).cloned();
            Arc::new(others.collect::<Vec<_>>())
        };
        Pool { parts: self.parts.iter().map(filtered).collect(), limits: self.limits.clone() }
    }

    /// Extracts the conversations of one variant of a capture; at most `max_per_stratum` of each class and stratum,
    /// drawn at random.
    pub(super) fn gather(
        capture: &MemoryCapture,
        traffic: &Traffic,
        variant: Variant,
        max_per_stratum: usize,
    ) -> Pool {
        let mut rng = ChaCha8Rng::seed_from_u64(variant.seed);
        let mut all: Vec<Conversation> = Vec::new();
        let mut index_of_slot: Vec<usize> = Vec::new();
        let (mut limits, is_plain) = (Limits::default(), Variant { seed: 0, ..variant } == Variant::PLAIN);
        traffic.for_each_row(capture, variant, |_, labelled| {
            let LabelledRow { class, is_benign_of_attacker, row, .. } = labelled;
            let slot = row.slot as usize;
            if is_plain && class == 0 && !is_benign_of_attacker {
                limits.observe(&row.features);
            }
            if row.is_new {
                if slot >= index_of_slot.len() {
                    index_of_slot.resize(slot + 1, usize::MAX);
                }
                index_of_slot.get_mut(slot).into_iter().for_each(|index| *index = all.len());
                all.push(Conversation::new(class, is_benign_of_attacker));
            }
            if let Some(conversation) = index_of_slot.get(slot).and_then(|index| all.get_mut(*index)) {
                conversation.push(&row.features, &mut rng);
            }
        });
        Pool { parts: vec![Arc::new(thinned(all, max_per_stratum, &mut rng))], limits }
    }

    /// Draws `count` windows of up to `steps` rows: first a class (half of the windows are benign), then a stratum, a
    /// conversation of it, and a position. `benign_of_attacker` is the share of benign windows that come from hosts
    /// that also attack; without them the network would flag all traffic of such a host by its counts alone.
    /// Deterministic for a seed.
    pub fn draw(&self, count: usize, steps: usize, benign_of_attacker: f64, seed: u64) -> Vec<Windows> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let conversations: Vec<&Conversation> = self.conversations().collect();
        let strata = strata(&conversations);
        let mut all = buckets(steps);
        if strata.iter().all(|class| class.is_empty()) {
            return Vec::new();
        }
        let attacks: Vec<usize> =
            (1..CLASSES.len()).filter(|&c| strata.get(c).is_some_and(|s| !s.is_empty())).collect();
        for _ in 0..count {
            let is_benign = attacks.is_empty() || rng.random_range(0..2) == 0;
            let class = if is_benign {
                0
            } else {
                attacks.get(rng.random_range(0..attacks.len())).copied().unwrap_or(0)
            };
            let of_attacker = class == 0 && rng.random_bool(benign_of_attacker.clamp(0.0, 1.0));
            let group = if of_attacker { CLASSES.len() } else { class };
            let group = strata.get(group).filter(|strata| !strata.is_empty()).or_else(|| strata.get(class));
            let Some(index) = group.and_then(|strata| pick(strata, &mut rng)) else { continue };
            let Some(conversation) = conversations.get(index) else { continue };
            if let Some(values) = conversation.random_window(steps, &mut rng) {
                push(&mut all, conversation.class, values);
            }
        }
        all.retain(|windows| !windows.y.is_empty());
        all
    }

    /// The first rows of every conversation, up to `steps`, in the order of their first packets.
    pub fn draw_all(&self, steps: usize) -> Vec<Windows> {
        let mut all = buckets(steps);
        for conversation in self.conversations() {
            let Some(values) = conversation.first_rows(steps) else { continue };
            push(&mut all, conversation.class, values);
        }
        all
    }
}

/// Indices of conversations by class and stratum; index [`CLASSES`]`.len()` holds the benign conversations of hosts
/// that also attack.
fn strata(conversations: &[&Conversation]) -> Vec<Vec<Vec<usize>>> {
    let mut all: Vec<BTreeMap<usize, Vec<usize>>> = vec![Default::default(); CLASSES.len() + 1];
    for (index, conversation) in conversations.iter().enumerate() {
        let of_attacker = conversation.is_benign_of_attacker;
        let group = if of_attacker { CLASSES.len() } else { conversation.class as usize };
        if let Some(class) = all.get_mut(group) {
            class.entry(conversation.stratum()).or_default().push(index);
        }
    }
    all.into_iter().map(|class| class.into_values().collect()).collect()
}

/// At most `max` random conversations of each class and stratum, in their order.
fn thinned(all: Vec<Conversation>, max: usize, rng: &mut ChaCha8Rng) -> Vec<Conversation> {
    let mut strata: BTreeMap<(u32, usize), Vec<usize>> = BTreeMap::new();
    for (index, one) in all.iter().enumerate() {
        strata.entry((one.class, one.stratum())).or_default().push(index);
    }
    let mut is_retained = vec![true; all.len()];
    for indices in strata.values_mut().filter(|indices| indices.len() > max) {
        indices.shuffle(rng);
        for index in indices.iter().skip(max) {
            is_retained.get_mut(*index).into_iter().for_each(|is| *is = false);
        }
    }
    all.into_iter().zip(is_retained).filter_map(|(one, is_retained)| is_retained.then_some(one)).collect()
}

/// A random conversation. A stratum's weight is the square root of its size: rare ones are over-represented, but not
/// to the level of common ones.
fn pick(strata: &[Vec<usize>], rng: &mut ChaCha8Rng) -> Option<usize> {
    let weight = |stratum: &Vec<usize>| (stratum.len() as f64).sqrt();
    let total: f64 = strata.iter().map(weight).sum();
    let mut left = rng.random_range(0.0..total.max(f64::MIN_POSITIVE));
    let mut chosen = strata.last()?;
    for stratum in strata {
        left -= weight(stratum);
        if left < 0.0 {
            chosen = stratum;
            break;
        }
    }
    chosen.get(rng.random_range(0..chosen.len())).copied()
}

//! From what the model says after each packet to one verdict a conversation.
//!
//! An attack is called when its class has kept its probability over the class's threshold for so many packets in a
//! row; in a conversation that ends earlier, over all of them.

use super::score::{Probabilities, ScoredFlow};
use crate::dataset::CLASSES;

/// When to call an attack.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    /// Packets in a row.
    pub packets: usize,
    /// For each class of [`CLASSES`]; that of `normal` is not looked at.
    pub thresholds: Vec<f32>,
}

impl Rule {
    /// The same threshold for all.
    pub fn of(packets: usize, threshold: f32) -> Rule {
        Rule { packets, thresholds: vec![threshold; CLASSES.len()] }
    }
}

/// What is said of a conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// `normal` (0) or the attack that was called.
    pub class: u32,
    /// Highest probability of any attack that was kept for long enough: at this threshold it would just be called.
    pub score: f32,
    /// Packets until the call; `None` for `normal`.
    pub packets_to_alert: Option<usize>,
}

/// The verdict on a conversation.
pub fn verdict(flow: &ScoredFlow, rule: &Rule) -> Verdict {
    let needed = rule.packets.min(flow.said.len()).max(1);
    let mut score = 0.0f32;
    let mut called = None;
    let mut sums = [0.0f64; CLASSES.len()];
    for end in needed..=flow.said.len() {
        let Some(last) = flow.said.get(end - needed..end) else { continue };
        let kept = |value: &dyn Fn(&Probabilities) -> f32| last.iter().map(value).fold(f32::MAX, f32::min);
        score = score.max(kept(&|p| 1.0 - p.first().copied().unwrap_or(1.0)));
        for (class, threshold) in rule.thresholds.iter().enumerate().skip(1) {
            // Two attacks that share the probability between them are an attack all the same.
            let of_class = kept(&|p| p.get(class).copied().unwrap_or(0.0));
            let of_any = kept(&|p| 1.0 - p.first().copied().unwrap_or(1.0));
            if of_any >= *threshold && of_class * 2.0 > of_any {
                called.get_or_insert(end);
            }
        }
    }
    let Some(at) = called else { return Verdict { class: 0, score, packets_to_alert: None } };
    for said in flow.said.get(at.saturating_sub(needed)..).unwrap_or_default() {
        sums.iter_mut().zip(said).for_each(|(sum, p)| *sum += f64::from(*p));
    }
    let best = (1..CLASSES.len())
        .max_by(|a, b| sums.get(*a).partial_cmp(&sums.get(*b)).unwrap_or(std::cmp::Ordering::Equal));
    Verdict { class: best.unwrap_or(0) as u32, score, packets_to_alert: Some(at) }
}

//! From the probabilities after each packet of a conversation to a verdict, packet by packet.
//!
//! After each packet stands the log-odds of an attack, `ln((1 - p) / p)` for a probability `p` of benign traffic, bounded
//! to 9 either way. An attack is called when their mean over the last so many packets (over all, in a conversation that
//! ends earlier) reaches the threshold of the attack that is likeliest then: one packet that shows what it is outweighs
//! two that might be either, not two that were benign. When a conversation ends, its last packet counts alone too: the
//! network has seen all of it by then (a connection that was held for a minute shows it in the packet that ends it). The
//! attack's name is the one with the largest sum of probabilities since an attack became likelier than not.
//!
//! A conversation of no class is called unknown where its initiator did more of something than any benign host of
//! training ([`Unknown`]), from the packet on that a call needs, or in its last packet: when it ends, when it falls
//! silent, or after as many packets as its state walks over. A class that is called later takes unknown's place.

mod running;

pub use running::{Classification, RunningVerdict};

use super::unknown::Unknown;
use running::share_beyond;

/// Classes that a model of this level may have at most.
pub const MOST_CLASSES: usize = 16;

/// Packets that can be averaged.
pub const MOST_PACKETS: usize = 4;

/// The log-odds of an attack are bounded to this either way (0.99988).
const MOST_LOG_ODDS: f32 = 9.0;

/// The log-odds of an attack, bounded, by the probability of benign traffic.
#[inline]
pub fn attack_log_odds(benign: f32) -> f32 {
    let benign = benign.clamp(1e-6, 1.0 - 1e-6);
    ((1.0 - benign) / benign).ln().clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)
}

/// How probabilities become verdicts: stands in a model's card beside the network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Packets after which a conversation's state begins anew: what the network was trained on.
    pub window: u32,
    /// Divides the logits (Guo et al. 2017), fitted on recordings that the network had not seen.
    pub temperature: f32,
    /// Packets whose log-odds are averaged, at most [`MOST_PACKETS`].
    pub packets: u32,
    /// For each class, in the order of the outputs; that of the first, benign class is not looked at.
    pub thresholds: Vec<f32>,
    /// Conversations of benign traffic that may be called attacks a day: what the thresholds were chosen for.
    #[serde(default = "one")]
    pub false_alerts_per_day: f32,
    /// What the thresholds are chosen from.
    #[serde(default)]
    pub benign: Benign,
    /// What is called unknown (its class is the number of classes); nothing, where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

/// Scores of benign traffic that the network had not seen, as log-odds of an attack, `ln(p / (1 - p))`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Benign {
    /// Hours of that traffic.
    pub hours: f32,
    /// For each class the highest mean that a conversation reached while the class was likeliest, highest first.
    pub highest: Vec<Vec<f32>>,
    /// For each class the log-odds that no more benign conversations reach than may always be called: no threshold is
    /// set higher.
    pub ceilings: Vec<f32>,
}

/// The lowest threshold of an attack: log-odds of 0.9.
const LOWEST_LOG_ODDS: f32 = 2.197_224_6;
/// The highest: log-odds of 0.998. Above it, what other tools look like is lost sooner than false alerts are.
const HIGHEST_LOG_ODDS: f32 = 6.212_606;

impl Benign {
    /// Conversations of this benign traffic that reach some log-odds as a class: counted where it has many that do,
    /// beyond by an exponential tail of the log-odds (Weissman 1978, of the odds).
    pub fn expected(&self, class: usize, log_odds: f32) -> f32 {
        self.highest
            .get(class)
            .and_then(|highest| Tail::of(highest))
            .map_or(0.0, |tail| tail.expected(log_odds))
    }

    /// The log-odds from which on a conversation comes near a class, and how many of these conversations did; `None` where
    /// none came near it.
    #[inline]
    pub fn near(&self, class: usize) -> Option<(f32, usize)> {
        let highest = self.highest.get(class)?;
        Some((*highest.last()?, highest.len()))
    }

    /// The log-odds that so many of these conversations are expected to reach as a class.
    fn reached_by(&self, class: usize, conversations: f32) -> f32 {
        let tail = self.highest.get(class).and_then(|highest| Tail::of(highest));
        tail.map_or(LOWEST_LOG_ODDS, |tail| tail.reached_by(conversations))
    }
}

/// The highest of many scores, highest first, and what is expected beyond them: their excess over the least of them is
/// taken as exponential.
struct Tail<'a> {
    highest: &'a [f32],
    least: f32,
    /// The mean excess (Hill 1975).
    scale: f32,
}

impl Tail<'_> {
    fn of(highest: &[f32]) -> Option<Tail<'_>> {
        let least = *highest.last()?;
        let excess: f32 = highest.iter().map(|score| score - least).sum();
        let scale = (excess / (highest.len().max(2) - 1) as f32).max(1e-3);
        Some(Tail { highest, least, scale })
    }

    /// How many reach a score.
    fn expected(&self, score: f32) -> f32 {
        if score <= self.least {
            return self.highest.iter().filter(|one| **one >= score).count() as f32;
        }
        self.highest.len() as f32 * (-(score - self.least) / self.scale).exp()
    }

    /// The score that so many are expected to reach.
    fn reached_by(&self, count: f32) -> f32 {
        self.least + self.scale * (self.highest.len() as f32 / count.max(1e-9)).max(1.0).ln()
    }
}

fn one() -> f32 {
    1.0
}

fn probability(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

impl Settings {
    /// One threshold for all of so many classes, temperature 1.
    pub fn plain(window: u32, packets: u32, threshold: f32, classes: usize) -> Settings {
        Settings {
            window,
            temperature: 1.0,
            packets,
            thresholds: vec![threshold; classes],
            false_alerts_per_day: one(),
            benign: Benign::default(),
            unknown: None,
        }
    }

    /// The same model with thresholds for so many false alerts a day, each class and unknown an equal part of them.
    /// Thresholds stay between 0.9 and the class's ceiling, of less than one a day 0.998:
    /// [`Settings::expected_per_day`] says what that comes to. Without benign scores the thresholds stay as they are.
    pub fn for_false_alerts(&self, per_day: f32) -> Settings {
        let mut chosen = Settings { false_alerts_per_day: per_day, ..self.clone() };
        if self.benign.hours <= 0.0 || self.benign.highest.is_empty() {
            return chosen;
        }
        let attacks = chosen.thresholds.len().saturating_sub(1) + usize::from(self.unknown.is_some());
        let of_each = per_day.max(0.0) * self.benign.hours / 24.0 / attacks.max(1) as f32;
        for (class, threshold) in chosen.thresholds.iter_mut().enumerate().skip(1) {
            let ceiling = self.benign.ceilings.get(class).copied().filter(|_| per_day >= one());
            let ceiling = ceiling.unwrap_or(HIGHEST_LOG_ODDS);
            let most = ceiling.clamp(LOWEST_LOG_ODDS, HIGHEST_LOG_ODDS);
            *threshold = probability(self.benign.reached_by(class, of_each).clamp(LOWEST_LOG_ODDS, most));
        }
        if let Some(unknown) = &mut chosen.unknown {
            let reached = Tail::of(&unknown.benign).map_or(0.0, |tail| tail.reached_by(of_each));
            unknown.times = reached.max(Unknown::LEAST).exp();
        }
        chosen
    }

    /// Benign conversations that the thresholds are expected to call, a day of traffic like that of [`Benign`].
    pub fn expected_per_day(&self) -> f32 {
        let of_class = |(class, t): (usize, &f32)| self.benign.expected(class, attack_log_odds(1.0 - t));
        let sum: f32 = self.thresholds.iter().enumerate().skip(1).map(of_class).sum();
        let unknown = self
            .unknown
            .as_ref()
            .and_then(|unknown| Some(Tail::of(&unknown.benign)?.expected(unknown.times.ln())));
        (sum + unknown.unwrap_or(0.0)) * 24.0 / self.benign.hours.max(1e-3)
    }

    /// What the score of a conversation of this class has reached; of unknown, whose class is the number of classes,
    /// as [`Classification::score`] has it.
    pub fn threshold_of(&self, class: u32) -> f32 {
        let unknown = || self.unknown.as_ref().map_or(0.0, |unknown| share_beyond(unknown.times.ln()));
        self.thresholds.get(class as usize).copied().unwrap_or_else(unknown)
    }

    /// Calibrates probabilities in place.
    #[inline]
    pub fn calibrate(&self, probabilities: &mut [f32]) {
        if self.temperature == 1.0 || self.temperature <= 0.0 {
            return;
        }
        let mut sum = 0.0;
        for p in probabilities.iter_mut() {
            *p = p.max(1e-12).powf(1.0 / self.temperature);
            sum += *p;
        }
        probabilities.iter_mut().for_each(|p| *p /= sum);
    }

    /// Whether a conversation's state begins anew before its next packet.
    #[inline]
    pub fn begins_anew(&self, packets_before: u64) -> bool {
        packets_before.is_multiple_of(u64::from(self.window.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::unknown::Limits;
    use super::*;

    fn settings() -> Settings {
        Settings::plain(64, 3, 0.95, 3)
    }

    #[test]
    fn the_false_alerts_allowed_choose_what_is_unknown_too() {
        let benign = Benign { hours: 24.0, highest: vec![Vec::new(); 3], ceilings: vec![20.0; 3] };
        let unknown =
            Unknown { times: 1.0, benign: vec![2.0, 1.5, 1.2, 1.0, 1.0], limits: Limits::default() };
        let all = Settings { benign, unknown: Some(unknown), ..settings() };
        let times = |per_day: f32| all.for_false_alerts(per_day).unknown.unwrap().times;
        assert!(times(0.1) > times(1.0) && times(1.0) > 1.0f32.exp());
        // A third of three a day is unknown's: what the tail expects is what was asked for.
        assert!((all.for_false_alerts(3.0).expected_per_day() - 1.0).abs() < 0.05);
        let none = Unknown { benign: vec![-3.0, -4.0], ..all.unknown.clone().unwrap() };
        let low = Settings { unknown: Some(none), ..all.clone() }.for_false_alerts(1.0);
        assert!((low.unknown.unwrap().times - 2.0).abs() < 1e-5);
    }

    #[test]
    fn thresholds_follow_the_false_alerts_allowed() {
        let highest = vec![vec![], vec![5.0, 4.0, 3.5, 3.0, 3.0], vec![]];
        let benign = Benign { hours: 24.0, highest, ceilings: vec![20.0; 3] };
        let all = Settings { benign, ..settings() };
        let of = |per_day: f32| all.for_false_alerts(per_day);
        assert!(of(0.1).thresholds[1] > of(1.0).thresholds[1]);
        assert!(of(1.0).thresholds[1] > of(10.0).thresholds[1]);
        // No benign conversation came near the other class.
        assert!((of(1.0).thresholds[2] - 0.9).abs() < 1e-4);
        // Half of two a day is the class's: what the tail expects is what was asked for.
        assert!((of(2.0).expected_per_day() - 1.0).abs() < 0.05);
        let low = Benign { ceilings: vec![2.5; 3], ..all.benign.clone() };
        let low = Settings { benign: low, ..settings() };
        assert!((low.for_false_alerts(1.0).thresholds[1] - probability(2.5)).abs() < 1e-6);
        // Whoever asks for less than one a day gets more than the ceiling.
        assert!(low.for_false_alerts(0.5).thresholds[1] > probability(5.0));
        assert_eq!(settings().for_false_alerts(5.0).thresholds, settings().thresholds);
    }
}

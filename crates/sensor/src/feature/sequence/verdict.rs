//! Verdicts: from the calibrated probabilities after each packet of a conversation to a class, packet by packet.
//!
//! Each packet has the log-odds of an attack, `ln((1 - p) / p)` of the probability `p` of benign traffic, clamped to
//! +-9. A conversation is flagged when the mean over its last [`Settings::packets`] packets (over all, if it ends
//! earlier) reaches the threshold of the likeliest attack. When it ends, its last packet counts alone too: the
//! network has seen all of it then. The class is the one with the largest sum of probabilities since an attack became
//! likelier than not.
//!
//! A conversation of no class is flagged as unknown where a count of its initiator exceeds that of every benign host of
//! training ([`Unknown`]): when it ends, when it is idle, or at the end of a window. A class replaces unknown.

mod running;

pub use running::{Classification, RunningVerdict};

use super::unknown::Unknown;
use running::excess_share;

/// Most classes of a model of this level.
pub const MAX_CLASSES: usize = 16;

/// Most packets that are averaged.
pub const MAX_PACKETS: usize = 4;

/// Log-odds of an attack are clamped to this either way (probability 0.99988).
const MAX_LOG_ODDS: f32 = 9.0;

/// Log-odds of an attack, clamped, from the probability of benign traffic.
#[inline]
pub fn attack_log_odds(benign: f32) -> f32 {
    let benign = benign.clamp(1e-6, 1.0 - 1e-6);
    ((1.0 - benign) / benign).ln().clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
}

/// How probabilities become verdicts; part of a model's card.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Packets after which a conversation's network state is reset: the length of a training sequence.
    pub window: u32,
    /// Divides the logits (Guo et al. 2017); fitted on recordings held out from training.
    pub temperature: f32,
    /// Packets whose log-odds are averaged, at most [`MAX_PACKETS`].
    pub packets: u32,
    /// Threshold of each class, in the order of the outputs; the first, benign one is ignored.
    pub thresholds: Vec<f32>,
    /// False positives a day that the thresholds were chosen for, in conversations.
    #[serde(default = "one")]
    pub false_alerts_per_day: f32,
    /// Benign scores that the thresholds are chosen from.
    #[serde(default)]
    pub benign: Benign,
    /// When a conversation is unknown (its class index is the number of classes); never, if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

/// Scores of benign traffic held out from training, as log-odds of an attack, `ln(p / (1 - p))`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Benign {
    /// Hours of that traffic.
    pub hours: f32,
    /// For each class, the highest means of conversations while the class was likeliest, one each, descending.
    pub highest: Vec<Vec<f32>>,
    /// Upper bound of each class's threshold, in log-odds.
    pub ceilings: Vec<f32>,
}

/// Lowest threshold of an attack: log-odds of 0.9.
const LOWEST_LOG_ODDS: f32 = 2.197_224_6;
/// Highest threshold: log-odds of 0.998. Above it, attacks by other tools are lost faster than false positives are.
const HIGHEST_LOG_ODDS: f32 = 6.212_606;

impl Benign {
    /// Expected number of these conversations that reach some log-odds as a class: counted within the stored scores,
    /// above them from an exponential tail of the log-odds (Weissman 1978, of the odds).
    pub fn expected(&self, class: usize, log_odds: f32) -> f32 {
        self.highest
            .get(class)
            .and_then(|highest| Tail::of(highest))
            .map_or(0.0, |tail| tail.expected(log_odds))
    }

    /// The log-odds from which a conversation is near a class, and how many of these conversations are; `None` if
    /// none is.
    #[inline]
    pub fn near(&self, class: usize) -> Option<(f32, usize)> {
        let highest = self.highest.get(class)?;
        Some((*highest.last()?, highest.len()))
    }

    /// The log-odds that this many conversations are expected to reach as a class.
    fn reached_by(&self, class: usize, conversations: f32) -> f32 {
        let tail = self.highest.get(class).and_then(|highest| Tail::of(highest));
        tail.map_or(LOWEST_LOG_ODDS, |tail| tail.reached_by(conversations))
    }
}

/// The highest of many scores, descending, with an exponential tail: the distribution of their excess over the least of
/// them.
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

    /// Expected number that reach a score.
    fn expected(&self, score: f32) -> f32 {
        if score <= self.least {
            return self.highest.iter().filter(|one| **one >= score).count() as f32;
        }
        self.highest.len() as f32 * (-(score - self.least) / self.scale).exp()
    }

    /// The score that `count` are expected to reach.
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
    /// The same threshold for all classes, temperature 1, no unknown.
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

    /// These settings with thresholds for `per_day` false positives a day, an equal share for each class and unknown.
    /// Thresholds stay between 0.9 and the class's ceiling (below one a day, 0.998); [`Settings::expected_per_day`] is
    /// what they amount to. Without benign scores the thresholds are unchanged.
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

    /// Expected false positives, in conversations a day of traffic like that of [`Benign`].
    pub fn expected_per_day(&self) -> f32 {
        let of_class = |(class, t): (usize, &f32)| self.benign.expected(class, attack_log_odds(1.0 - t));
        let sum: f32 = self.thresholds.iter().enumerate().skip(1).map(of_class).sum();
        let unknown = self
            .unknown
            .as_ref()
            .and_then(|unknown| Some(Tail::of(&unknown.benign)?.expected(unknown.times.ln())));
        (sum + unknown.unwrap_or(0.0)) * 24.0 / self.benign.hours.max(1e-3)
    }

    /// Threshold of a class's score; of unknown, whose index is the number of classes, in the unit of
    /// [`Classification::score`].
    pub fn threshold_of(&self, class: u32) -> f32 {
        let unknown = || self.unknown.as_ref().map_or(0.0, |unknown| excess_share(unknown.times.ln()));
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

    /// Whether the next packet starts a window: the network state is reset before it.
    #[inline]
    pub fn starts_window(&self, packets_before: u64) -> bool {
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
    fn the_unknown_threshold_follows_the_allowed_false_positives() {
        let benign = Benign { hours: 24.0, highest: vec![Vec::new(); 3], ceilings: vec![20.0; 3] };
        let unknown =
            Unknown { times: 1.0, benign: vec![2.0, 1.5, 1.2, 1.0, 1.0], limits: Limits::default() };
        let all = Settings { benign, unknown: Some(unknown), ..settings() };
        let times = |per_day: f32| all.for_false_alerts(per_day).unknown.unwrap().times;
        assert!(times(0.1) > times(1.0) && times(1.0) > 1.0f32.exp());
        // Unknown has a third of three a day: the tail expects exactly that.
        assert!((all.for_false_alerts(3.0).expected_per_day() - 1.0).abs() < 0.05);
        let none = Unknown { benign: vec![-3.0, -4.0], ..all.unknown.clone().unwrap() };
        let low = Settings { unknown: Some(none), ..all.clone() }.for_false_alerts(1.0);
        assert!((low.unknown.unwrap().times - 2.0).abs() < 1e-5);
    }

    #[test]
    fn thresholds_follow_the_allowed_false_positives() {
        let highest = vec![vec![], vec![5.0, 4.0, 3.5, 3.0, 3.0], vec![]];
        let benign = Benign { hours: 24.0, highest, ceilings: vec![20.0; 3] };
        let all = Settings { benign, ..settings() };
        let of = |per_day: f32| all.for_false_alerts(per_day);
        assert!(of(0.1).thresholds[1] > of(1.0).thresholds[1]);
        assert!(of(1.0).thresholds[1] > of(10.0).thresholds[1]);
        // No benign conversation is near the other class.
        assert!((of(1.0).thresholds[2] - 0.9).abs() < 1e-4);
        // The class has half of two a day: the tail expects exactly that.
        assert!((of(2.0).expected_per_day() - 1.0).abs() < 0.05);
        let low = Benign { ceilings: vec![2.5; 3], ..all.benign.clone() };
        let low = Settings { benign: low, ..settings() };
        assert!((low.for_false_alerts(1.0).thresholds[1] - probability(2.5)).abs() < 1e-6);
        // Below one a day, the ceiling does not apply.
        assert!(low.for_false_alerts(0.5).thresholds[1] > probability(5.0));
        assert_eq!(settings().for_false_alerts(5.0).thresholds, settings().thresholds);
    }
}

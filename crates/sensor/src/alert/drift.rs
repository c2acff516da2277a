//! Drift: how benign traffic scores here, compared with the traffic that the thresholds were chosen on.
//!
//! In: about once a second, the number of conversations that ended and of those that came near each class
//! ([`RunningVerdict::near`](crate::feature::sequence::verdict::RunningVerdict::near)), and whether an incident was open:
//! conversations that end during one do not count as benign. Out: an [`Outlook`], the false positives per day to expect
//! here. All time is packet time; what happened a day ago counts 0.37. Memory: one number per class.

mod monitor;

use serde::{Deserialize, Serialize};

use crate::feature::sequence::verdict::{MAX_CLASSES, Settings, attack_log_odds};
pub(super) use monitor::DriftMonitor;

const NANOS_PER_HOUR: f64 = 3.6e12;
/// Time constant of the decay.
const DECAY_HOURS: f64 = 24.0;
/// A longer gap between two updates counts as this long: nothing was observed in between.
const MAX_GAP_NANOS: i64 = 60_000_000_000;
/// Hours of traffic before there is an outlook.
const MIN_HOURS: f64 = 1.0;
/// Factor over the expected number, and over the allowed number, of false positives at which to warn.
const TOO_MANY: f64 = 3.0;

/// Decayed counts of benign conversations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreDrift {
    /// For each class the log-odds from which a conversation counts in `near`.
    levels: Vec<f32>,
    near: Vec<f64>,
    conversations: f64,
    hours: f64,
    last_nanos: Option<i64>,
}

/// False positives to expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Hours of traffic without an incident that this is based on, decayed.
    pub hours: f64,
    /// Conversations that ended in these hours, decayed.
    pub conversations: f64,
    /// Benign conversations per day that are likely to be flagged.
    pub false_positives_per_day: f64,
    /// The same for the traffic that the thresholds were chosen on.
    pub calibrated_per_day: f64,
    /// Whether there are [too many](Outlook::is_too_many), with a margin of two standard deviations.
    too_many: bool,
    /// Index of the class that most of them have.
    pub main_class: usize,
}

impl Outlook {
    /// Whether the thresholds were chosen on different traffic: more than three times as many false positives as there,
    /// and as are allowed.
    pub fn is_too_many(&self) -> bool {
        self.too_many
    }
}

impl ScoreDrift {
    /// Without observations. A model whose card has no benign scores never yields an outlook.
    pub fn new(settings: &Settings) -> ScoreDrift {
        let classes = settings.benign.highest.len().min(MAX_CLASSES);
        let level = |class| settings.benign.near(class).map_or(f32::MAX, |(least, _)| least);
        ScoreDrift {
            levels: (0..classes).map(level).collect(),
            near: vec![0.0; classes],
            ..ScoreDrift::default()
        }
    }

    /// Restores a snapshot; `false` where it counted by other levels.
    pub fn restore(&mut self, snapshot: ScoreDrift) -> bool {
        let same = snapshot.levels == self.levels && snapshot.near.len() == self.near.len();
        if same {
            *self = snapshot;
        }
        same
    }

    /// Changes the model: counts are reset where its benign scores differ.
    pub fn set(&mut self, settings: &Settings) {
        let new = ScoreDrift::new(settings);
        if new.levels != self.levels {
            *self = new;
        }
    }

    /// Adds the conversations that ended since the last update, and per class how many of them came near it.
    pub fn update(&mut self, now_nanos: i64, conversations: u64, near: &[u32], has_incident: bool) {
        let last = self.last_nanos.replace(now_nanos).unwrap_or(now_nanos);
        let passed = now_nanos.saturating_sub(last).max(0);
        if has_incident {
            return;
        }
        let hours = passed.min(MAX_GAP_NANOS) as f64 / NANOS_PER_HOUR;
        let decay = (-hours / DECAY_HOURS).exp();
        self.hours = self.hours * decay + hours;
        self.conversations = self.conversations * decay + conversations as f64;
        let new = near.iter().chain(std::iter::repeat(&0));
        self.near.iter_mut().zip(new).for_each(|(sum, new)| *sum = *sum * decay + f64::from(*new));
    }

    /// The outlook with these settings; `None` before an hour of traffic.
    pub fn outlook(&self, settings: &Settings) -> Option<Outlook> {
        if self.hours < MIN_HOURS || settings.benign.hours <= 0.0 {
            return None;
        }
        let days = self.hours / 24.0;
        let (mut expected, mut at_least, mut main_class) = (0.0, 0.0, (0, 0.0));
        for (class, near) in self.near.iter().enumerate().skip(1) {
            let Some((_, of)) = settings.benign.near(class) else { continue };
            let threshold = settings.thresholds.get(class).copied().unwrap_or(1.0);
            let flagged = settings.benign.expected(class, attack_log_odds(1.0 - threshold));
            // The share of those near the class that reaches the threshold.
            let share = f64::from(flagged) / of as f64;
            expected += share * near / days;
            at_least += share * (near - 2.0 * near.sqrt()).max(0.0) / days;
            if share * near > main_class.1 {
                main_class = (class, share * near);
            }
        }
        let calibrated = f64::from(settings.expected_per_day());
        let allowed = calibrated.max(f64::from(settings.false_alerts_per_day));
        Some(Outlook {
            hours: self.hours,
            conversations: self.conversations,
            false_positives_per_day: expected,
            calibrated_per_day: calibrated,
            too_many: at_least > TOO_MANY * allowed,
            main_class: main_class.0,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::feature::sequence::verdict::Benign;

    const SECOND: i64 = 1_000_000_000;

    /// Two hours of benign traffic, four conversations of which came near the first attack and one over its threshold.
    fn settings() -> Settings {
        let highest = vec![vec![], vec![3.5, 2.0, 1.5, 1.0], vec![]];
        let benign = Benign { hours: 2.0, highest, ceilings: vec![9.0; 3] };
        Settings { benign, ..Settings::plain(64, 3, 0.95, 3) }
    }

    /// A day with `near` conversations near the first attack in every ten minutes.
    fn a_day(drift: &mut ScoreDrift, near: u32, has_incident: bool) {
        let begin = drift.last_nanos.unwrap_or(1_700_000_000 * SECOND);
        for second in 1..=86_400 {
            let near = if second % 600 == 0 { near } else { 0 };
            drift.update(begin + second * SECOND, 1, &[0, near, 0], has_incident);
        }
    }

    #[test]
    fn traffic_like_that_of_the_calibration_has_as_many_false_positives() {
        let (mut drift, settings) = (ScoreDrift::new(&settings()), settings());
        assert_eq!(drift.outlook(&settings), None);
        // Two in an hour there; six in ten minutes are eighteen times as many.
        for second in 0..7_200 {
            drift.update(second * SECOND, 1, &[0, u32::from(second % 1_800 == 1_799), 0], false);
        }
        let like = drift.outlook(&settings).unwrap();
        assert!((like.false_positives_per_day / like.calibrated_per_day - 1.0).abs() < 0.1, "{like:?}");
        assert!(!like.is_too_many());
        a_day(&mut drift, 6, false);
        let more = drift.outlook(&settings).unwrap();
        let times = more.false_positives_per_day / more.calibrated_per_day;
        assert!((10.0..20.0).contains(&times) && more.is_too_many() && more.main_class == 1, "{more:?}");
        // The past decays.
        (0..4).for_each(|_| a_day(&mut drift, 0, false));
        assert!(!drift.outlook(&settings).unwrap().is_too_many());
    }

    #[test]
    fn attacks_and_gaps_do_not_count() {
        let (mut drift, settings) = (ScoreDrift::new(&settings()), settings());
        a_day(&mut drift, 600, true);
        assert_eq!(drift.outlook(&settings), None);
        // A recorder's clock that jumps.
        let last = drift.last_nanos.unwrap();
        drift.update(last + 10_000 * 3_600 * SECOND, 1, &[0, 0, 0], false);
        drift.update(last, 1, &[0, 0, 0], false);
        assert!(drift.hours < 0.02, "{drift:?}");
    }

    #[test]
    fn few_conversations_do_not_warn() {
        let (mut drift, settings) = (ScoreDrift::new(&settings()), settings());
        for second in 0..4_000 {
            // Nine times as many in little more than an hour: too few to be sure of three times as many.
            drift.update(second * SECOND, 1, &[0, u32::from(second % 500 == 1), 0], false);
        }
        let outlook = drift.outlook(&settings).unwrap();
        assert!(!outlook.is_too_many() && outlook.false_positives_per_day > outlook.calibrated_per_day * 3.0);
    }

    #[test]
    fn a_snapshot_is_restored_with_the_same_model_only() {
        let mut drift = ScoreDrift::new(&settings());
        a_day(&mut drift, 6, false);
        let bytes = serde_json::to_vec(&drift).unwrap();
        let snapshot: ScoreDrift = serde_json::from_slice(&bytes).unwrap();
        let mut second = ScoreDrift::new(&settings());
        assert!(second.restore(snapshot.clone()) && second == drift);
        let other =
            Settings { benign: Benign { highest: vec![vec![]; 3], ..settings().benign }, ..settings() };
        assert!(!ScoreDrift::new(&other).restore(snapshot));
        second.set(&other);
        assert_eq!(second, ScoreDrift::new(&other));
    }
}

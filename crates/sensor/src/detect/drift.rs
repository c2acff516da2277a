//! How benign traffic scores here, against the traffic that the thresholds were chosen on.
//!
//! In: once a second or so, how many conversations ended and how many of them came near each class
//! ([`RunningVerdict::near`](crate::feature::sequence::verdict::RunningVerdict::near)), and whether an incident was open: what ends
//! during one is not taken for benign. Out: an [`Outlook`], the false calls a day to be expected here. All time is packet
//! time; what happened a day ago counts 0.37. Memory: a number a class.

use serde::{Deserialize, Serialize};

use crate::feature::sequence::verdict::{MOST_CLASSES, Settings, attack_log_odds};

const NANOS_PER_HOUR: f64 = 3.6e12;
/// How fast the past fades.
const DECAY_HOURS: f64 = 24.0;
/// Between two accounts that lie further apart nothing was seen.
const MOST_NANOS: i64 = 60_000_000_000;
/// Hours that have to be seen before anything is said.
const LEAST_HOURS: f64 = 1.0;
/// Warned of are so many times the false calls of the traffic that the thresholds were chosen on, or of those allowed.
const TOO_MANY: f64 = 3.0;

/// The account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// For each class the log-odds from which on a conversation comes near it: what `near` was counted by.
    levels: Vec<f32>,
    near: Vec<f64>,
    conversations: f64,
    hours: f64,
    last_nanos: Option<i64>,
}

/// What is to be expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Hours of traffic without an incident that this rests on, faded.
    pub hours: f64,
    /// Conversations that ended in them.
    pub conversations: f64,
    /// Conversations a day that are likely to be called an attack though they are none.
    pub false_calls_per_day: f64,
    /// The same of the traffic that the thresholds were chosen on.
    pub calibrated_per_day: f64,
    /// Enough was seen to say, with two standard deviations to spare, that there are [too many](Outlook::is_too_many).
    too_many: bool,
    /// The class that most of them are called.
    pub mostly: usize,
}

impl Outlook {
    /// Whether thresholds were chosen on other traffic than this: more than three times as many false calls as there,
    /// and as were allowed.
    pub fn is_too_many(&self) -> bool {
        self.too_many
    }
}

impl Drift {
    /// Nothing seen yet. Without benign scores in the model's card nothing will ever be said.
    pub fn new(settings: &Settings) -> Drift {
        let classes = settings.benign.highest.len().min(MOST_CLASSES);
        let level = |class| settings.benign.near(class).map_or(f32::MAX, |(least, _)| least);
        Drift { levels: (0..classes).map(level).collect(), near: vec![0.0; classes], ..Drift::default() }
    }

    /// Goes on with what was kept, where the same was counted; else `false`.
    pub fn take_up(&mut self, kept: Drift) -> bool {
        let same = kept.levels == self.levels && kept.near.len() == self.near.len();
        if same {
            *self = kept;
        }
        same
    }

    /// Goes on with another model's settings: begins anew where its benign scores are others.
    pub fn set(&mut self, settings: &Settings) {
        let new = Drift::new(settings);
        if new.levels != self.levels {
            *self = new;
        }
    }

    /// Until `now` so many conversations have ended since the last account, `near` of them near each class.
    pub fn account(&mut self, now_nanos: i64, conversations: u64, near: &[u32], has_incident: bool) {
        let last = self.last_nanos.replace(now_nanos).unwrap_or(now_nanos);
        let passed = now_nanos.saturating_sub(last).max(0);
        if has_incident {
            return;
        }
        let hours = passed.min(MOST_NANOS) as f64 / NANOS_PER_HOUR;
        let fade = (-hours / DECAY_HOURS).exp();
        self.hours = self.hours * fade + hours;
        self.conversations = self.conversations * fade + conversations as f64;
        let new = near.iter().chain(std::iter::repeat(&0));
        self.near.iter_mut().zip(new).for_each(|(sum, new)| *sum = *sum * fade + f64::from(*new));
    }

    /// What is to be expected with these settings; `None` before an hour was seen.
    pub fn outlook(&self, settings: &Settings) -> Option<Outlook> {
        if self.hours < LEAST_HOURS || settings.benign.hours <= 0.0 {
            return None;
        }
        let days = self.hours / 24.0;
        let (mut expected, mut surely, mut mostly) = (0.0, 0.0, (0, 0.0));
        for (class, near) in self.near.iter().enumerate().skip(1) {
            let Some((_, of)) = settings.benign.near(class) else { continue };
            let threshold = settings.thresholds.get(class).copied().unwrap_or(1.0);
            let called = settings.benign.expected(class, attack_log_odds(1.0 - threshold));
            // Of those that come near it, the share that reaches the threshold.
            let share = f64::from(called) / of as f64;
            expected += share * near / days;
            surely += share * (near - 2.0 * near.sqrt()).max(0.0) / days;
            if share * near > mostly.1 {
                mostly = (class, share * near);
            }
        }
        let calibrated = f64::from(settings.expected_per_day());
        let allowed = calibrated.max(f64::from(settings.false_alerts_per_day));
        Some(Outlook {
            hours: self.hours,
            conversations: self.conversations,
            false_calls_per_day: expected,
            calibrated_per_day: calibrated,
            too_many: surely > TOO_MANY * allowed,
            mostly: mostly.0,
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

    /// A day, with so many conversations near the first attack in every ten minutes.
    fn a_day(drift: &mut Drift, near: u32, has_incident: bool) {
        let begin = drift.last_nanos.unwrap_or(1_700_000_000 * SECOND);
        for second in 1..=86_400 {
            let near = if second % 600 == 0 { near } else { 0 };
            drift.account(begin + second * SECOND, 1, &[0, near, 0], has_incident);
        }
    }

    #[test]
    fn traffic_like_that_of_the_calibration_is_expected_to_be_called_as_often() {
        let (mut drift, settings) = (Drift::new(&settings()), settings());
        assert_eq!(drift.outlook(&settings), None);
        // Two in an hour there; six in ten minutes are eighteen times as many.
        for second in 0..7_200 {
            drift.account(second * SECOND, 1, &[0, u32::from(second % 1_800 == 1_799), 0], false);
        }
        let like = drift.outlook(&settings).unwrap();
        assert!((like.false_calls_per_day / like.calibrated_per_day - 1.0).abs() < 0.1, "{like:?}");
        assert!(!like.is_too_many());
        a_day(&mut drift, 6, false);
        let more = drift.outlook(&settings).unwrap();
        let times = more.false_calls_per_day / more.calibrated_per_day;
        assert!((10.0..20.0).contains(&times) && more.is_too_many() && more.mostly == 1, "{more:?}");
        // What was is forgotten, by and by.
        (0..4).for_each(|_| a_day(&mut drift, 0, false));
        assert!(!drift.outlook(&settings).unwrap().is_too_many());
    }

    #[test]
    fn an_attack_does_not_count_and_neither_does_time_that_was_not_seen() {
        let (mut drift, settings) = (Drift::new(&settings()), settings());
        a_day(&mut drift, 600, true);
        assert_eq!(drift.outlook(&settings), None);
        // A recorder's clock that jumps.
        let last = drift.last_nanos.unwrap();
        drift.account(last + 10_000 * 3_600 * SECOND, 1, &[0, 0, 0], false);
        drift.account(last, 1, &[0, 0, 0], false);
        assert!(drift.hours < 0.02, "{drift:?}");
    }

    #[test]
    fn few_conversations_are_no_reason_to_warn() {
        let (mut drift, settings) = (Drift::new(&settings()), settings());
        for second in 0..4_000 {
            // Nine times as many in little more than an hour; too few to be sure of thrice as many.
            drift.account(second * SECOND, 1, &[0, u32::from(second % 500 == 1), 0], false);
        }
        let outlook = drift.outlook(&settings).unwrap();
        assert!(!outlook.is_too_many() && outlook.false_calls_per_day > outlook.calibrated_per_day * 3.0);
    }

    #[test]
    fn what_was_kept_goes_on_with_the_same_model_only() {
        let mut drift = Drift::new(&settings());
        a_day(&mut drift, 6, false);
        let bytes = serde_json::to_vec(&drift).unwrap();
        let kept: Drift = serde_json::from_slice(&bytes).unwrap();
        let mut second = Drift::new(&settings());
        assert!(second.take_up(kept.clone()) && second == drift);
        let other =
            Settings { benign: Benign { highest: vec![vec![]; 3], ..settings().benign }, ..settings() };
        assert!(!Drift::new(&other).take_up(kept));
        second.set(&other);
        assert_eq!(second, Drift::new(&other));
    }
}

//! Verdicts on scored conversations.

use citronella_sensor::feature::sequence::verdict::{MAX_PACKETS, RunningVerdict, Settings, attack_log_odds};

use super::ScoredFlow;

/// The verdict on a conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Class index; 0 for `normal`, [`CLASSES`](crate::dataset::CLASSES)`.len()` for unknown.
    pub class: u32,
    /// The highest threshold, the same for all attacks, at which the conversation is flagged, from 0 to 1. Does not
    /// depend on the unknown class.
    pub score: f32,
    /// Packets until it was flagged; `None` for `normal`.
    pub packets_to_alert: Option<usize>,
}

/// Classifies a conversation with the code that detection runs.
pub fn verdict(flow: &ScoredFlow, settings: &Settings) -> Verdict {
    let mut running = RunningVerdict::default();
    for (probabilities, beyond) in flow.probabilities.iter().zip(&flow.beyond) {
        let mut calibrated = *probabilities;
        settings.calibrate(&mut calibrated);
        running.step(&calibrated, *beyond, settings);
    }
    let flagged = running.end(settings);
    Verdict {
        class: flagged.map_or(0, |flagged| flagged.class),
        score: 1.0 / (1.0 + (-highest_mean(flow, settings, None)).exp()),
        packets_to_alert: flagged.map(|flagged| flagged.packets as usize),
    }
}

/// The highest mean of an attack's log-odds over `settings.packets` packets in a row, or in the last packet alone.
/// With `class`, only packets count after which it is the likeliest attack.
pub(super) fn highest_mean(flow: &ScoredFlow, settings: &Settings, class: Option<usize>) -> f32 {
    let needed = (settings.packets as usize).clamp(1, MAX_PACKETS).min(flow.probabilities.len().max(1));
    let (mut recent, mut highest) = ([0.0; MAX_PACKETS], f32::MIN);
    for (index, probabilities) in flow.probabilities.iter().enumerate() {
        let mut calibrated = *probabilities;
        settings.calibrate(&mut calibrated);
        if let Some(log_odds) = recent.get_mut(index % needed) {
            *log_odds = attack_log_odds(calibrated[0]);
        }
        let likeliest = (1..)
            .zip(&calibrated[1..])
            .fold((0, 0.0), |top, (class, p)| if *p > top.1 { (class, *p) } else { top })
            .0;
        if index + 1 >= needed && class.is_none_or(|class| class == likeliest) {
            highest = highest.max(recent.iter().take(needed).sum::<f32>() / needed as f32);
            if index + 1 == flow.probabilities.len() {
                highest = highest.max(attack_log_odds(calibrated[0]));
            }
        }
    }
    highest
}

#[cfg(test)]
pub(super) mod tests {
    use citronella_sensor::feature::sequence::unknown::NO_EXCESS;

    use super::*;
    use crate::dataset::CLASSES;

    /// A flow of class `truth` with the given probabilities of class 1.
    pub(in super::super) fn flow(truth: u32, attack: &[f32]) -> ScoredFlow {
        let probabilities = |p: &f32| [1.0 - p, *p, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        ScoredFlow {
            capture: 0,
            src: ([10, 0, 0, 1].into(), 1),
            dst: ([10, 0, 0, 2].into(), 2),
            protocol: 6,
            times: (0..attack.len() as i64).collect(),
            probabilities: attack.iter().map(probabilities).collect(),
            beyond: vec![NO_EXCESS; attack.len()],
            truth,
            is_benign_of_attacker: false,
        }
    }

    #[test]
    fn the_score_is_the_highest_threshold_that_flags_the_flow() {
        let flow = flow(1, &[0.2, 0.9, 0.8, 0.85, 0.3]);
        let score = verdict(&flow, &Settings::plain(64, 3, 0.9, CLASSES.len())).score;
        assert!((0.8..0.9).contains(&score));
        for (threshold, class) in [(score - 1e-3, 1), (score + 1e-3, 0)] {
            assert_eq!(verdict(&flow, &Settings::plain(64, 3, threshold, CLASSES.len())).class, class);
        }
    }
}

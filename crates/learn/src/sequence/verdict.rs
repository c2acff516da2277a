//! Verdicts on scored conversations, and the settings that make them: temperature and thresholds, fitted on
//! recordings that the network had not seen.

use citronella_sensor::feature::sequence::verdict::{Running, Settings};

use super::score::{Probabilities, ScoredFlow};
use crate::dataset::CLASSES;

/// What is said of a conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// `normal` (0) or the attack that was called.
    pub class: u32,
    /// The threshold, the same for all attacks, at which an attack would just be called.
    pub score: f32,
    /// Packets until the call; `None` for `normal`.
    pub packets_to_alert: Option<usize>,
}

/// The verdict on a conversation, by the code that detection runs.
pub fn verdict(flow: &ScoredFlow, settings: &Settings) -> Verdict {
    let mut running = Running::default();
    let mut attacks = Vec::with_capacity(flow.said.len());
    for said in &flow.said {
        let mut said = *said;
        settings.calibrate(&mut said);
        running.step(&said, settings);
        attacks.push(1.0 - said[0]);
    }
    let called = running.end();
    Verdict {
        class: called.map_or(0, |called| called.class),
        score: kept(&attacks, settings.packets as usize),
        packets_to_alert: called.map(|called| called.packets as usize),
    }
}

/// The highest value that so many in a row (all, where there are fewer) do not fall below.
fn kept(values: &[f32], packets: usize) -> f32 {
    let lowest = |row: &[f32]| row.iter().copied().fold(f32::MAX, f32::min);
    values.windows(packets.min(values.len()).max(1)).map(lowest).fold(0.0, f32::max)
}

/// Packets of a conversation that the temperature is fitted on.
const SAMPLED: usize = 16;

/// The temperature with the smallest mean cross-entropy over packets spread over each conversation, each conversation
/// counting once.
pub fn fit_temperature(flows: &[&ScoredFlow]) -> f32 {
    let loss = |temperature: f32| -> f64 {
        let settings = Settings { temperature, ..Settings::plain(1, 1, 1.0, CLASSES.len()) };
        let of_flow = |flow: &&ScoredFlow| {
            let of_packet = |said: &Probabilities| {
                let mut said = *said;
                settings.calibrate(&mut said);
                -f64::from(said.get(flow.truth as usize).copied().unwrap_or(0.0).max(1e-9)).ln()
            };
            let sample = flow.said.iter().step_by(flow.said.len().div_ceil(SAMPLED).max(1));
            let count = sample.clone().count().max(1);
            sample.map(of_packet).sum::<f64>() / count as f64
        };
        flows.iter().map(of_flow).sum()
    };
    // A grid of 5 % steps from 0.5 to 4 is finer than the loss can tell apart.
    let grid = (0..43).map(|n| 0.5 * 1.05f32.powi(n));
    grid.map(|t| (t, loss(t))).fold((1.0, f64::MAX), |best, (t, l)| if l < best.1 { (t, l) } else { best }).0
}

/// The lowest threshold of each class from `lowest` on at which at most `budget` of the benign conversations are
/// called by that class.
pub fn fit_thresholds(flows: &[&ScoredFlow], settings: &Settings, lowest: f32, budget: usize) -> Settings {
    let mut fitted = settings.clone();
    for class in 1..CLASSES.len() {
        let mut scores: Vec<f32> = Vec::new();
        for flow in flows.iter().filter(|flow| flow.truth == 0) {
            let only = |said: &Probabilities| {
                let mut said = *said;
                settings.calibrate(&mut said);
                let likeliest = (1..)
                    .zip(&said[1..])
                    .fold((0, 0.0), |top, (c, p)| if *p > top.1 { (c, *p) } else { top })
                    .0;
                if likeliest == class { 1.0 - said[0] } else { 0.0 }
            };
            let values: Vec<f32> = flow.said.iter().map(only).collect();
            scores.push(kept(&values, settings.packets as usize));
        }
        scores.sort_by(|a, b| b.total_cmp(a));
        let over = scores.get(budget).copied().unwrap_or(0.0);
        // Halfway from there to certainty: the next benign conversation may be worse than those seen.
        let threshold = (1.0 - (1.0 - over) / 2.0).clamp(lowest, 0.9995);
        fitted.thresholds.iter_mut().skip(class).take(1).for_each(|place| *place = threshold);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(truth: u32, attack: &[f32]) -> ScoredFlow {
        let said = |p: &f32| [1.0 - p, *p, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        ScoredFlow {
            capture: 0,
            src: ([10, 0, 0, 1].into(), 1),
            dst: ([10, 0, 0, 2].into(), 2),
            protocol: 6,
            times: (0..attack.len() as i64).collect(),
            said: attack.iter().map(said).collect(),
            truth,
        }
    }

    #[test]
    fn the_score_is_the_threshold_at_which_it_is_just_called() {
        let flow = flow(1, &[0.2, 0.9, 0.8, 0.85, 0.3]);
        for (threshold, class) in [(0.79, 1), (0.81, 0)] {
            let found = verdict(&flow, &Settings::plain(64, 3, threshold, CLASSES.len()));
            assert_eq!((found.class, found.score), (class, 0.8));
        }
    }

    #[test]
    fn thresholds_keep_the_budget_and_temperature_softens_what_was_wrong() {
        let benign: Vec<ScoredFlow> = [0.1, 0.7, 0.9, 0.2].iter().map(|p| flow(0, &[*p; 4])).collect();
        let flows: Vec<&ScoredFlow> = benign.iter().collect();
        let plain = Settings::plain(64, 3, 0.5, CLASSES.len());
        let fitted = fit_thresholds(&flows, &plain, 0.5, 1);
        let called = flows.iter().filter(|flow| verdict(flow, &fitted).class > 0).count();
        assert!(called <= 1 && fitted.thresholds[1] > 0.7 && fitted.thresholds[2] == 0.5);
        let sure = [flow(0, &[0.99; 3]), flow(0, &[0.01; 3])];
        assert!(fit_temperature(&sure.iter().collect::<Vec<_>>()) > 1.5);
    }
}

//! Verdicts on scored conversations, and the settings that make them: temperature and thresholds, fitted on
//! recordings that the network had not seen.

use citronella_sensor::feature::sequence::{
    unknown::{Limits, NO_EXCESS, Unknown},
    verdict::{Benign, MOST_PACKETS, RunningVerdict, Settings, attack_log_odds},
};

use super::score::{Probabilities, ScoredFlow};
use crate::dataset::CLASSES;

/// What is said of a conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// `normal` (0), the attack that was called, or the number of classes for unknown.
    pub class: u32,
    /// The threshold, the same for all attacks, at which an attack would just be called; what is unknown has no part in
    /// it.
    pub score: f32,
    /// Packets until the call; `None` for `normal`.
    pub packets_to_alert: Option<usize>,
}

/// The verdict on a conversation, by the code that detection runs.
pub fn verdict(flow: &ScoredFlow, settings: &Settings) -> Verdict {
    let mut running = RunningVerdict::default();
    for (said, beyond) in flow.said.iter().zip(&flow.beyond) {
        let mut said = *said;
        settings.calibrate(&mut said);
        running.step(&said, *beyond, settings);
    }
    let called = running.end(settings);
    Verdict {
        class: called.map_or(0, |called| called.class),
        score: 1.0 / (1.0 + (-highest_mean(flow, settings, None)).exp()),
        packets_to_alert: called.map(|called| called.packets as usize),
    }
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
    // 5 % steps are finer than the loss can tell apart. Below 1 the network would be made surer than it is, and what
    // is beyond doubt anyway could no longer be told apart.
    let grid = (0..29).map(|n| 1.05f32.powi(n));
    grid.map(|t| (t, loss(t))).fold((1.0, f64::MAX), |best, (t, l)| if l < best.1 { (t, l) } else { best }).0
}

/// Highest benign scores that are kept of each class.
const HIGHEST_KEPT: usize = 24;
/// Share of a recording's benign conversations that all classes together may call before thresholds rise further: an
/// attack that is slow, or from a host that does honest work too, never looks as sure as one at full speed, and
/// thresholds for fewer false alerts than can be counted would lose it.
const ALWAYS_ALLOWED: f64 = 1e-3;
/// One recording in so many may call more: a network with honest work of a kind that no other has comes as high as
/// attacks do, and a threshold above it would lose attacks everywhere and spare that network little.
const ONE_RECORDING_IN: usize = 8;

/// What thresholds are chosen from: how high the benign conversations of recordings come as each class.
/// `hours` of traffic were scored; temperature and packets are those of `settings`.
pub fn benign_scores(recordings: &[&[ScoredFlow]], settings: &Settings, hours: f32) -> Benign {
    let mut benign = Benign { hours, highest: vec![Vec::new()], ceilings: vec![0.0] };
    for class in 1..CLASSES.len() {
        let (mut highest, mut enough) = (Vec::new(), Vec::new());
        for flows in recordings {
            let flows = flows.iter().filter(|flow| flow.truth == 0);
            let mut scores: Vec<f32> = flows.map(|flow| highest_mean(flow, settings, Some(class))).collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            let allowed = (scores.len() as f64 * ALWAYS_ALLOWED / (CLASSES.len() - 1) as f64) as usize;
            enough.extend(scores.get(allowed).copied());
            scores.truncate(HIGHEST_KEPT);
            highest.extend(scores);
        }
        enough.sort_by(|a, b| b.total_cmp(a));
        benign.ceilings.push(enough.get(enough.len() / ONE_RECORDING_IN).copied().unwrap_or(0.0).max(0.0));
        highest.sort_by(|a, b| b.total_cmp(a));
        highest.truncate(HIGHEST_KEPT);
        highest.retain(|score| *score > LEAST_LOG_ODDS);
        benign.highest.push(highest);
    }
    benign
}

/// What unknown is chosen from: how far benign conversations are beyond the benign traffic of other recordings; a host
/// from which an attack comes too is not looked at, its counts are the attack's. Its limits are still to be filled in, and its threshold chosen.
pub fn benign_beyond(flows: &[&ScoredFlow], settings: &Settings) -> Unknown {
    let wanted = (settings.packets as usize).clamp(1, MOST_PACKETS);
    // As a verdict has it: from the packet on that a call needs, or the last.
    let furthest = |flow: &&ScoredFlow| {
        let from = wanted.min(flow.beyond.len()).saturating_sub(1);
        flow.beyond.iter().skip(from).copied().fold(NO_EXCESS, f32::max)
    };
    let mut benign: Vec<f32> =
        flows.iter().filter(|flow| flow.truth == 0 && !flow.beside_attack).map(furthest).collect();
    benign.retain(|beyond| beyond.is_finite());
    benign.sort_by(|a, b| b.total_cmp(a));
    benign.truncate(HIGHEST_KEPT);
    Unknown { times: f32::MAX, benign, limits: Limits::default() }
}

/// Below even odds nothing is said of a tail.
const LEAST_LOG_ODDS: f32 = 0.0;

/// The highest mean of log-odds that a conversation reached, or its last packet alone, at packets where a class was likeliest (any, for `None`).
fn highest_mean(flow: &ScoredFlow, settings: &Settings, class: Option<usize>) -> f32 {
    let wanted = (settings.packets as usize).clamp(1, MOST_PACKETS).min(flow.said.len().max(1));
    let (mut last, mut highest) = ([0.0; MOST_PACKETS], f32::MIN);
    for (number, said) in flow.said.iter().enumerate() {
        let mut said = *said;
        settings.calibrate(&mut said);
        if let Some(place) = last.get_mut(number % wanted) {
            *place = attack_log_odds(said[0]);
        }
        let likeliest =
            (1..).zip(&said[1..]).fold((0, 0.0), |top, (c, p)| if *p > top.1 { (c, *p) } else { top }).0;
        if number + 1 >= wanted && class.is_none_or(|class| class == likeliest) {
            highest = highest.max(last.iter().take(wanted).sum::<f32>() / wanted as f32);
            if number + 1 == flow.said.len() {
                highest = highest.max(attack_log_odds(said[0]));
            }
        }
    }
    highest
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
            beyond: vec![NO_EXCESS; attack.len()],
            truth,
            beside_attack: false,
        }
    }

    #[test]
    fn the_score_is_the_threshold_at_which_it_is_just_called() {
        let flow = flow(1, &[0.2, 0.9, 0.8, 0.85, 0.3]);
        let score = verdict(&flow, &Settings::plain(64, 3, 0.9, CLASSES.len())).score;
        assert!((0.8..0.9).contains(&score));
        for (threshold, class) in [(score - 1e-3, 1), (score + 1e-3, 0)] {
            assert_eq!(verdict(&flow, &Settings::plain(64, 3, threshold, CLASSES.len())).class, class);
        }
    }

    #[test]
    fn what_is_unknown_is_chosen_by_how_far_benign_conversations_are_beyond() {
        let beyond = |truth: u32, beyond: &[f32]| ScoredFlow {
            beyond: beyond.to_vec(),
            ..flow(truth, &vec![0.1; beyond.len()])
        };
        // A begin does not count, a last packet does.
        let beside = ScoredFlow { beside_attack: true, ..beyond(0, &[9.0; 4]) };
        let all = [beyond(0, &[3.0, 3.0, 0.2, -1.0]), beyond(0, &[0.1, 0.4]), beyond(2, &[9.0; 4]), beside];
        let plain = Settings::plain(64, 3, 0.9, CLASSES.len());
        let unknown = benign_beyond(&all.iter().collect::<Vec<_>>(), &plain);
        assert_eq!(unknown.benign, [0.4, 0.2]);
        let settings = Settings { unknown: Some(Unknown { times: 5.0, ..unknown }), ..plain };
        let called = all.each_ref().map(|flow| verdict(flow, &settings).class);
        assert_eq!(called, [0, 0, 8, 8]);
    }

    #[test]
    fn benign_scores_go_to_the_class_that_was_likeliest_and_temperature_softens_what_was_wrong() {
        let mut all: Vec<ScoredFlow> = [0.1, 0.7, 0.9, 0.2].iter().map(|p| flow(0, &[*p; 4])).collect();
        all.extend([0.95, 0.99, 0.9, 0.97].map(|p| flow(1, &[p; 4])));
        let plain = Settings::plain(64, 3, 0.5, CLASSES.len());
        let found = benign_scores(&[&all], &plain, 2.0);
        assert_eq!((found.highest[1].len(), found.highest[2].len()), (2, 0));
        assert!((found.highest[1][0] - 9.0f32.ln()).abs() < 1e-3);
        // Of four benign conversations none may be called.
        assert!((found.ceilings[1] - 9.0f32.ln()).abs() < 1e-3);
        // Among so many benign conversations that one may be called, the highest sets no threshold.
        let mut many: Vec<ScoredFlow> = (0..7_000).map(|_| flow(0, &[0.6; 3])).collect();
        many.push(flow(0, &[0.999; 3]));
        many.push(flow(1, &[0.9999; 3]));
        let found = benign_scores(&[&many], &plain, 2.0);
        assert!((found.ceilings[1] - 1.5f32.ln()).abs() < 1e-3, "{:?}", found.ceilings);
        // Of eight recordings one does not set it either, of seven it does.
        let seven = [&all[..]; 7];
        let odd = [flow(0, &[0.999; 4])];
        let with: Vec<&[ScoredFlow]> = seven.iter().copied().chain([&odd[..]]).collect();
        let ceiling = |recordings: &[&[ScoredFlow]]| benign_scores(recordings, &plain, 2.0).ceilings[1];
        assert_eq!(ceiling(&with), ceiling(&seven));
        assert!(ceiling(&with[1..]) > ceiling(&seven) + 3.0);
        let sure = [flow(0, &[0.99; 3]), flow(0, &[0.01; 3])];
        assert!(fit_temperature(&sure.iter().collect::<Vec<_>>()) > 1.5);
    }
}

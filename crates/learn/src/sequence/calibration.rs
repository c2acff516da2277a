//! Calibration on held-out recordings: temperature, thresholds of the classes, threshold of the unknown class.

use citronella_sensor::feature::sequence::{
    unknown::{Limits, NO_EXCESS, Unknown},
    verdict::{Benign, MAX_PACKETS, Settings},
};

use super::{HeldOut, Options, Probabilities, ScoredFlow, verdict::highest_mean};
use crate::dataset::CLASSES;

/// Consecutive packets above the threshold that flag a conversation.
const PACKETS: u32 = 3;
/// Threshold of classes that no benign conversation comes near.
const MIN_THRESHOLD: f32 = 0.9;
/// False alerts a day that the thresholds allow.
const FALSE_ALERTS_PER_DAY: f32 = 1.0;
/// Packets of a conversation that the temperature is fitted on.
const SAMPLED_PACKETS: usize = 16;
/// Highest benign scores stored for each class.
const STORED_SCORES: usize = 24;
/// Benign scores at or below even odds are not stored.
const MIN_LOG_ODDS: f32 = 0.0;
/// Share of a recording's benign conversations that all classes together may flag before thresholds rise further. Slow
/// attacks and attacks from benign clients never score as high as fast ones; thresholds for fewer false alerts than
/// the data can count would miss them.
const TOLERATED_SHARE: f64 = 1e-3;
/// One recording in this many may exceed [`TOLERATED_SHARE`]. A network with unusual benign traffic can score as high
/// as attacks do; a threshold above it would miss attacks everywhere and help that network little.
const OUTLIER_RECORDINGS: usize = 8;

/// Fits temperature, benign scores and thresholds for one false alert a day. The limits of the unknown class stay
/// empty: they come from the training set.
pub fn fit_settings(held_out: &[&HeldOut], options: &Options) -> Settings {
    let flows: Vec<&ScoredFlow> = held_out.iter().flat_map(|held| &held.flows).collect();
    let hours: f64 = held_out.iter().map(|held| held.hours).sum();
    let temperature = fit_temperature(&flows);
    let plain = Settings::plain(options.steps as u32, PACKETS, MIN_THRESHOLD, CLASSES.len());
    let calibrated = Settings { temperature, ..plain };
    let recordings: Vec<&[ScoredFlow]> = held_out.iter().map(|held| held.flows.as_slice()).collect();
    let benign = benign_scores(&recordings, &calibrated, hours as f32);
    let unknown = Some(benign_beyond(&flows, &calibrated));
    Settings { benign, unknown, ..calibrated }.for_false_alerts(FALSE_ALERTS_PER_DAY)
}

/// For each held-out recording, the settings fitted on the others.
pub fn cross_settings(held_out: &[HeldOut], options: &Options) -> Vec<Settings> {
    let of = |held: &HeldOut| {
        let others: Vec<&HeldOut> =
            held_out.iter().filter(|other| other.recording != held.recording).collect();
        fit_settings(&others, options)
    };
    held_out.iter().map(of).collect()
}

/// The temperature with the lowest mean cross-entropy. Each conversation has the same weight, on up to 16 of its
/// packets.
pub fn fit_temperature(flows: &[&ScoredFlow]) -> f32 {
    let loss = |temperature: f32| -> f64 {
        let settings = Settings { temperature, ..Settings::plain(1, 1, 1.0, CLASSES.len()) };
        let of_flow = |flow: &&ScoredFlow| {
            let of_packet = |probabilities: &Probabilities| {
                let mut calibrated = *probabilities;
                settings.calibrate(&mut calibrated);
                -f64::from(calibrated.get(flow.truth as usize).copied().unwrap_or(0.0).max(1e-9)).ln()
            };
            let step = flow.probabilities.len().div_ceil(SAMPLED_PACKETS).max(1);
            let sample = flow.probabilities.iter().step_by(step);
            let count = sample.clone().count().max(1);
            sample.map(of_packet).sum::<f64>() / count as f64
        };
        flows.iter().map(of_flow).sum()
    };
    // The loss cannot resolve steps below 5 %. A temperature below 1 would make the network more confident and merge
    // scores that are close to 1 already.
    let grid = (0..29).map(|n| 1.05f32.powi(n));
    grid.map(|t| (t, loss(t))).fold((1.0, f64::MAX), |best, (t, l)| if l < best.1 { (t, l) } else { best }).0
}

/// The tail of benign scores of each class, from which thresholds are chosen. `hours`: duration of the traffic.
/// Temperature and packets are those of `settings`.
pub fn benign_scores(recordings: &[&[ScoredFlow]], settings: &Settings, hours: f32) -> Benign {
    let mut benign = Benign { hours, highest: vec![Vec::new()], ceilings: vec![0.0] };
    for class in 1..CLASSES.len() {
        let (mut highest, mut tolerated) = (Vec::new(), Vec::new());
        for flows in recordings {
            let flows = flows.iter().filter(|flow| flow.truth == 0);
            let mut scores: Vec<f32> = flows.map(|flow| highest_mean(flow, settings, Some(class))).collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            let allowed = (scores.len() as f64 * TOLERATED_SHARE / (CLASSES.len() - 1) as f64) as usize;
            tolerated.extend(scores.get(allowed).copied());
            scores.truncate(STORED_SCORES);
            highest.extend(scores);
        }
        tolerated.sort_by(|a, b| b.total_cmp(a));
        let ceiling = tolerated.get(tolerated.len() / OUTLIER_RECORDINGS).copied();
        benign.ceilings.push(ceiling.unwrap_or(0.0).max(0.0));
        highest.sort_by(|a, b| b.total_cmp(a));
        highest.truncate(STORED_SCORES);
        highest.retain(|score| *score > MIN_LOG_ODDS);
        benign.highest.push(highest);
    }
    benign
}

/// The tail of benign conversations beyond the limits of training, from which the threshold of the unknown class is
/// chosen. Hosts that also attack are excluded: their counts are the attack's. Leaves threshold and limits empty.
pub fn benign_beyond(flows: &[&ScoredFlow], settings: &Settings) -> Unknown {
    let needed = (settings.packets as usize).clamp(1, MAX_PACKETS);
    // As in a verdict: from the first packet that can flag a conversation, or the last.
    let furthest = |flow: &&ScoredFlow| {
        let from = needed.min(flow.beyond.len()).saturating_sub(1);
        flow.beyond.iter().skip(from).copied().fold(NO_EXCESS, f32::max)
    };
    let mut benign: Vec<f32> =
        flows.iter().filter(|flow| flow.truth == 0 && !flow.is_benign_of_attacker).map(furthest).collect();
    benign.retain(|beyond| beyond.is_finite());
    benign.sort_by(|a, b| b.total_cmp(a));
    benign.truncate(STORED_SCORES);
    Unknown { times: f32::MAX, benign, limits: Limits::default() }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{tests::flow, verdict};
    use super::*;

    #[test]
    fn the_unknown_class_is_calibrated_by_benign_hosts_beyond_the_limits() {
        let beyond = |truth: u32, beyond: &[f32]| ScoredFlow {
            beyond: beyond.to_vec(),
            ..flow(truth, &vec![0.1; beyond.len()])
        };
        // The first packets do not count; the last packet of a short flow does.
        let of_attacker = ScoredFlow { is_benign_of_attacker: true, ..beyond(0, &[9.0; 4]) };
        let all =
            [beyond(0, &[3.0, 3.0, 0.2, -1.0]), beyond(0, &[0.1, 0.4]), beyond(2, &[9.0; 4]), of_attacker];
        let plain = Settings::plain(64, 3, 0.9, CLASSES.len());
        let unknown = benign_beyond(&all.iter().collect::<Vec<_>>(), &plain);
        assert_eq!(unknown.benign, [0.4, 0.2]);
        let settings = Settings { unknown: Some(Unknown { times: 5.0, ..unknown }), ..plain };
        let classes = all.each_ref().map(|flow| verdict(flow, &settings).class);
        assert_eq!(classes, [0, 0, 8, 8]);
    }

    #[test]
    fn benign_scores_count_for_the_likeliest_class() {
        let mut all: Vec<ScoredFlow> = [0.1, 0.7, 0.9, 0.2].iter().map(|p| flow(0, &[*p; 4])).collect();
        all.extend([0.95, 0.99, 0.9, 0.97].map(|p| flow(1, &[p; 4])));
        let plain = Settings::plain(64, 3, 0.5, CLASSES.len());
        let scores = benign_scores(&[&all], &plain, 2.0);
        assert_eq!((scores.highest[1].len(), scores.highest[2].len()), (2, 0));
        assert!((scores.highest[1][0] - 9.0f32.ln()).abs() < 1e-3);
        // Four benign conversations are too few to tolerate a false positive.
        assert!((scores.ceilings[1] - 9.0f32.ln()).abs() < 1e-3);
        // 7,001 are enough to tolerate one: the highest does not set the ceiling.
        let mut many: Vec<ScoredFlow> = (0..7_000).map(|_| flow(0, &[0.6; 3])).collect();
        many.push(flow(0, &[0.999; 3]));
        many.push(flow(1, &[0.9999; 3]));
        let scores = benign_scores(&[&many], &plain, 2.0);
        assert!((scores.ceilings[1] - 1.5f32.ln()).abs() < 1e-3, "{:?}", scores.ceilings);
        // One outlier among eight recordings does not set the ceiling; among seven it does.
        let seven = [&all[..]; 7];
        let outlier = [flow(0, &[0.999; 4])];
        let eight: Vec<&[ScoredFlow]> = seven.iter().copied().chain([&outlier[..]]).collect();
        let ceiling = |recordings: &[&[ScoredFlow]]| benign_scores(recordings, &plain, 2.0).ceilings[1];
        assert_eq!(ceiling(&eight), ceiling(&seven));
        assert!(ceiling(&eight[1..]) > ceiling(&seven) + 3.0);
    }

    #[test]
    fn overconfident_errors_raise_the_temperature() {
        let confident = [flow(0, &[0.99; 3]), flow(0, &[0.01; 3])];
        assert!(fit_temperature(&confident.iter().collect::<Vec<_>>()) > 1.5);
    }
}

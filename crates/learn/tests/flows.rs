//! Evaluation per flow: figures of hand-made flows, and the documented rules.

#![allow(clippy::unwrap_used, missing_docs)] // tests

use std::path::Path;

use citronella_learn::flows::{CaptureSpan, Classes, ClassifiedFlow, Figures, FlaggedAt, rules_in_words};

const SECOND: i64 = 1_000_000_000;

fn classes() -> Classes {
    Classes::new(&["normal", "scan_A", "flood"].map(str::to_owned), ["normal", "scan_A", "worm"])
}

fn captures() -> Vec<CaptureSpan> {
    let capture = |file: &str, is_attacked| CaptureSpan {
        recording: "run".into(),
        file: file.into(),
        is_attacked,
        span_nanos: Some((0, 1_800 * SECOND)),
    };
    vec![capture("normal.pcap", false), capture("scan_A.pcap", true), capture("worm.pcap", true)]
}

/// A flow that starts in second `first` and is flagged a second later, unless `predicted` is normal.
fn flow(capture: u32, first: i64, truth: u32, predicted: u32, score: f64) -> ClassifiedFlow {
    let flagged_at = FlaggedAt { packets: 3, time_nanos: (first + 1) * SECOND };
    ClassifiedFlow {
        capture,
        src: ([10, 0, 0, 1].into(), 4000),
        dst: ([10, 0, 0, 2].into(), 1883),
        protocol: 6,
        first_nanos: first * SECOND,
        last_nanos: (first + 5) * SECOND,
        ended_nanos: (first + 9) * SECOND,
        packets: 8,
        truth,
        predicted,
        score,
        flagged_at: (predicted != 0).then_some(flagged_at),
        probabilities: vec![1.0 - score as f32, score as f32, 0.0],
    }
}

#[test]
fn figures_of_flows_counted_by_hand() {
    // normal 0, scan_A 1, flood 2, unknown 3, worm 4.
    let flows = [
        flow(0, 0, 0, 0, 0.1),
        flow(0, 1, 0, 0, 0.2),
        flow(1, 2, 0, 1, 0.9),  // false positive
        flow(1, 10, 1, 0, 0.3), // false negative
        flow(1, 20, 1, 1, 0.95),
        flow(1, 30, 1, 2, 0.97), // flagged as another class
        flow(2, 40, 4, 3, 0.8),  // an attack of a class that the model does not have
    ];
    let f = Figures::of(&classes(), &captures(), &flows);
    assert_eq!((f.flows, f.benign_flows, f.attack_flows, f.false_alerts), (7, 3, 4, 1));
    assert_eq!((f.recall, f.precision, f.accuracy), (Some(0.75), Some(0.75), Some(3.0 / 7.0)));
    assert_eq!(f.false_positive_rate, Some(1.0 / 3.0));
    assert!((f.false_positive_rate_upper_95.unwrap() - 0.864_650).abs() < 1e-6);
    assert_eq!((f.hours, f.false_alerts_per_day), (1.5, Some(16.0)));
    assert!((f.false_alerts_per_day_upper_95.unwrap() - 4.743_865 * 16.0).abs() < 1e-4);
    let counts = |b: &citronella_learn::flows::Benign| (b.flows, b.false_alerts);
    assert_eq!((counts(&f.benign_in_attacks), counts(&f.benign_elsewhere)), ((1, 1), (2, 0)));
    assert_eq!((f.attacks, f.attacks_detected), (2, 2));
    let scan = &f.per_attack[0];
    assert_eq!(
        (scan.class.as_str(), scan.flows, scan.flagged, scan.correctly_classified),
        ("scan_A", 3, 2, 1)
    );
    // Its first packet is in second 10, its first alert in second 21: two of its flows had started.
    assert_eq!((scan.seconds_to_first_alert, scan.flows_to_first_alert), (Some(11.0), Some(2)));
    assert_eq!((f.packets_to_detection.count, f.packets_to_detection.median), (3, Some(3.0)));
    assert_eq!(f.seconds_to_detection.p90, Some(1.0));
    // Benign 0.9 ranks above the attacks' 0.3 and 0.8: 10 of 12 pairs are in order.
    assert_eq!(f.roc_auc, Some(10.0 / 12.0));
    assert_eq!(f.confusion.classes, ["normal", "scan_A", "flood", "unknown", "worm"]);
    assert_eq!(f.confusion.counts[4][3], 1);
    assert_eq!(f.calibration.unwrap().rows, 7);
    assert!(
        f.notes.iter().any(|note| note.contains("needs 1000 negative rows; there are 3")),
        "{:?}",
        f.notes
    );
}

#[test]
fn figures_without_attacks_or_without_benign_flows_are_none() {
    let benign = Figures::of(&classes(), &captures(), &[flow(0, 0, 0, 0, 0.1)]);
    assert_eq!((benign.recall, benign.pr_auc, benign.f1), (None, None, None));
    assert_eq!(benign.seconds_to_first_alert.median, None);
    let attack = Figures::of(&classes(), &captures(), &[flow(1, 0, 1, 1, 0.9)]);
    assert_eq!((attack.false_positive_rate, attack.false_positive_rate_upper_95), (None, None));
    assert_eq!((attack.pr_auc, attack.recall), (None, Some(1.0)));
    let names = |f: &Figures| f.confusion.classes.len();
    assert_eq!((names(&benign), names(&attack)), (3, 3), "unknown and worm do not occur");
}

#[test]
fn the_documented_rules_are_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evaluate.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    let all: Vec<String> = rules_in_words().collect();
    assert_eq!(all.len(), 10);
    for rule in all {
        assert!(documented.contains(&rule.as_str()), "{rule}");
    }
}

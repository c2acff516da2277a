//! Figures compared with scikit-learn's (tests/fixtures/metrics.py) and with their definitions; edge cases.

#![allow(clippy::unwrap_used)]

use citronella_learn::evaluate::{
    Confusion, EvaluateError, Evaluation, Majority, Matrix, NearestInTime, PortOnly, Predictions, Ranking,
    Scores, Stump,
};
use proptest::prelude::*;
use serde_json::Value;

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|n| if n == 0 { "normal".to_owned() } else { format!("attack {n}") }).collect()
}

fn evaluate(classes: usize, truth: &[u32], scores: &[f32]) -> Evaluation {
    Evaluation::of(&Predictions::new(&names(classes), truth, Scores::Probabilities(scores))).unwrap()
}

fn same(what: &str, got: Option<f64>, expected: &Value) {
    match (got, expected.as_f64()) {
        (Some(got), Some(expected)) => {
            assert!((got - expected).abs() < 1e-12, "{what}: {got} for {expected}")
        }
        (got, expected) => assert_eq!(got, expected, "{what}"),
    }
}

#[test]
fn figures_equal_those_of_scikit_learn() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/metrics.json")).unwrap();
    for case in &cases {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let truth: Vec<u32> = serde_json::from_value(case["truth"].clone()).unwrap();
        let scores: Vec<f32> = serde_json::from_value(case["probabilities"].clone()).unwrap();
        let of = evaluate(classes, &truth, &scores);
        same("accuracy", of.accuracy, &case["accuracy"]);
        same("balanced accuracy", of.balanced_accuracy, &case["balanced_accuracy"]);
        same("mcc", of.mcc, &case["mcc"]);
        for (average, expected) in
            [(&of.macro_average, &case["macro"]), (&of.weighted_average, &case["weighted"])]
        {
            same("precision", average.precision, &expected[0]);
            same("recall", average.recall, &expected[1]);
            same("f1", average.f1, &expected[2]);
        }
        for (n, class) in of.per_class.iter().enumerate() {
            same("class precision", Some(class.precision), &case["precision"][n]);
            if class.support > 0 {
                same("class recall", class.recall, &case["recall"][n]);
                same("class f1", class.f1, &case["f1"][n]);
            }
            same("auc", of.one_vs_rest[n].roc.auc, &case["auc"][n]);
            same("average precision", of.one_vs_rest[n].pr.average_precision, &case["ap"][n]);
        }
        assert_eq!(serde_json::to_value(&of.confusion.counts).unwrap(), case["confusion"]);
        let attack = of.attack.as_ref().unwrap();
        same("attack auc", attack.roc.as_ref().unwrap().auc, &case["attack_auc"]);
        same("attack ap", attack.pr.as_ref().unwrap().average_precision, &case["attack_ap"]);
        same("attack brier", attack.brier, &case["attack_brier"]);
        same("tpr at 1e-3", of.attack_tpr_at(1e-3), &case["attack_tpr_at_1e3"]);
        let calibration = of.calibration.unwrap();
        same("brier", Some(calibration.brier), &case["brier"]);
        same("ece", Some(calibration.ece), &case["ece"]);
    }
}

#[test]
fn no_rows_one_class_and_scores_that_are_not_finite() {
    let empty = evaluate(3, &[], &[]);
    assert_eq!((empty.accuracy, empty.mcc, empty.macro_average.f1), (None, None, None));
    let one = evaluate(2, &[0, 0], &[0.9, 0.1, 0.2, 0.8]);
    assert_eq!((one.accuracy, one.mcc, one.macro_auc), (Some(0.5), Some(0.0), None));
    let bad = evaluate(2, &[0, 1, 1], &[f32::NAN, 0.1, 0.5, f32::INFINITY, 0.1, 0.9]);
    assert_eq!((bad.rows_without_verdict, bad.accuracy), (2, Some(1.0 / 3.0)));
    assert_eq!(bad.attack.as_ref().unwrap().false_alerts, 1);
    // The normal row without a score ranks above every attack, the attack without one below.
    assert_eq!(bad.attack.as_ref().unwrap().roc.as_ref().unwrap().auc, Some(0.0));
    for evaluation in [empty, one, bad] {
        let text = serde_json::to_string(&evaluation).unwrap();
        let back: Evaluation = serde_json::from_str(&text).unwrap();
        assert_eq!(back, evaluation);
    }
}

#[test]
fn a_rate_that_the_negatives_cannot_resolve_is_none_with_a_reason() {
    let point = Ranking::new([(0.9, true), (0.1, false)].into_iter()).tpr_at(1e-3);
    assert_eq!(point.tpr, None);
    assert!(point.reason.unwrap().contains("needs 1000 negative rows; there are 1"));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let classes = names(2);
    let of = |truth: &[u32], scores| Evaluation::of(&Predictions::new(&classes, truth, scores)).unwrap_err();
    assert!(matches!(
        of(&[0, 1], Scores::Probabilities(&[0.1; 3])),
        EvaluateError::Shape { expected: 4, .. }
    ));
    assert!(matches!(of(&[0, 2], Scores::Classes(&[0, 0])), EvaluateError::UnknownClass { row: 1, .. }));
}

#[test]
fn baselines_learn_from_their_own_feature() {
    let truth = [0, 0, 1, 1, 2, 2];
    let top = |shares: Vec<f32>| {
        let scores = Scores::Probabilities(&shares);
        Predictions { classes: &names(3), truth: &[], scores, normal: None }.predicted()
    };
    let noise_then_signal = [5., 1., 1., 1., 5., 2., 1., 2., 5., 3., 1., 3.];
    let rows = Matrix { values: &noise_then_signal, width: 2 };
    let stump = Stump::fit(rows, &truth, 3).unwrap();
    assert_eq!((stump.feature(), stump.thresholds()), (1, [1.5, 2.5].as_slice()));
    assert_eq!(top(stump.predict(rows)), truth.map(Some));
    let missing = Matrix { values: &[f32::NAN, f32::NAN], width: 2 };
    assert_eq!(stump.predict(missing), [1.0 / 3.0; 3]);
    let time = NearestInTime::fit(&[1.6e9, 1.6e9 + 1.0, 1.7e9, 1.7e9, 1.8e9, f64::NAN], &truth, 3).unwrap();
    assert_eq!(top(time.predict(&[1.6e9 + 9.0, 1.69e9, 9e9])), [Some(0), Some(1), Some(2)]);
    let port = PortOnly::fit(&[Some(22), Some(22), Some(1883), Some(1883), None, None], &truth, 3).unwrap();
    assert_eq!(
        top(port.predict(&[Some(1883), None, Some(22), Some(80)])),
        [Some(1), Some(2), Some(0), Some(0)]
    );
    assert_eq!(Majority::fit(&[1, 1, 0], 2).unwrap().predict(1), [1.0 / 3.0, 2.0 / 3.0]);
    assert!(Majority::fit(&[], 2).is_err());
}

proptest! {
    #[test]
    fn auc_is_the_mann_whitney_statistic_and_invariant_under_monotone_maps(
        rows in prop::collection::vec((0_u8..12, any::<bool>()), 2..80)
    ) {
        let rank = |map: &dyn Fn(f64) -> f64| Ranking::new(rows.iter().map(|&(s, p)| (map(f64::from(s)), p)));
        let auc = rank(&|s| s).auc();
        prop_assert_eq!(auc, rank(&|s| (s * 0.3).exp() - 7.0).auc());
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (a, _) in rows.iter().filter(|row| row.1) {
            for (b, _) in rows.iter().filter(|row| !row.1) {
                pairs += 1.0;
                wins += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
            }
        }
        match auc {
            Some(auc) => prop_assert!((auc - wins / pairs).abs() < 1e-12),
            None => prop_assert_eq!(pairs, 0.0),
        }
    }

    #[test]
    fn confusion_rows_sum_to_support_and_figures_stay_in_bounds(
        rows in prop::collection::vec((0_u32..4, prop::option::of(0_u32..4)), 1..60)
    ) {
        let (truth, predicted): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let confusion = Confusion::count(&names(4), &truth, &predicted);
        for (class, support) in (0..).zip(confusion.support()) {
            prop_assert_eq!(support, truth.iter().filter(|&&is| is == class).count() as u64);
        }
        prop_assert!((-1.0..=1.0).contains(&confusion.mcc().unwrap()));
        prop_assert!((0.0..=1.0).contains(&confusion.macro_average().f1.unwrap()));
    }

    #[test]
    fn thinning_a_long_curve_preserves_its_area(
        scores in prop::collection::vec((any::<f32>(), any::<bool>()), 3000)
    ) {
        let roc = Ranking::new(scores.iter().map(|&(s, p)| (f64::from(s), p))).roc(|score| score);
        let drawn: f64 = roc.points.windows(2).map(|w| (w[1].fpr - w[0].fpr) * (w[1].tpr + w[0].tpr) / 2.0).sum();
        prop_assert!(roc.points.len() < 1200);
        prop_assert!((drawn - roc.auc.unwrap()).abs() < 2e-3);
    }
}

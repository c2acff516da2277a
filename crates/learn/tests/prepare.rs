//! Preparation: splits are disjoint, complete and stratified; encoders and scalers depend on training rows only.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

mod support;

use citronella_learn::{
    dataset::{LabelRule, Labels, LoadOptions, Table, load},
    prepare::{PrepareError, Rows, Smote, Split, SplitBy, SplitPlan, TrainSet},
    zoo::Preset,
};
use citronella_sensor::detect::{Encoder, Input, Op};
use proptest::prelude::*;
use support::{connect, header, published, table, write};

const SCENARIOS: [(&str, u32); 4] = [("normal", 90), ("scan_A", 25), ("sparta", 7), ("flood", 60)];

fn plan(by: SplitBy, seed: u64) -> SplitPlan {
    SplitPlan { by, test: 0.2, validation: 0.2, seed }
}

fn usable(table: &Table) -> (Rows, Labels) {
    let preset = Preset::by_name("paper-multiclass").unwrap();
    let rows = Rows::complete(table, &preset.required(), None).unwrap();
    (rows, table.labels(LabelRule::File).unwrap())
}

fn fit(table: &Table, labels: &Labels, split: &Split) -> (Vec<Input>, TrainSet, TrainSet) {
    let preset = Preset::by_name("paper-multiclass").unwrap();
    let fold = split.train_fold(table, labels);
    let inputs = fold.fit(&preset.steps()).unwrap();
    let encoder = Encoder::new(table.level(), &inputs, &preset.required()).unwrap();
    let train = fold.encode(&encoder, 1);
    let (balanced, _) = Smote { neighbours: 5, seed: 1 }.balance(&train, 1);
    (inputs, train, balanced)
}

#[test]
fn rows_with_an_empty_field_are_counted_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &SCENARIOS);
    let (rows, _) = usable(&table);
    assert_eq!(rows.used.len(), 182);
    assert_eq!(rows.dropped_in_words(), "37 rows: mqtt_messagetype is empty");
    let capped = Rows::complete(&table, &[], Some(10)).unwrap();
    assert_eq!(capped.used.len(), 39);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn splits_are_disjoint_complete_and_stratified(
        counts in proptest::collection::vec(1u32..60, 2..5), seed in any::<u64>(), by_time in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let names = ["normal", "scan_A", "scan_sU", "sparta"];
        let scenarios: Vec<(&str, u32)> = names.into_iter().zip(counts).collect();
        let table = table(folder.path(), &scenarios);
        let (rows, labels) = usable(&table);
        let by = if by_time { SplitBy::Time } else { SplitBy::Random };
        let Ok(split) = Split::new(&table, &rows.used, &labels, &plan(by.clone(), seed)) else { return Ok(()) };
        let mut all = [split.train(), split.validation(), split.test()].concat();
        all.sort_unstable();
        prop_assert_eq!(&all, &rows.used);
        for (class, (_, rows)) in (0..).zip(&scenarios) {
            let test = split.test().iter().filter(|&&row| labels.of_row[row as usize] == class).count();
            prop_assert!((test as f64 - f64::from(*rows) * 0.2).abs() <= 1.0, "{test} of {rows}");
        }
        prop_assert_eq!(&split, &Split::new(&table, &rows.used, &labels, &plan(by, seed)).unwrap());
    }
}

#[test]
fn by_time_the_test_is_the_last_part_of_each_capture() {
    let folder = tempfile::tempdir().unwrap();
    let rows = || [header()].into_iter().chain((0..50).map(|i| connect(i, 60, 1, i > 3)));
    write(&folder.path().join("packet_features/flood.csv"), rows());
    write(&folder.path().join("packet_features/normal.csv"), rows());
    let table = load(&[folder.path().to_owned()], &LoadOptions::default()).unwrap();
    let (rows, labels) = usable(&table);
    let split = Split::new(&table, &rows.used, &labels, &plan(SplitBy::Time, 0)).unwrap();
    assert_eq!(split.test(), [(40..50).collect::<Vec<u32>>(), (90..100).collect()].concat());
}

#[test]
fn whole_captures_and_whole_recordings_stay_together() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> =
        ["run-a", "run-b", "run-c"].iter().map(|r| published(&folder.path().join(r), &SCENARIOS)).collect();
    let table = load(&paths, &LoadOptions::default()).unwrap();
    let (rows, labels) = usable(&table);
    let of = |rows: &[u32]| {
        rows.iter().map(|&row| table.source_of(row as usize)).collect::<std::collections::BTreeSet<_>>()
    };
    let split = Split::new(&table, &rows.used, &labels, &plan(SplitBy::Capture, 3)).unwrap();
    assert_eq!(of(split.test()).len(), 4, "one of three captures of each scenario");
    assert!(of(split.test()).is_disjoint(&of(&[split.train(), split.validation()].concat())));
    let by = SplitBy::Recording { leave_out: vec!["run-b".into()] };
    let split = Split::new(&table, &rows.used, &labels, &plan(by, 3)).unwrap();
    let recording = |row: &u32| table.sources()[table.source_of(*row as usize)].recording.clone();
    assert!(split.test().iter().all(|row| recording(row) == "run-b"));
    assert!(split.train().iter().all(|row| recording(row) != "run-b"));
    let by = SplitBy::Recording { leave_out: vec!["run-x".into()] };
    let error = Split::new(&table, &rows.used, &labels, &plan(by, 3)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no recording run-x to leave out; the data has run-a, run-b, run-c"
    );
}

#[test]
fn by_capture_needs_two_captures_of_a_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &SCENARIOS);
    let (rows, labels) = usable(&table);
    let error = Split::new(&table, &rows.used, &labels, &plan(SplitBy::Capture, 3)).unwrap_err();
    assert!(matches!(error, PrepareError::EmptyPart { part: "test", .. }));
}

/// Other values in the rows outside training, including a new protocol, must not change encoder, scaler and SMOTE.
#[test]
fn test_rows_do_not_affect_scaler_encoder_and_smote() {
    let folder = tempfile::tempdir().unwrap();
    let before = table(folder.path(), &SCENARIOS);
    let (rows, labels) = usable(&before);
    let split = Split::new(&before, &rows.used, &labels, &plan(SplitBy::Random, 11)).unwrap();
    let others: Vec<(usize, u64)> = [split.validation(), split.test()]
        .concat()
        .iter()
        .map(|&row| (before.source_of(row as usize), before.row_in_file(row as usize)))
        .collect();
    for (number, source) in before.sources().iter().enumerate() {
        let path = folder.path().join("packet_features").join(format!("{}.csv", source.scenario));
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = text.lines().zip(1u64..).map(|(line, n)| {
            if others.contains(&(number, n)) {
                line.replace("2020-", "2031-").replace(",MQTT,", ",ODD,1")
            } else {
                line.to_owned()
            }
        });
        write(&path, changed.collect::<Vec<_>>());
    }
    let after = load(&[folder.path().to_owned()], &LoadOptions::default()).unwrap();
    assert!(after.texts(3).contains(&"ODD".to_owned()), "the change is in the table");
    assert_eq!(fit(&before, &labels, &split), fit(&after, &labels, &split));
}

#[test]
fn numbers_are_standardised_and_times_scaled_over_training_rows() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &SCENARIOS);
    let (rows, labels) = usable(&table);
    let split = Split::new(&table, &rows.used, &labels, &plan(SplitBy::Random, 5)).unwrap();
    let (inputs, train, _) = fit(&table, &labels, &split);
    let train = &train;
    let column = |at: usize| {
        (0..train.x().rows()).map(move |row| f64::from(train.x().row(row)[at])).collect::<Vec<_>>()
    };
    for (at, input) in inputs.iter().enumerate() {
        let values = column(at);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        match &input.op {
            Op::Standardise { .. } if values.iter().any(|v| *v != values[0]) => {
                assert!(
                    mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4,
                    "{}: {mean} {variance}",
                    input.name()
                );
            }
            Op::Standardise { .. } => assert_eq!(values[0], 0.0, "constant columns become 0"),
            Op::MinMaxSeconds { .. } => {
                let (lo, hi) =
                    values.iter().fold((1e9, -1e9), |(lo, hi): (f64, f64), v| (lo.min(*v), hi.max(*v)));
                assert_eq!((lo, hi), (0.0, 1.0));
            }
            Op::OneHot { value } => assert_eq!(value, "MQTT"),
            Op::AsIs { .. } => panic!("the paper scales every number"),
        }
    }
}

#[test]
fn smote_raises_every_class_within_the_classes_own_range() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &[("normal", 100), ("scan_A", 40), ("sparta", 3), ("flood", 1)]);
    let (rows, labels) = usable(&table);
    let split = Split::new(&table, &rows.used, &labels, &plan(SplitBy::Random, 5)).unwrap();
    let (_, train, balanced) = fit(&table, &labels, &split);
    let most = *train.counts().iter().max().unwrap();
    assert_eq!(balanced.counts(), [most; 4]);
    let (again, report) = Smote { neighbours: 5, seed: 1 }.balance(&train, 2);
    assert_eq!(again, balanced, "any number of threads");
    assert_ne!(Smote { neighbours: 5, seed: 2 }.balance(&train, 2).0, balanced);
    let small = &report.classes[2..];
    assert!(
        small[0].neighbours < 5 && small[1].neighbours == 0,
        "few rows: fewer neighbours, one row: repeated"
    );
    let original = train.x().rows();
    assert_eq!(balanced.x().data[..train.x().data.len()], train.x().data[..]);
    for row in original..balanced.x().rows() {
        for column in 0..balanced.x().width {
            let class = balanced.y()[row];
            let of_class = (0..original).filter(|&r| train.y()[r] == class).map(|r| train.x().row(r)[column]);
            let (lo, hi) = of_class.fold((f32::MAX, f32::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
            let made = balanced.x().row(row)[column];
            assert!((lo - 1e-5..=hi + 1e-5).contains(&made), "{lo} {made} {hi}");
        }
    }
}

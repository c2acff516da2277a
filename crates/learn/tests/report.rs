//! Reports: escaped, self-contained, written atomically.

#![allow(clippy::unwrap_used)]

use citronella_learn::{
    evaluate::{Confusion, Epoch, EpochScores, Evaluation, History, Predictions, Scores},
    report::{Block, ConfusionPlot, KeyFigure, LinePlot, MetricTable, Multiples, Report, Section, figure},
};

const HOSTILE: &str = "</svg><script src=\"http://x\">'&\u{1}";

/// One row in 10,001: a share that is formatted with `<`, which needs escaping.
fn rare(classes: &[String]) -> Confusion {
    let counts = vec![vec![10_000, 1], vec![0, 3]];
    Confusion { classes: classes.to_vec(), counts, no_verdict: vec![0, 0] }
}

fn sample(classes: &[String], truth: &[u32], scores: &[f32]) -> Report {
    let of = Evaluation::of(&Predictions::new(classes, truth, Scores::Probabilities(scores))).unwrap();
    let confusion = Confusion::clone(&of.confusion);
    let roc = &of.one_vs_rest[0].roc;
    let scores = EpochScores::new(f64::NAN, &confusion);
    let history = History { epochs: vec![Epoch { number: 1, training: scores, validation: None }] };
    let mut blocks = vec![
        Block::Figures(vec![KeyFigure { label: HOSTILE.into(), value: "1".into(), note: HOSTILE.into() }]),
        Block::Table(MetricTable::of_models(HOSTILE, &[(HOSTILE, &of)])),
        Block::Table(MetricTable::per_class(HOSTILE, &of)),
        Block::Multiples(Multiples {
            title: HOSTILE.into(),
            matrices: vec![(HOSTILE.into(), rare(classes))],
        }),
        Block::Confusion(ConfusionPlot { title: HOSTILE.into(), confusion }),
        Block::Lines(LinePlot::roc(HOSTILE, &[(HOSTILE, roc)])),
        Block::Lines(LinePlot::precision_recall(HOSTILE, &[(HOSTILE, &of.one_vs_rest[0].pr)])),
        Block::Caveat(HOSTILE.into()),
    ];
    blocks.extend(LinePlot::history(HOSTILE, &history).into_iter().map(Block::Lines));
    let section = Section { heading: HOSTILE.into(), prose: vec![HOSTILE.into()], blocks };
    Report {
        title: HOSTILE.into(),
        subtitle: HOSTILE.into(),
        findings: vec![HOSTILE.into()],
        sections: vec![section],
        provenance: vec![(HOSTILE.into(), HOSTILE.into())],
    }
}

#[test]
fn strings_are_escaped_and_nothing_external_is_loaded() {
    let classes = ["normal".to_owned(), HOSTILE.to_owned()];
    let page = sample(&classes, &[0, 1, 1], &[0.9, 0.1, 0.2, 0.8, f32::NAN, 0.1]).html().unwrap();
    assert!(!page.contains("<script") && !page.contains("src=\"") && !page.contains("@import"));
    assert!(!page.contains("NaN") && !page.contains("url("));
    assert!(page.contains("(&lt; 0.1 %)") && !page.contains("(< "), "figures are escaped too");
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn an_evaluation_without_rows_still_makes_a_page() {
    let page = sample(&["normal".to_owned()], &[], &[]).html().unwrap();
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn all_files_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let report = sample(&["normal".to_owned()], &[0], &[1.0]);
    let metrics = serde_json::json!({ "b": 0.1, "a": null });
    let written = report.write(&dir.path().join("new/report"), &metrics).unwrap();
    report.write(&dir.path().join("new/report"), &metrics).unwrap();
    let back: serde_json::Value = serde_json::from_slice(&std::fs::read(&written.metrics).unwrap()).unwrap();
    assert_eq!(back, metrics);
    assert_eq!(written.plots.len(), 7);
    assert_eq!(std::fs::read_dir(dir.path().join("new/report")).unwrap().count(), 9);
    for plot in &written.plots {
        let plot = std::fs::read_to_string(plot).unwrap();
        assert!(plot.starts_with("<svg xmlns") && !plot.contains("var(--"));
    }
}

#[test]
fn an_error_names_the_folder_and_the_remedy() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("report");
    let error = Report::default().write(&below, &serde_json::Value::Null).unwrap_err().to_string();
    assert!(error.contains(below.to_str().unwrap()) && error.contains("name a folder"), "{error}");
}

#[test]
fn figures_never_round_up_to_perfect() {
    assert_eq!(figure(Some(0.999_99)), "> 0.9999");
    assert_eq!(figure(Some(1.0)), "1.0000");
    assert_eq!(figure(Some(0.000_01)), "< 0.0001");
    assert_eq!((figure(None), figure(Some(f64::NAN))), ("–".to_owned(), "–".to_owned()));
}

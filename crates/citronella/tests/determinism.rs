//! Determinism: the same seed gives the same numbers in every run and on any number of threads.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::fs;

use serde_json::Value;
use support::{Folder, done, lab};

/// The model's bytes and the document without durations.
fn train(preset: &str, more: &[&str]) -> (Vec<u8>, Value) {
    let folder = Folder::new();
    let model = folder.path("m.safetensors");
    let mut command = citronella!("train", "--preset", preset, "--epochs", "1", "--json", "-o", &model);
    command.args(more).arg(lab("run-2"));
    let mut document: Value = serde_json::from_str(&done(command).0).unwrap();
    assert!(document.as_object_mut().unwrap().remove("seconds").is_some());
    (fs::read(&model).unwrap(), document)
}

#[test]
fn training_depends_on_the_seed_alone() {
    for preset in ["paper-binary", "paper-multiclass-no-time"] {
        let (model, document) = train(preset, &[]);
        for more in [&[][..], &["--threads", "1"], &["--threads", "2"], &["--threads", "3"]] {
            let (again, figures) = train(preset, more);
            assert!(again == model, "{preset} {more:?}: the model's bytes differ");
            assert!(figures == document, "{preset} {more:?}: the figures differ");
        }
        let (other, figures) = train(preset, &["--seed", "43"]);
        assert!(other != model && figures != document, "{preset}: the seed changes nothing");
    }
}

#[test]
fn evaluating_and_extracting_do_not_depend_on_threads() {
    let folder = Folder::new();
    let model = support::trained(&folder);
    let figures = |threads: &str| {
        done(citronella!("evaluate", "--json", "--threads", threads, "--model", &model, lab("run-2"))).0
    };
    assert_eq!(figures("1"), figures("2"));
    let rows = |level: &str, name: &str, threads: &str| {
        let output = folder.path(name);
        let capture = lab("run-2");
        done(citronella!("extract", "--threads", threads, "--level", level, "-o", &output, capture));
        fs::read(output).unwrap()
    };
    for (level, name) in
        [("packet", "p.csv"), ("packet", "p.parquet"), ("uniflow", "u.csv"), ("biflow", "b.parquet")]
    {
        let one = rows(level, name, "1");
        for threads in ["2", "3"] {
            assert!(rows(level, name, threads) == one, "{level}, {name}, {threads} threads");
        }
    }
}

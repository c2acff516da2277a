//! `citronella compare` on recordings and on a folder in MQTT-IoT-IDS2020's layout, interrupted and resumed.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{Folder, assert_contains, done, lab, refused};

const SCENARIOS: [&str; 5] = ["normal", "scan_A", "scan_sU", "sparta", "mqtt_bruteforce"];

/// A folder as published, from a lab recording: packet and flow files with repeated header lines, flow files with an
/// unnamed index column, uniflow files with the scripts' extra columns.
fn published(folder: &Folder) -> std::path::PathBuf {
    for (level, extra) in [("packet", false), ("uniflow", true), ("biflow", false)] {
        let mut command = citronella!("extract", "--level", level, "-o", folder.path("data/"), lab("run-2"));
        if extra {
            command.arg("--extra-columns");
        }
        done(command);
        let inner = folder.path("data").join(format!("{level}_features"));
        for entry in fs::read_dir(&inner).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !SCENARIOS.iter().any(|s| name.contains(s)) {
                fs::remove_file(&path).unwrap();
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let header = text.lines().next().unwrap().to_owned();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.insert(lines.len() / 2, header);
            if level != "packet" {
                let index = |(at, line): (usize, &mut String)| {
                    *line = if at == 0 { format!(",{line}") } else { format!("{},{line}", at - 1) }
                };
                lines.iter_mut().enumerate().for_each(index);
            }
            fs::write(&path, lines.join("\n") + "\n").unwrap();
        }
    }
    folder.path("data")
}

fn entries(document: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(document).unwrap();
    document["entries"].as_array().unwrap().clone()
}

#[test]
fn a_published_folder_runs_unchanged_at_every_level() {
    let folder = Folder::new();
    let data = published(&folder);
    let models = "majority,port-only,decision-tree,naive-bayes,timestamp-only";
    let (out, err) = done(citronella!(
        "compare",
        "--json",
        "--models",
        models,
        "--folds",
        "2",
        "--max-rows",
        "4000",
        &data
    ));
    let entries = entries(&out);
    // 2 protocols x 2 tasks x (5 models of packets, 4 of each flow level); one recording gives no honest entry.
    assert_eq!(entries.len(), 2 * 2 * (5 + 4 + 4));
    for entry in &entries {
        assert!(entry["protocol"] != "recordings" && entry["reference"].is_null(), "{entry}");
        let accuracy = entry["accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy) && entry["test_rows"].as_u64().unwrap() > 100, "{entry}");
    }
    let of = |model: &str| {
        let one = |e: &&Value| {
            e["model"] == model
                && e["level"] == "biflow"
                && e["task"] == "multi-class"
                && e["protocol"] == "folds"
        };
        entries.iter().find(one).unwrap()["accuracy"].as_f64().unwrap()
    };
    assert!(of("decision-tree") > of("majority") + 0.1, "{} {}", of("decision-tree"), of("majority"));
    assert_contains(&err, &["4000 of", "distinct rows, at random"]);
}

#[test]
fn a_folder_with_some_levels_runs_on_those() {
    let folder = Folder::new();
    let data = folder.path("data/");
    done(citronella!("extract", "--level", "biflow", "-o", &data, lab("run-2")));
    let compare = |more: &[&str]| {
        let mut command =
            citronella!("compare", "--json", "--models", "majority", "--protocols", "split", &data);
        command.args(more);
        command
    };
    let (out, err) = done(compare(&[]));
    let entries = entries(&out);
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry["level"] == "biflow"), "{entries:?}");
    assert_contains(&err, &["no rows of the packet level", "no rows of the uniflow level"]);
    assert_contains(&refused(compare(&["--levels", "packet"])), &["a folder without any of these"]);
}

#[test]
fn recordings_are_evaluated_under_both_protocols_and_an_interrupted_run_resumes() {
    let folder = Folder::new();
    let report = folder.path("report");
    let run = |models: &str| {
        done(citronella!(
            "compare",
            "--models",
            models,
            "--levels",
            "biflow",
            "--folds",
            "2",
            "--max-rows",
            "3000",
            "--report",
            &report,
            lab("run-1"),
            lab("run-2")
        ))
    };
    run("majority,decision-tree");
    let cached = |report: &Path| {
        let files = fs::read_dir(report.join("results")).unwrap().map(|e| e.unwrap().path());
        files.map(|path| (fs::metadata(&path).unwrap().modified().unwrap(), path)).collect::<Vec<_>>()
    };
    let before = cached(&report);
    assert_eq!(before.len(), 2 * 2 * 3);
    let (out, _) = run("majority,decision-tree,naive-bayes");
    let after = cached(&report);
    assert_eq!(after.len(), 3 * 2 * 3);
    assert!(before.iter().all(|file| after.contains(file)), "cached results are reused");
    assert_contains(&out, &["PUBLISHED: random k-fold", "HONEST: unseen recording", "HONEST accuracy"]);
    let csv = fs::read_to_string(report.join("compare.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 18);
    assert!(csv.lines().next().unwrap().contains("published_or_honest"));
    let page = fs::read_to_string(report.join("report.html")).unwrap();
    assert_contains(&page, &["confusion matrices", "HONEST"]);
}

#[test]
fn data_that_cannot_be_compared_is_refused() {
    let folder = Folder::new();
    let data = folder.write("KDDTrain+.txt", "0,tcp,http,SF,1\n");
    assert_contains(
        &refused(citronella!("compare", "--models", "forest", lab("run-2"))),
        &["no such model", "random-forest"],
    );
    assert_contains(&refused(citronella!("compare", "--folds", "1", lab("run-2"))), &["two folds or more"]);
    assert_contains(
        &refused(citronella!("compare", "--protocols", "honest", "--levels", "biflow", lab("run-2"))),
        &["two recordings with attacks"],
    );
    assert_contains(&refused(citronella!("compare", &data)), &["the header lacks", "KDDTrain+.txt"]);
}

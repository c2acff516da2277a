//! stdin and stdout, closed pipes, folders that `extract` writes and `train` reads, JSON documents.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use support::{
    Folder, assert_contains, connect_frame, done, lab, one_message, pcap, refused, rows, texts, trained,
};

#[test]
fn stdin_reads_like_a_file() {
    let path = lab("run-2").join("scan_sU.pcap.zst");
    let bytes = fs::read(&path).unwrap();
    let mut command = citronella!("extract", "--level", "packet", "-");
    command.write_stdin(bytes.clone());
    assert_eq!(done(command).0, rows(&path));
    let mut command = citronella!("inspect", "--json", "-");
    command.write_stdin(bytes);
    assert_eq!(done(command).0, done(citronella!("inspect", "--json", &path)).0);
    let mut command = citronella!("extract", "--level", "packet", "-");
    let (code, stdout, stderr) = texts(&command.write_stdin("not a capture").output().unwrap());
    assert_eq!((code, stdout.lines().count()), (Some(2), 1), "no row below the header: {stdout}");
    assert_contains(&one_message(&stderr), &["stdin: not a capture"]);
}

#[test]
fn a_closed_stdout_is_not_an_error() {
    for format in ["csv", "parquet"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_citronella"))
            .args(["extract", "--level", "packet", "--format", format])
            .arg(lab("run-2").join("flood.pcap.zst"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = Vec::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_until(b'\n', &mut first).unwrap();
        let begin: &[u8] = if format == "csv" { b"timestamp,src_ip," } else { b"PAR1" };
        assert!(first.starts_with(begin), "{first:?}");
        let (code, _, stderr) = texts(&child.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{format}: {stderr}");
        assert!(!stderr.contains("citronella: ") && !stderr.contains("panicked"), "{format}: {stderr}");
    }
}

#[test]
fn a_closed_stderr_is_not_an_error() {
    let folder = Folder::new();
    let output = folder.path("rows.csv");
    let mut child = Command::new(env!("CARGO_BIN_EXE_citronella"))
        .args(["extract", "--level", "packet", "-o"])
        .arg(&output)
        .arg(lab("run-2").join("scan_sU.pcap.zst"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 1 + 7033);
}

#[test]
fn with_json_stdout_is_one_document() {
    let folder = Folder::new();
    let model = folder.path("m.safetensors");
    let train = citronella!(
        "train",
        "--preset",
        "paper-multiclass",
        "--epochs",
        "1",
        "--json",
        "-o",
        &model,
        lab("run-2")
    );
    let (stdout, stderr) = done(train);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["model"]["preset"], "paper-multiclass");
    assert_eq!(document["model"]["classes"].as_array().unwrap().len(), 8);
    assert_contains(&stderr, &["epoch   1/1: loss", "m.safetensors: model written"]);

    let (stdout, stderr) = done(citronella!("evaluate", "--json", "--model", &model, lab("run-2")));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["trained_on_this_data"].as_array().unwrap().len(), 8);
    assert_eq!(document["evaluation"].as_array().unwrap().len(), 2, "labels by attacker and by file");
    assert_contains(&stderr, &["the model was trained on run-2/normal.pcap.zst: its figures are optimistic"]);

    let (stdout, stderr) = done(citronella!("inspect", "--json", lab("run-2").join("normal.pcap.zst")));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert!(document["mqtt"]["messages"].is_array() && stderr.is_empty(), "{stderr}");
}

/// Rows in a folder, in either format, and rows in one file with a scenario column.
#[test]
fn training_on_extracted_rows_equals_training_on_captures() {
    let folder = Folder::new();
    let (csv, parquet, one) = (folder.path("csv/"), folder.path("parquet/"), folder.path("one.parquet"));
    done(citronella!("extract", "--level", "packet", "-o", &csv, lab("run-2")));
    done(citronella!("extract", "--level", "packet", "--format", "parquet", "-o", &parquet, lab("run-2")));
    done(citronella!("extract", "--level", "packet", "--scenario-column", "-o", &one, lab("run-2")));
    assert_eq!(fs::read_dir(csv.join("packet_features")).unwrap().count(), 8);
    let figures = |data: &std::path::Path| {
        let model = folder.path("m.safetensors");
        let train = citronella!(
            "train",
            "--preset",
            "paper-multiclass",
            "--epochs",
            "1",
            "--json",
            "-o",
            &model,
            data
        );
        let document: Value = serde_json::from_str(&done(train).0).unwrap();
        let classes = document["model"]["classes"].as_array().unwrap().len();
        assert_eq!((classes, document["test"].as_array().unwrap().len()), (8, 2));
        (document["test"].clone(), document["history"].clone())
    };
    let expected = figures(&lab("run-2"));
    for data in [csv, parquet, one] {
        assert!(figures(&data) == expected, "{}", data.display());
    }
}

#[test]
fn the_scenario_column_is_last_and_optional() {
    let folder = Folder::new();
    folder.write("a.pcap", pcap(&[connect_frame(4000)]));
    folder.write("b.pcap", pcap(&[connect_frame(4001)]));
    let text = "scenario,file,attacker\nnormal,a.pcap,\nflood,b.pcap,10.0.0.1\n";
    let manifest = folder.write("manifest.csv", text);
    let plain = rows(&manifest);
    assert!(plain.lines().all(|line| line.split(',').count() == 31), "{plain}");
    let (named, _) = done(citronella!("extract", "--level", "packet", "--scenario-column", &manifest));
    let expected: Vec<String> = plain
        .lines()
        .zip(["scenario", "normal", "flood"])
        .map(|(row, name)| format!("{row},{name}"))
        .collect();
    assert_eq!(named.lines().collect::<Vec<_>>(), expected);

    let into = |output: &str, data: &std::path::Path| {
        refused(citronella!(
            "extract",
            "--level",
            "packet",
            "--scenario-column",
            "-o",
            folder.path(output),
            data
        ))
    };
    assert_contains(&into("out/", &manifest), &["--scenario-column is for a single file"]);
    assert_contains(
        &into("out.csv", &folder.path("a.pcap")),
        &["a.pcap: --scenario-column needs a manifest"],
    );
    for name in ["../../up", "a/b", "\"a,b\"", ".hidden"] {
        folder.write("manifest.csv", format!("scenario,file,attacker\nnormal,a.pcap,\n{name},b.pcap,\n"));
        assert_contains(
            &into("out.csv", &manifest),
            &["manifest.csv, line 3, column scenario", "letters, digits"],
        );
        let message =
            refused(citronella!("extract", "--level", "packet", "-o", folder.path("out/"), &manifest));
        assert_contains(&message, &["line 3, column scenario"]);
    }
    assert_eq!(folder.names(), ["a.pcap", "b.pcap", "manifest.csv"]);
}

#[test]
fn a_truncated_capture_of_a_recording_is_logged_and_its_whole_packets_are_used() {
    let folder = Folder::new();
    for entry in fs::read_dir(lab("run-2")).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let end = if name.starts_with("flood") { bytes.len() / 2 } else { bytes.len() };
        folder.write(&format!("data/{name}"), &bytes[..end]);
    }
    let (_, stderr) = done(citronella!("evaluate", "--model", trained(&folder), folder.path("data")));
    assert_contains(&stderr, &["warning: ", "flood.pcap.zst: the zstd stream breaks off in packet"]);
}

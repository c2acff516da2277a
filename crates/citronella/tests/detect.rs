//! `detect -r`: verdicts, summary and exit codes.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use support::{
    Folder, arp_frame, assert_contains, connect_frame, done, lab, one_message, pcap, refused, texts, trained,
};

const HEADER: &str =
    "first_seen,last_seen,src_ip,src_port,dst_ip,dst_port,proto,packets,class,score,packets_to_alert";

fn rows(file: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn count(rows: &[Vec<String>], column: usize) -> u64 {
    rows.iter().map(|row| row[column].parse::<u64>().unwrap()).sum()
}

#[test]
fn a_scan_is_detected_and_every_packet_is_accounted_for() {
    let folder = Folder::new();
    let file = folder.path("verdicts.csv");
    let capture = lab("run-2").join("scan_A.pcap.zst");
    let mut command = citronella!("detect", "--json", "--fail-on-alert", "--verdicts", &file, "-r", &capture);
    let (code, stdout, stderr) = texts(&command.output().unwrap());
    assert_eq!(code, Some(1), "{stderr}");
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let rows = rows(&file);
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(number("flows"), rows.len() as u64);
    assert_eq!(number("packets_scored"), count(&rows, 7));
    assert_eq!(number("packets"), number("packets_scored") + number("packets_without_flow"));
    assert_eq!(number("flows_flagged"), rows.iter().filter(|row| !row[10].is_empty()).count() as u64);
    let mut classes = BTreeMap::new();
    for row in &rows {
        *classes.entry(row[8].as_str()).or_insert(0u64) += 1;
        let times: Vec<f64> = row[..2].iter().map(|time| time.parse().unwrap()).collect();
        assert!(times[0] > 1.7e9 && times[0] <= times[1], "{row:?}");
        assert!((0.0..=1.0).contains(&row[9].parse::<f64>().unwrap()), "{row:?}");
        assert_eq!(row[8] == "normal", row[10].is_empty(), "{row:?}");
        let to_alert = row[10].parse::<u64>().unwrap_or(0);
        assert!(to_alert <= row[7].parse().unwrap(), "{row:?}");
    }
    for (class, flows) in &classes {
        assert_eq!(summary["flows_by_class"][class].as_u64(), Some(*flows));
    }
    assert!(classes["scan_A"] > 800, "{classes:?}");
    assert_eq!(summary["flagged_flows"][0]["class"], "scan_A");
}

#[test]
fn benign_traffic_raises_no_alert() {
    let capture = lab("run-2").join("normal.pcap.zst");
    let (stdout, _) = done(citronella!("detect", "--fail-on-alert", "--verdicts", "-", "-r", &capture));
    assert!(stdout.starts_with(HEADER) && stdout.lines().count() > 100);
    assert!(stdout.lines().skip(1).all(|line| line.ends_with(',') && line.contains(",normal,")), "{stdout}");
}

#[test]
fn verdicts_are_reproducible_and_three_threads_see_the_same_flows() {
    let folder = Folder::new();
    let capture = lab("run-2").join("malformed.pcap.zst");
    let verdicts = |name: &str, threads: &str| {
        let file = folder.path(name);
        done(citronella!("detect", "--threads", threads, "--verdicts", &file, "-r", &capture));
        fs::read_to_string(file).unwrap()
    };
    let one = verdicts("one.csv", "1");
    assert!(one == verdicts("again.csv", "1"));
    let flows = |text: &str| {
        let mut flows: Vec<String> =
            text.lines().map(|line| line.split(',').take(8).collect::<Vec<_>>().join(",")).collect();
        flows.sort();
        flows
    };
    assert!(flows(&one) == flows(&verdicts("three.csv", "3")));
}

#[test]
fn consecutive_files_are_one_stream_unless_the_second_starts_earlier() {
    let folder = Folder::new();
    let first = folder.write("1.pcap", pcap(&vec![connect_frame(4000); 70]));
    let second = folder.write("2.pcap", pcap(&vec![connect_frame(4000); 3]));
    let flows = |files: &[&Path]| {
        let file = folder.path("verdicts.csv");
        let mut command = citronella!("detect", "--verdicts", &file, "-r");
        command.args(files);
        done(command);
        rows(&file).into_iter().map(|row| row[7].clone()).collect::<Vec<_>>()
    };
    // The second file starts at the time of the first, 69 seconds before the last packet of the first.
    assert_eq!(flows(&[&first, &second]), ["70", "3"]);
    assert_eq!(flows(&[&second, &first]), ["73"]);
}

#[test]
fn a_truncated_capture_has_verdicts_up_to_the_cut() {
    let folder = Folder::new();
    let whole = pcap(&[connect_frame(4000), connect_frame(4001), connect_frame(4002)]);
    let input = folder.write("cut.pcap", &whole[..whole.len() - 5]);
    let file = folder.path("verdicts.csv");
    let (code, stdout, stderr) =
        texts(&citronella!("detect", "--json", "--verdicts", &file, "-r", &input).output().unwrap());
    assert_eq!(code, Some(2));
    assert_contains(&one_message(&stderr), &["cut.pcap", "cut short in packet 3 at byte 202"]);
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(summary["packets"], 2);
    assert_contains(summary["problems"][0].as_str().unwrap(), &["cut short in packet 3"]);
    assert_eq!(rows(&file).len(), 2);
}

#[test]
fn files_that_are_not_captures_are_rejected_before_output_is_written() {
    let folder = Folder::new();
    let good = folder.write("good.pcap", pcap(&[connect_frame(4000)]));
    for (name, bytes, expected) in
        [("empty.pcap", "", "the file is empty"), ("notes.pcap", "Dear diary, today", "not a capture")]
    {
        let bad = folder.write(name, bytes);
        let file = folder.path("verdicts.csv");
        assert_contains(
            &refused(citronella!("detect", "--verdicts", &file, "-r", &good, &bad)),
            &[name, expected],
        );
    }
    assert_contains(&refused(citronella!("detect", "-r", folder.path(""))), &["is a folder"]);
    assert_contains(&refused(citronella!("detect", "-r", folder.path("missing.pcap"))), &["missing.pcap"]);
    assert_eq!(folder.names(), ["empty.pcap", "good.pcap", "notes.pcap"]);
    let both = refused(citronella!("detect", "--json", "--verdicts", "-", "-r", &good));
    assert_contains(&both, &["--verdicts -", "--json"]);
}

#[test]
fn a_capture_without_flows_has_no_verdicts() {
    let folder = Folder::new();
    let file = folder.path("verdicts.csv");
    for input in [pcap(&[]), pcap(&[arp_frame()])] {
        let input = folder.write("none.pcap", input);
        let (stdout, _) = done(citronella!("detect", "--verdicts", &file, "-r", &input));
        assert_contains(&stdout, &["packets", "flows"]);
        assert!(rows(&file).is_empty());
    }
}

#[test]
fn a_model_of_another_level_is_rejected() {
    let folder = Folder::new();
    let capture = folder.write("one.pcap", pcap(&[connect_frame(4000)]));
    let message = refused(citronella!("detect", "--model", trained(&folder), "-r", &capture));
    assert_contains(&message, &["model.safetensors", "level packet", "--preset sequence"]);
}

//! `inspect --eve`: records on stdout or in a file, also of a truncated capture; passwords only on request.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::fs;

use serde_json::Value;
use support::{Folder, assert_contains, done, lab, one_message, refused, texts};

const CAPTURE: &str = "run-2/normal.pcap.zst";

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn stdout_has_only_records() {
    let (stdout, _) = done(citronella!("inspect", "--eve", "-", lab(CAPTURE)));
    let records = records(&stdout);
    for kind in ["mqtt", "flow"] {
        assert!(records.iter().any(|record| record["event_type"] == kind), "{kind}");
    }
    assert!(records.iter().all(|record| {
        record["timestamp"].as_str().is_some_and(|time| time.ends_with("+0000"))
            && record["community_id"].as_str().is_some_and(|id| id.starts_with("1:"))
            && record["flow_id"].is_u64()
    }));
}

#[test]
fn a_file_has_the_records_and_stdout_the_tables() {
    let folder = Folder::new();
    let (stdout, _) = done(citronella!("inspect", "--eve", folder.path("eve.json"), lab(CAPTURE)));
    assert_contains(&stdout, &["bytes on the wire", "MQTT"]);
    let (records, _) = done(citronella!("inspect", "--eve", "-", lab(CAPTURE)));
    assert_eq!(fs::read_to_string(folder.path("eve.json")).unwrap(), records);
    assert_eq!(folder.names(), ["eve.json"]);
}

#[test]
fn eve_types_selects_the_record_types() {
    let (stdout, _) = done(citronella!("inspect", "--eve", "-", "--eve-types", "flow", lab(CAPTURE)));
    assert!(records(&stdout).iter().all(|record| record["event_type"] == "flow"));
}

#[test]
fn passwords_are_logged_as_lengths_unless_requested() {
    let (without, _) = done(citronella!("inspect", "--eve", "-", lab(CAPTURE)));
    assert!(without.contains("\"password_length\":") && !without.contains("\"password\":\""));
    let (with, _) = done(citronella!("inspect", "--eve", "-", "--log-passwords", lab(CAPTURE)));
    assert!(with.contains("\"password\":\"") && !with.contains("\"password_length\":"));
}

#[test]
fn records_of_a_truncated_capture_are_written() {
    let folder = Folder::new();
    let whole = zstd::decode_all(fs::File::open(lab(CAPTURE)).unwrap()).unwrap();
    let cut = folder.write("cut.pcap", &whole[..whole.len() - 1]);
    let output = citronella!("inspect", "--eve", folder.path("eve.json"), &cut).output().unwrap();
    let (code, stdout, stderr) = texts(&output);
    assert_eq!(code, Some(2));
    assert_contains(&one_message(&stderr), &["cut.pcap", "cut short in packet"]);
    assert_contains(&stdout, &["bytes on the wire"]);
    assert!(records(&fs::read_to_string(folder.path("eve.json")).unwrap()).len() > 100);
}

#[test]
fn eve_on_stdout_excludes_json() {
    let message = refused(citronella!("inspect", "--eve", "-", "--json", lab(CAPTURE)));
    assert_contains(&message, &["--eve -", "--json"]);
}

#[cfg(unix)]
#[test]
fn a_device_is_written_to_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    done(citronella!("inspect", "--eve", "/dev/null", lab(CAPTURE)));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

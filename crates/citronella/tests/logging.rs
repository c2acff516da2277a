//! Log messages on stderr: text and JSON lines, levels, a closed stderr.

#![allow(clippy::unwrap_used)] // tests

mod support;

use serde_json::Value;
use support::{Folder, connect_frame, done, pcap, texts};

/// A capture of two packets that lacks its last byte.
fn truncated_capture(folder: &Folder) -> std::path::PathBuf {
    let whole = pcap(&[connect_frame(4000), connect_frame(4001)]);
    folder.write("cut.pcap", &whole[..whole.len() - 1])
}

fn json_lines(stderr: &str) -> Vec<Value> {
    stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn text_marks_errors_and_warnings_and_leaves_info_plain() {
    let folder = Folder::new();
    let input = truncated_capture(&folder);
    let output = folder.path("rows.csv");
    let (_, stderr) =
        done(citronella!("extract", "--level", "packet", "--accept-cut", "-o", &output, &input));
    let [warning, info] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("{stderr}") };
    assert!(warning.starts_with("citronella: warning: ") && warning.contains("cut short"), "{warning}");
    assert_eq!(info, format!("{}: 1 rows", output.display()));
    let (code, _, stderr) = texts(&citronella!("extract", "--level", "packet", &input).output().unwrap());
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.starts_with("citronella: ") && !stderr.contains("warning"), "{stderr}");
}

#[test]
fn json_is_one_object_a_line_with_fields() {
    let folder = Folder::new();
    let input = truncated_capture(&folder);
    let output = folder.path("rows.csv");
    let mut command =
        citronella!("--log-format", "json", "extract", "--level", "packet", "--accept-cut", "-o");
    command.arg(&output).arg(&input);
    let lines = json_lines(&done(command).1);
    let levels: Vec<&str> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["WARN", "INFO"]);
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(line["target"].as_str().unwrap().starts_with("citronella::extract"), "{line}");
        assert!(line["message"].is_string(), "{line}");
    }
    assert_eq!((&lines[1]["rows"], lines[1]["file"].as_str()), (&1.into(), output.to_str()));

    let command = &mut citronella!("extract", "--level", "packet", "--log-format=json", &input);
    let (code, _, stderr) = texts(&command.output().unwrap());
    let [error] = &json_lines(&stderr)[..] else { panic!("{stderr}") };
    assert_eq!((code, error["level"].as_str()), (Some(2), Some("ERROR")));
    assert!(error["message"].as_str().unwrap().contains("cut short in packet 2"), "{error}");
}

#[test]
fn the_level_selects_messages() {
    let folder = Folder::new();
    let input = truncated_capture(&folder);
    for (level, expected) in [("error", 0), ("warn", 1), ("info", 2), ("debug", 3)] {
        let mut command =
            citronella!("extract", "--level", "packet", "--accept-cut", "--log-level", level, "-o");
        command.arg(folder.path("rows.csv")).arg(&input);
        let (_, stderr) = done(command);
        assert_eq!(stderr.lines().count(), expected, "{level}: {stderr}");
    }
}

/// Standard error is a pipe whose read end is closed.
#[test]
fn a_closed_stderr_is_not_an_error_in_either_format() {
    let folder = Folder::new();
    let input = truncated_capture(&folder);
    for format in ["text", "json"] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_citronella"))
            .args([
                "extract",
                "--level",
                "packet",
                "--accept-cut",
                "--log-level",
                "trace",
                "--log-format",
                format,
            ])
            .arg(&input)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{format}");
    }
}

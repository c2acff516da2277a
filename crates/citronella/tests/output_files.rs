//! Output files are complete or absent: unwritable folders, full disks, existing outputs.

#![allow(clippy::unwrap_used)] // tests
#![cfg(unix)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use support::{Folder, assert_contains, connect_frame, done, lab, one_message, pcap, refused, texts};

/// Asserts that neither rows nor a model can be written to `output`, with a message that contains `parts`.
#[track_caller]
fn assert_cannot_write(output: &Path, parts: &[&str]) {
    let folder = Folder::new();
    let input = folder.write("a.pcap", pcap(&[connect_frame(4000)]));
    for command in [
        citronella!("extract", "--level", "packet", "-o", output, &input),
        citronella!("train", "--preset", "paper-binary", "-o", output, lab("run-2")),
    ] {
        let message = refused(command);
        assert_contains(&message, &[&[output.to_str().unwrap(), "cannot write"], parts].concat());
        assert!(!message.contains("epoch"), "the check comes before the training: {message}");
    }
}

#[test]
fn a_path_below_a_file_is_rejected() {
    let folder = Folder::new();
    let file = folder.write("file", b"");
    assert_cannot_write(&file.join("rows.csv"), &["ot a directory"]);
    assert_eq!(folder.names(), ["file"]);
}

#[test]
fn a_missing_folder_is_rejected() {
    let folder = Folder::new();
    assert_cannot_write(&folder.path("gone/rows.csv"), &["create the folder first"]);
    assert!(folder.names().is_empty());
}

#[test]
fn a_read_only_folder_is_rejected() {
    let folder = Folder::new();
    let closed = folder.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), b"").is_ok() {
        println!("skipped: this user may write everywhere (root)");
        return;
    }
    assert_cannot_write(&closed.join("rows.csv"), &["ermission denied", "choose a folder"]);
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
}

#[test]
fn proc_is_rejected() {
    if !Path::new("/proc/self").is_dir() {
        println!("skipped: there is no /proc");
        return;
    }
    assert_cannot_write(Path::new("/proc/rows.csv"), &[]);
}

/// A pipe stands for a device such as `/dev/null`, which a rename would replace.
#[test]
fn a_device_is_not_replaced() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    if !std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        println!("skipped: mkfifo is not installed");
        return;
    }
    assert_cannot_write(&pipe, &["is a device, a pipe or a socket"]);
    assert!(!fs::metadata(&pipe).unwrap().is_file());
    assert_eq!(folder.names(), ["pipe"]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_message_names_a_full_device() {
    let capture = lab("run-2").join("scan_sU.pcap.zst");
    for command in [
        citronella!("detect", "--json", "--verdicts", "/dev/full", "-r", &capture),
        citronella!("inspect", "--eve", "/dev/full", &capture),
    ] {
        assert_contains(&refused(command), &["/dev/full: cannot write", "No space left on device"]);
    }
}

/// A file size limit makes a write fail like a full disk does, at a chosen offset.
#[test]
fn a_disk_that_fills_up_leaves_no_file() {
    let capture = lab("run-2").join("scan_sU.pcap.zst");
    let program = env!("CARGO_BIN_EXE_citronella");
    for (blocks, output, arguments) in [
        // In the middle of the rows, and on the final flush.
        ("100", "rows.csv", ["extract", "--level", "packet", capture.to_str().unwrap()]),
        ("1390", "rows.csv", ["extract", "--level", "packet", capture.to_str().unwrap()]),
        ("10", "rows.parquet", ["extract", "--level", "packet", capture.to_str().unwrap()]),
        (
            "10",
            "m.safetensors",
            ["train", "--preset=paper-binary", "--epochs=1", lab("run-2").to_str().unwrap()],
        ),
    ] {
        let folder = Folder::new();
        let script = r#"trap '' XFSZ; ulimit -f "$1"; shift; exec "$@""#;
        let output = assert_cmd::Command::new("sh")
            .args(["-c", script, "sh", blocks, program])
            .args(arguments)
            .arg("-o")
            .arg(folder.path(output))
            .output()
            .unwrap();
        let (code, stdout, stderr) = texts(&output);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert_contains(&one_message(&stderr), &["cannot write", "File too large"]);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn a_failure_leaves_the_previous_file_and_a_success_replaces_it() {
    let folder = Folder::new();
    let whole = pcap(&[connect_frame(4000), connect_frame(4001)]);
    let input = folder.write("a.pcap", &whole[..whole.len() - 1]);
    let output = folder.write("rows.csv", b"previous\n");
    refused(citronella!("extract", "--level", "packet", "-o", &output, &input));
    assert_eq!(fs::read_to_string(&output).unwrap(), "previous\n");
    fs::write(&input, &whole).unwrap();
    done(citronella!("extract", "--level", "packet", "-o", &output, &input));
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 1 + 2);
    assert_eq!(folder.names(), ["a.pcap", "rows.csv"]);
}

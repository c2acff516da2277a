//! Files appear whole or not at all: folders that cannot be written, disks that are full, outputs that are there.

#![allow(clippy::unwrap_used)] // tests
#![cfg(unix)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use support::{Folder, assert_says, connect_frame, done, lab, one_message, pcap, refused, texts};

/// Neither rows nor a model can be written to `output`, and the message says `parts`.
#[track_caller]
fn cannot_write(output: &Path, parts: &[&str]) {
    let folder = Folder::new();
    let input = folder.write("a.pcap", pcap(&[connect_frame(4000)]));
    for command in [
        citronella!("extract", "--level", "packet", "-o", output, &input),
        citronella!("train", "--preset", "paper-binary", "-o", output, lab("run-2")),
    ] {
        let message = refused(command);
        assert_says(&message, &[&[output.to_str().unwrap(), "cannot write"], parts].concat());
        assert!(!message.contains("epoch"), "told before the work, not after it: {message}");
    }
}

#[test]
fn below_a_file() {
    let folder = Folder::new();
    let file = folder.write("file", b"");
    cannot_write(&file.join("rows.csv"), &["ot a directory"]);
    assert_eq!(folder.names(), ["file"]);
}

#[test]
fn into_a_folder_that_does_not_exist() {
    let folder = Folder::new();
    cannot_write(&folder.path("gone/rows.csv"), &["create the folder first"]);
    assert!(folder.names().is_empty());
}

#[test]
fn into_a_folder_without_the_right_to_write() {
    let folder = Folder::new();
    let closed = folder.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), b"").is_ok() {
        println!("skipped: this user may write everywhere (root)");
        return;
    }
    cannot_write(&closed.join("rows.csv"), &["ermission denied", "choose a folder"]);
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
}

#[test]
fn into_the_kernels_folder_nobody_can_write() {
    if !Path::new("/proc/self").is_dir() {
        println!("skipped: there is no /proc");
        return;
    }
    cannot_write(Path::new("/proc/rows.csv"), &[]);
}

/// A file in its place would take `/dev/null` from everybody; a pipe stands for it here.
#[test]
fn a_device_is_not_replaced() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    if !std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        println!("skipped: mkfifo is not there");
        return;
    }
    cannot_write(&pipe, &["is a device, a pipe or a socket"]);
    assert!(!fs::metadata(&pipe).unwrap().is_file());
    assert_eq!(folder.names(), ["pipe"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_that_is_full_is_named() {
    let capture = lab("run-2").join("scan_sU.pcap.zst");
    for command in [
        citronella!("detect", "--json", "--verdicts", "/dev/full", "-r", &capture),
        citronella!("inspect", "--eve", "/dev/full", &capture),
    ] {
        assert_says(&refused(command), &["/dev/full: cannot write", "No space left on device"]);
    }
}

/// A limit on the size of files fails a write as a full disk does, at a place of our choice.
#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    let capture = lab("run-2").join("scan_sU.pcap.zst");
    let program = env!("CARGO_BIN_EXE_citronella");
    for (blocks, output, arguments) in [
        // In the middle, and at the end when the last block is flushed.
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
        assert_says(&one_message(&stderr), &["cannot write", "File too large"]);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn a_failure_leaves_the_file_of_before_and_a_success_replaces_it() {
    let folder = Folder::new();
    let whole = pcap(&[connect_frame(4000), connect_frame(4001)]);
    let input = folder.write("a.pcap", &whole[..whole.len() - 1]);
    let output = folder.write("rows.csv", b"from before\n");
    refused(citronella!("extract", "--level", "packet", "-o", &output, &input));
    assert_eq!(fs::read_to_string(&output).unwrap(), "from before\n");
    fs::write(&input, &whole).unwrap();
    done(citronella!("extract", "--level", "packet", "-o", &output, &input));
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 1 + 2);
    assert_eq!(folder.names(), ["a.pcap", "rows.csv"]);
}

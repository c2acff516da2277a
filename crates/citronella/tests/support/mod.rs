//! Runs of the program, captures made by hand, temporary folders.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicU32, Ordering},
};

use assert_cmd::Command;

/// A temporary folder, removed on drop.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Sorted names of its entries, including hidden ones.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program with arguments: strings or paths.
#[macro_export]
macro_rules! citronella {
    ($($argument:expr),* $(,)?) => {{
        let mut command = $crate::support::program();
        $(command.arg($argument);)*
        command
    }};
}

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_citronella"))
}

/// Runs a command that must succeed; returns stdout and stderr.
#[track_caller]
pub fn done(mut command: Command) -> (String, String) {
    let (code, stdout, stderr) = texts(&command.output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    (stdout, stderr)
}

/// Runs a command that must fail with exit code 2, an empty stdout and one message on stderr; returns the message.
#[track_caller]
pub fn refused(mut command: Command) -> String {
    let (code, stdout, stderr) = texts(&command.output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    one_message(&stderr)
}

/// Returns the only error or warning on stderr. Other lines may only report progress: epochs and the time of long stages
/// (`read: 1.2 s`).
#[track_caller]
pub fn one_message(stderr: &str) -> String {
    let (messages, stages): (Vec<&str>, Vec<&str>) =
        stderr.lines().partition(|line| line.starts_with("citronella: "));
    assert_eq!(messages.len(), 1, "one message in one line: {stderr}");
    assert!(stages.iter().all(|line| line.starts_with("epoch ") || line.ends_with(" s")), "{stderr}");
    messages[0].to_owned()
}

pub fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
pub fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// Path of a recording in data/lab.
pub fn lab(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab").join(name)
}

/// Trains a model for one epoch; returns its path.
pub fn trained(folder: &Folder) -> PathBuf {
    let model = folder.path("model.safetensors");
    done(citronella!("train", "--preset", "paper-binary", "--epochs", "1", "-o", &model, lab("run-2")));
    model
}

/// An Ethernet frame with IPv4, TCP to port 1883 and an MQTT CONNECT.
pub fn connect_frame(port: u16) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\x00".to_vec();
    frame.extend(b"\x45\0\0\x3b\0\x01\x40\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02");
    frame.extend(port.to_be_bytes());
    frame.extend(b"\x07\x5b\0\0\0\x01\0\0\0\x01\x50\x18\x04\0\0\0\0\0");
    frame.extend(b"\x10\x11\0\x04MQTT\x04\x02\0\x3c\0\x05abcde");
    frame
}

/// An Ethernet frame with an ARP request.
pub fn arp_frame() -> Vec<u8> {
    [b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x02\x08\x06\0\x01\x08\0\x06\x04\0\x01".as_slice(), &[0; 20]]
        .concat()
}

/// A pcap file with one packet a second.
pub fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: [u32; 4]| words.into_iter().flat_map(u32::to_le_bytes);
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0".to_vec();
    file.extend(words([0, 0, 65_535, 1]));
    for (second, frame) in (0..).zip(frames) {
        let length = frame.len() as u32;
        file.extend(words([1_581_698_736 + second, 818_127, length, length]));
        file.extend(frame);
    }
    file
}

/// A pcapng file: section header, interface description, a block of an unknown type, the frames.
pub fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    file.extend(block(1, b"\x01\0\0\0\0\0\0\0"));
    file.extend(block(0x7777, b"unknown to all"));
    for frame in frames {
        let length = frame.len() as u32;
        let head: Vec<u8> =
            [0, 0, 1_000_000, length, length].into_iter().flat_map(u32::to_le_bytes).collect();
        file.extend(block(6, &[head.as_slice(), frame].concat()));
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [kind.to_le_bytes().as_slice(), &length, &body, &length].concat()
}

/// Rows of the packet level as CSV.
pub fn rows(data: impl AsRef<OsStr>) -> String {
    done(citronella!("extract", "--level", "packet", data)).0
}

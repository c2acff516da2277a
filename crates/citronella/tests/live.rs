//! `detect -i` between network namespaces. Without root or a tool that it needs, a test prints what it skips.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/network.rs"]
mod network;
mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Command,
    thread,
    time::Duration,
};

use network::{Network, Running, network};
use serde_json::Value;
use support::{Folder, assert_contains, lab, one_message, texts};

const PROGRAM: &str = env!("CARGO_BIN_EXE_citronella");

/// Starts `detect -i v1` inside and waits until it captures; returns the log lines until then.
fn detect(network: &Network, arguments: &[&str]) -> (Running, Vec<String>) {
    let arguments = [&["detect", "-i", "v1"], arguments].concat();
    let mut running = network.inside.start(PROGRAM, &arguments);
    let mut stderr = BufReader::new(running.child().stderr.take().unwrap());
    let mut log = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it exited: {log:?}");
        log.push(line.trim_end().to_owned());
        if line.contains("capturing from") {
            break;
        }
    }
    running.child().stderr = Some(stderr.into_inner());
    (running, log)
}

fn unpacked(folder: &Folder, name: &str) -> String {
    let packed = fs::File::open(lab(name)).unwrap();
    folder.write("capture.pcap", zstd::decode_all(packed).unwrap()).to_str().unwrap().to_owned()
}

/// Sends a capture from outside at this many packets a second; returns the number of packets sent.
fn replay(network: &Network, file: &str, packets_per_second: &str, loops: &str) -> u64 {
    let rate = format!("--pps={packets_per_second}");
    let arguments = ["-q", "-K", "-i", "v0", &rate, &format!("--loop={loops}"), file];
    let output = network.outside.run("tcpreplay", &arguments);
    let sent = output.lines().find_map(|line| line.trim().strip_prefix("Successful packets:")).unwrap();
    sent.trim().parse().unwrap()
}

#[test]
fn no_packet_is_lost_at_100_000_packets_a_second() {
    let Some(network) = network(&["tcpreplay"]) else { return };
    let folder = Folder::new();
    let capture = unpacked(&folder, "run-1/flood.pcap.zst");
    for threads in ["1", "2"] {
        // A ring that holds all packets: the test is about lost packets, not about the speed of a busy machine.
        let (running, _) = detect(&network, &["--json", "--threads", threads, "--ring-mib", "256"]);
        let sent = replay(&network, &capture, "100000", "3");
        let (code, stdout, stderr) = texts(&running.stop());
        assert_eq!(code, Some(0), "{stderr}");
        let summary: Value = serde_json::from_str(&stdout).unwrap();
        assert!(sent > 100_000, "{sent}");
        assert_eq!(summary["packets"], sent, "{threads} threads: {summary:#}");
        assert_eq!(summary["packets"], sent);
        assert_eq!(summary["kernel_drops"], 0);
    }
}

#[test]
fn sigterm_ends_all_flows_and_writes_all_verdicts() {
    let Some(network) = network(&["tcpreplay"]) else { return };
    let folder = Folder::new();
    let capture = unpacked(&folder, "run-1/scan_A.pcap.zst");
    let verdicts = folder.path("verdicts.csv");
    let (running, _) = detect(&network, &["--json", "--verdicts", verdicts.to_str().unwrap()]);
    replay(&network, &capture, "20000", "1");
    let (code, stdout, stderr) = texts(&running.stop());
    assert_eq!(code, Some(0), "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    let rows = fs::read_to_string(&verdicts).unwrap().lines().count() as u64 - 1;
    assert!(rows > 1000, "{rows}");
    assert_eq!(summary["flows"], rows);
}

#[test]
fn capture_resumes_when_a_removed_interface_comes_back() {
    let Some(network) = network(&["tcpreplay"]) else { return };
    let folder = Folder::new();
    let capture = unpacked(&folder, "run-1/scan_sU.pcap.zst");
    let mut arguments = vec!["--json", "--threads", "2"];
    if is_user("nobody") {
        arguments.extend(["--user", "nobody"]);
    }
    let (running, _) = detect(&network, &arguments);
    let before = replay(&network, &capture, "50000", "1");
    network.unplug();
    thread::sleep(Duration::from_millis(800));
    network.plug();
    thread::sleep(Duration::from_millis(800));
    let after = replay(&network, &capture, "50000", "1");
    let (code, stdout, stderr) = texts(&running.stop());
    assert_eq!(code, Some(0), "{stderr}");
    assert_contains(&stderr, &["v1 was removed; waiting for it to come back", "v1 is back; capturing"]);
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(summary["packets"], before + after, "{stderr}");
}

fn is_user(name: &str) -> bool {
    fs::read_to_string("/etc/passwd")
        .unwrap_or_default()
        .lines()
        .any(|line| line.starts_with(&format!("{name}:")))
}

#[test]
fn privileges_are_dropped_in_every_thread() {
    let Some(network) = network(&[]) else { return };
    if !is_user("nobody") {
        eprintln!("skipped: there is no user nobody");
        return;
    }
    let (running, log) = detect(&network, &["--user", "nobody", "--threads", "2"]);
    // The message about capturing precedes the start of the second shard.
    thread::sleep(Duration::from_millis(500));
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{}/task", running.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), ["0000000000000000"], "{set}");
        }
        assert!(field("Uid").iter().all(|uid| uid != "0"), "{status}");
        assert!(field("Groups").iter().all(|group| group != "0"), "{status}");
        assert_eq!(field("NoNewPrivs"), ["1"]);
        if log.iter().any(|line| line.starts_with("sandbox: full")) {
            assert_eq!(field("Seccomp"), ["2"]);
        }
        threads += 1;
    }
    assert_eq!(threads, 2, "one shard on the main thread, one on another");
    assert!(log.iter().any(|line| line.contains("sandbox: ")), "{log:?}");
    assert_eq!(running.stop().status.code(), Some(0));
}

#[test]
fn json_log_lines_are_written_inside_the_sandbox() {
    let Some(network) = network(&[]) else { return };
    let (running, log) = detect(&network, &["--log-format", "json"]);
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["level"], &last["message"]), (&"INFO".into(), &"capturing from v1".into()));
    assert!(last["timestamp"].is_string(), "{last}");
    let output = running.stop();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn require_sandbox_rejects_a_partial_sandbox() {
    let Some(network) = network(&[]) else { return };
    let mut command = network.inside.command(PROGRAM, &["detect", "-i", "v1", "--require-sandbox"]);
    let (code, _, stderr) = texts(&command.output().unwrap());
    assert_eq!(code, Some(2));
    assert_contains(&one_message(&stderr), &["this is root", "--user NAME"]);
}

#[test]
fn without_cap_net_raw_the_message_explains_how_to_grant_it() {
    let mut command =
        if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--clear-groups", "--bounding-set", "-all", PROGRAM]);
            command
        } else {
            Command::new(PROGRAM)
        };
    let Ok(output) = command.args(["detect", "-i", "lo"]).output() else {
        eprintln!("skipped: setpriv is not installed");
        return;
    };
    let (code, stdout, stderr) = texts(&output);
    if code != Some(2) && stderr.contains("Permission denied") {
        eprintln!("skipped: nobody else may run the program: {stderr}");
        return;
    }
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert_contains(
        &one_message(&stderr),
        &["lo", "CAP_NET_RAW", "setcap cap_net_raw+ep", "AmbientCapabilities"],
    );
}

#[test]
fn conflicting_and_invalid_arguments_are_rejected() {
    for (arguments, parts) in [
        (&["-i", "lo", "-r", "x.pcap"][..], &["cannot be used with"][..]),
        (&["--net", "10.0.0.0/33", "-i", "lo"], &["10.0.0.0/33", "10.0.0.0/8"]),
        (&["--user", "nobody", "-r", "x.pcap"], &["cannot be used with", "--read"]),
        (&["-i", "lo", "--ring-mib", "0"], &["1..=4096"]),
    ] {
        let output = Command::new(PROGRAM).arg("detect").args(arguments).output().unwrap();
        let (code, stdout, stderr) = texts(&output);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert_contains(&stderr, parts);
    }
}

#[test]
fn interfaces_are_listed() {
    let (table, _) = support::done(citronella!("detect", "--list-interfaces"));
    assert_contains(&table, &["interface", "lo", "127.0.0.1"]);
    let (json, _) = support::done(citronella!("detect", "--list-interfaces", "--json"));
    let list: Value = serde_json::from_str(&json).unwrap();
    assert!(list.as_array().unwrap().iter().any(|one| one["name"] == "lo" && one["loopback"] == true));
}

//! Packet filters: `--port`, `--net` and `--filter`.

#![allow(clippy::unwrap_used)] // tests

mod support;

#[cfg(feature = "pcap")]
use support::texts;
use support::{Folder, assert_contains, done, lab, refused};

fn packets(arguments: &[&str]) -> (u64, u64) {
    let capture = lab("run-2").join("normal.pcap.zst");
    let mut command = citronella!("detect", "--json", "-r", &capture);
    command.args(arguments);
    let (stdout, _) = done(command);
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let number = |name: &str| summary[name].as_u64().unwrap();
    (number("packets"), number("packets_filtered"))
}

#[test]
fn excluded_packets_are_counted() {
    let (all, none) = packets(&[]);
    let (selected, excluded) = packets(&["--port", "1883"]);
    assert_eq!(none, 0);
    assert!(selected > 0 && excluded > 0);
    assert_eq!(selected + excluded, all);
}

#[test]
fn inspect_selects_the_same_packets() {
    let capture = lab("run-2").join("normal.pcap.zst");
    let (stdout, stderr) = done(citronella!("inspect", "--json", "--port", "1883", &capture));
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let (selected, excluded) = packets(&["--port", "1883"]);
    assert_eq!(summary["packets"].as_u64(), Some(selected));
    let digits: String = stderr.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, excluded.to_string(), "{stderr}");
}

#[cfg(not(feature = "pcap"))]
#[test]
fn without_libpcap_an_expression_is_rejected_with_build_instructions() {
    let capture = lab("run-2").join("normal.pcap.zst");
    for command in [
        citronella!("detect", "--filter", "tcp port 1883", "-r", &capture),
        citronella!("detect", "--filter", "tcp port 1883", "-i", "lo"),
        citronella!("inspect", "--filter", "tcp port 1883", &capture),
    ] {
        let message = refused(command);
        assert_contains(&message, &["--filter", "tcp port 1883", "--features pcap", "libpcap-dev", "--port"]);
    }
    let folder = Folder::new();
    let file = folder.write("c.toml", "[capture]\nfilter = \"tcp\"\n");
    let capture = lab("run-2").join("normal.pcap.zst");
    for command in
        [citronella!("config", "check", &file), citronella!("detect", "--config", &file, "-r", &capture)]
    {
        assert_contains(&refused(command), &["c.toml", "capture.filter", "--features pcap"]);
    }
}

#[cfg(feature = "pcap")]
#[test]
fn an_expression_selects_the_same_packets_as_port() {
    let by_port = packets(&["--port", "1883"]);
    assert_eq!(packets(&["--filter", "tcp port 1883"]), by_port);
    // Both conditions apply.
    assert_eq!(packets(&["--filter", "tcp", "--port", "1883"]), by_port);
    assert_eq!(packets(&["--filter", "udp", "--port", "1883"]).0, 0);
    let folder = Folder::new();
    let file = folder.write("c.toml", "[capture]\nfilter = \"tcp port 1883\"\n");
    let file = file.to_str().unwrap();
    done(citronella!("config", "check", file));
    assert_eq!(packets(&["--config", file]), by_port);
    // The command line overrides the file.
    assert_eq!(packets(&["--config", file, "--filter", ""]).1, 0);
}

/// Needs tcpdump.
#[cfg(feature = "pcap")]
#[test]
fn an_expression_selects_the_same_packets_as_tcpdump() {
    let folder = Folder::new();
    let frames = {
        let mut bytes = Vec::new();
        let capture = std::fs::File::open(lab("run-2").join("normal.pcap.zst")).unwrap();
        zstd::stream::copy_decode(capture, &mut bytes).unwrap();
        folder.write("normal.pcap", bytes)
    };
    for expression in
        ["tcp port 1883", "not tcp", "tcp[tcpflags] & tcp-syn != 0", "greater 200", "arp or ip6"]
    {
        let tcpdump = std::process::Command::new("tcpdump").arg("-nr").arg(&frames).arg(expression).output();
        let Ok(tcpdump) = tcpdump else {
            eprintln!("skipped: tcpdump is not installed");
            return;
        };
        let lines =
            String::from_utf8(tcpdump.stdout).unwrap().lines().filter(|line| !line.starts_with('\t')).count();
        assert!(lines > 0, "{expression}");
        assert_eq!(packets(&["--filter", expression]).0, lines as u64, "{expression}");
    }
}

#[cfg(feature = "pcap")]
#[test]
fn an_invalid_expression_is_rejected_with_the_message_of_libpcap() {
    let capture = lab("run-2").join("normal.pcap.zst");
    for command in [
        citronella!("detect", "--filter", "tcp prot 1883", "-r", &capture),
        citronella!("detect", "--filter", "tcp prot 1883", "-i", "lo"),
        citronella!("inspect", "--filter", "tcp prot 1883", &capture),
    ] {
        assert_contains(&refused(command), &["--filter", "tcp prot 1883", "syntax error"]);
    }
    // An expression that the link type does not support is an error of the file, not of the command line.
    let output = citronella!("inspect", "--filter", "inbound", &capture).output().unwrap();
    let (code, _, stderr) = texts(&output);
    assert_eq!(code, Some(2));
    assert_contains(&stderr, &["normal.pcap.zst", "inbound", "ethernet"]);
    let folder = Folder::new();
    let file = folder.write("c.toml", "[capture]\nfilter = \"(tcp\"\n");
    assert_contains(
        &refused(citronella!("config", "check", &file)),
        &["c.toml", "capture.filter", "syntax error"],
    );
}

//! `detect -i` as a long-running service: unprivileged user, full sandbox, rotation of records, state across restarts.
//! Without root, a tool or a kernel that it needs, a test prints what it skips.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/network.rs"]
mod network;
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use network::{Network, Running, network};
use serde_json::Value;
use support::{assert_contains, lab};

const ATTACKER: &str = "10.40.3.59";
/// All record types that depend on traffic, so that a file of 1 MiB is full soon.
const CONFIGURATION: &str = "[eve]
types = ['alert', 'stats', 'flow', 'mqtt', 'anomaly']
rotate_mib = 1
keep = 9
";

/// A sensor that runs as nobody, and its log.
struct Sensor {
    running: Running,
    log: BufReader<std::process::ChildStderr>,
}

impl Sensor {
    /// Starts the sensor; returns its log until it captures or exits.
    fn start(network: &Network, folder: &Path) -> (Sensor, String) {
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (config, eve, state) = (path("etc/c.toml"), path("log/eve.json"), path("state"));
        let arguments = [
            "detect",
            "-i",
            "v1",
            "--user",
            "nobody",
            "--require-sandbox",
            "--config",
            &config,
            "--eve",
            &eve,
            "--state",
            &state,
            "--json",
        ];
        let mut running = network.inside.start(env!("CARGO_BIN_EXE_citronella"), &arguments);
        let log = BufReader::new(running.child().stderr.take().unwrap());
        let mut sensor = Sensor { running, log };
        let log = sensor.read_log_until("capturing from");
        (sensor, log)
    }

    /// Reads the log up to a line that contains `part`, or to its end.
    fn read_log_until(&mut self, part: &str) -> String {
        let mut text = String::new();
        loop {
            let begin = text.len();
            if self.log.read_line(&mut text).unwrap() == 0 || text[begin..].contains(part) {
                return text;
            }
        }
    }

    fn send_sighup(&self) {
        let id = self.running.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// Stops the sensor with SIGTERM; returns the summary and the rest of the log.
    fn stop(mut self) -> (Value, String) {
        let output = self.running.stop();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        assert_eq!(output.status.code(), Some(0), "{rest}");
        (serde_json::from_slice(&output.stdout).unwrap(), rest)
    }
}

/// A folder that the user nobody may enter: `etc` is readable, `log` and `state` are writable.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["etc", "log", "state"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("etc/c.toml"), CONFIGURATION).unwrap();
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(nobody()), None).unwrap();
    for name in ["", "log", "state"] {
        own(&folder.path().join(name));
    }
    folder
}

fn nobody() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).unwrap();
    line.split(':').nth(2).unwrap().parse().unwrap()
}

/// Sends an attack from outside at about twenty times its speed; returns the number of packets sent.
fn attack(network: &Network, folder: &Path) -> u64 {
    let capture = folder.join("attack.pcap");
    let packed = fs::File::open(lab("run-2/mqtt_bruteforce.pcap.zst")).unwrap();
    fs::write(&capture, zstd::decode_all(packed).unwrap()).unwrap();
    let output =
        network.outside.run("tcpreplay", &["-q", "-K", "-i", "v0", "--pps=4000", capture.to_str().unwrap()]);
    let sent = output.lines().find_map(|line| line.trim().strip_prefix("Successful packets:")).unwrap();
    sent.trim().parse().unwrap()
}

/// All records, oldest file first.
fn records(log: &Path) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
    let mut records = Vec::new();
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().uid(), nobody(), "{}", file.display());
        assert!(fs::metadata(&file).unwrap().len() <= 1 << 20, "{}", file.display());
        let text = fs::read_to_string(&file).unwrap();
        records.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a whole record")));
    }
    records
}

/// Stages of the attacker's alerts, in order.
fn stages(records: &[Value]) -> Vec<&str> {
    let alerts = records.iter().filter(|record| record["event_type"] == "alert");
    let of_attacker = alerts.filter(|alert| alert["alert"]["source"]["ip"] == ATTACKER);
    of_attacker.map(|alert| alert["alert"]["context"]["stage"].as_str().unwrap()).collect()
}

#[test]
fn the_full_sandbox_allows_rotation_reload_and_state() {
    let Some(network) = network(&["tcpreplay"]) else { return };
    let folder = folder();
    let (folder, eve_folder) = (folder.path(), folder.path().join("log"));
    let (mut sensor, log) = Sensor::start(&network, folder);
    if log.contains("--require-sandbox needs every restriction") {
        eprintln!("skipped: {log}");
        return;
    }
    assert_contains(&log, &["sandbox: full"]);
    let sent = attack(&network, folder);
    thread::sleep(Duration::from_secs(1));
    assert!(eve_folder.join("eve.json.1").exists(), "full files are rotated");

    // Rename as logrotate does, then reload a valid and an invalid configuration.
    fs::rename(eve_folder.join("eve.json"), eve_folder.join("moved.json")).unwrap();
    sensor.send_sighup();
    assert_contains(&sensor.read_log_until("read again"), &["configuration and model were read again"]);
    let config = folder.join("etc/c.toml");
    fs::write(&config, CONFIGURATION.replace("keep", "kep")).unwrap();
    sensor.send_sighup();
    assert_contains(
        &sensor.read_log_until("stays"),
        &["c.toml:4", "the previous configuration stays in force"],
    );
    fs::write(&config, CONFIGURATION).unwrap();

    let (summary, log) = sensor.stop();
    assert_eq!(log, "");
    assert_eq!(summary["packets"], sent);
    // A reload does not change the classification of flows.
    let by_class = summary["flows_by_class"].as_object().unwrap();
    let attacks = by_class.iter().filter(|(class, _)| *class != "normal");
    let flagged: u64 = attacks.map(|(_, flows)| flows.as_u64().unwrap()).sum();
    assert_eq!(summary["flows_flagged"], flagged);
    assert!(by_class["mqtt_bruteforce"].as_u64() > Some(850), "{by_class:?}");
    let records = self::records(&eve_folder);
    assert_eq!(stages(&records), ["begin"]);
    let flows = records.iter().filter(|record| record["event_type"] == "flow").count();
    assert_eq!(summary["flows"], flows, "no record is lost on rotation");
    assert_eq!(summary["records_written"], records.len());
    assert_eq!(fs::metadata(folder.join("state/citronella.state")).unwrap().uid(), nobody());

    // The incident of the attack continues after a restart. (At this speed sensors look like floods as well.)
    let (sensor, log) = Sensor::start(&network, folder);
    assert_contains(&log, &["citronella.state", "open incidents"]);
    assert!(!log.contains(" 0 open incidents"), "{log}");
    attack(&network, folder);
    sensor.stop();
    assert!(!stages(&self::records(&eve_folder)).iter().skip(1).any(|stage| *stage == "begin"));
}

#[test]
fn paths_that_the_sandbox_would_break_later_are_rejected_at_start() {
    let Some(network) = network(&[]) else { return };
    let folder = folder();
    let folder = folder.path();
    let refused = |part: &[&str]| {
        let (sensor, log) = Sensor::start(&network, folder);
        drop(sensor);
        if log.contains("--require-sandbox needs every restriction") {
            eprintln!("skipped: {log}");
            return;
        }
        assert_contains(&log, part);
        assert!(!log.contains("capturing from"), "{log}");
    };
    // A configuration behind a symbolic link, then one that only root may read.
    let config = folder.join("etc/c.toml");
    fs::rename(&config, folder.join("c.toml")).unwrap();
    std::os::unix::fs::symlink("../c.toml", &config).unwrap();
    refused(&["c.toml: SIGHUP could not read it again", "of a link"]);
    fs::remove_file(&config).unwrap();
    fs::rename(folder.join("c.toml"), &config).unwrap();
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(&["c.toml: SIGHUP could not read it again", "permission to read it"]);
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for (name, part) in [("log", "eve.json: cannot write"), ("state", "state: cannot store state here")] {
        std::os::unix::fs::chown(folder.join(name), Some(0), None).unwrap();
        refused(&[part, "ermission denied"]);
        std::os::unix::fs::chown(folder.join(name), Some(nobody()), None).unwrap();
    }
}

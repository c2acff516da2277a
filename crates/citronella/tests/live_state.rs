//! `detect -i` as it runs for months: another user, the whole sandbox, records that are rotated, state that survives.
//! Without root, a tool, or a kernel that has all of it, a test says what it skips.
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
use support::{assert_says, lab};

const ATTACKER: &str = "10.40.3.59";
/// Records of every kind that traffic brings, so that a file of 1 MiB is full soon.
const CONFIGURATION: &str = "[eve]
types = ['alert', 'stats', 'flow', 'mqtt', 'anomaly']
rotate_mib = 1
keep = 9
";

/// A sensor that runs as nobody, and what it says.
struct Sensor {
    running: Running,
    said: BufReader<std::process::ChildStderr>,
}

impl Sensor {
    /// Begins; what it says until it captures, or until it ends.
    fn begin(network: &Network, folder: &Path) -> (Sensor, String) {
        let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (config, eve, state) = (place("etc/c.toml"), place("log/eve.json"), place("state"));
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
        let mut running = network.inside.begin(env!("CARGO_BIN_EXE_citronella"), &arguments);
        let said = BufReader::new(running.child().stderr.take().unwrap());
        let mut sensor = Sensor { running, said };
        let heard = sensor.until("capturing from");
        (sensor, heard)
    }

    /// What it says until a line has this part, or until it ends.
    fn until(&mut self, part: &str) -> String {
        let mut heard = String::new();
        loop {
            let begin = heard.len();
            if self.said.read_line(&mut heard).unwrap() == 0 || heard[begin..].contains(part) {
                return heard;
            }
        }
    }

    fn hang_up(&self) {
        let id = self.running.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// Ends it by SIGTERM: the summary, and what it said since.
    fn end(mut self) -> (Value, String) {
        let output = self.running.end();
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        assert_eq!(output.status.code(), Some(0), "{rest}");
        (serde_json::from_slice(&output.stdout).unwrap(), rest)
    }
}

/// A folder outside the checkout that nobody may enter: `etc` to be read, `log` and `state` to be written.
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

/// Sends an attack from outside at some twenty times its pace; the packets sent.
fn attack(network: &Network, folder: &Path) -> u64 {
    let capture = folder.join("attack.pcap");
    let packed = fs::File::open(lab("run-2/mqtt_bruteforce.pcap.zst")).unwrap();
    fs::write(&capture, zstd::decode_all(packed).unwrap()).unwrap();
    let said =
        network.outside.run("tcpreplay", &["-q", "-K", "-i", "v0", "--pps=4000", capture.to_str().unwrap()]);
    let sent = said.lines().find_map(|line| line.trim().strip_prefix("Successful packets:")).unwrap();
    sent.trim().parse().unwrap()
}

/// All records, the eldest file first.
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

/// Stages of the attacker's alerts.
fn stages(records: &[Value]) -> Vec<&str> {
    let alerts = records.iter().filter(|record| record["event_type"] == "alert");
    let of_attacker = alerts.filter(|alert| alert["alert"]["source"]["ip"] == ATTACKER);
    of_attacker.map(|alert| alert["alert"]["context"]["stage"].as_str().unwrap()).collect()
}

#[test]
fn in_the_whole_sandbox_files_are_rotated_and_state_survives() {
    let Some(network) = network(&["tcpreplay"]) else { return };
    let folder = folder();
    let (folder, log) = (folder.path(), folder.path().join("log"));
    let (mut sensor, said) = Sensor::begin(&network, folder);
    if said.contains("--require-sandbox asks for all of it") {
        eprintln!("skipped: {said}");
        return;
    }
    assert_says(&said, &["sandbox: full"]);
    let sent = attack(&network, folder);
    thread::sleep(Duration::from_secs(1));
    assert!(log.join("eve.json.1").exists(), "full files are moved on");

    // What logrotate does, then another configuration, then a bad one.
    fs::rename(log.join("eve.json"), log.join("moved.json")).unwrap();
    sensor.hang_up();
    assert_says(&sensor.until("read again"), &["configuration and model are read again"]);
    let config = folder.join("etc/c.toml");
    fs::write(&config, CONFIGURATION.replace("keep", "kep")).unwrap();
    sensor.hang_up();
    assert_says(&sensor.until("stays"), &["c.toml:4", "what was read before stays"]);
    fs::write(&config, CONFIGURATION).unwrap();

    let (summary, said) = sensor.end();
    assert_eq!(said, "");
    assert_eq!(summary["packets"], sent);
    // A hangup changes nothing of what flows were called.
    let by_class = summary["flows_by_class"].as_object().unwrap();
    let attacks = by_class.iter().filter(|(class, _)| *class != "normal");
    let called: u64 = attacks.map(|(_, flows)| flows.as_u64().unwrap()).sum();
    assert_eq!(summary["flows_called"], called);
    assert!(by_class["mqtt_bruteforce"].as_u64() > Some(850), "{by_class:?}");
    let records = self::records(&log);
    assert_eq!(stages(&records), ["begin"]);
    let flows = records.iter().filter(|record| record["event_type"] == "flow").count();
    assert_eq!(summary["flows"], flows, "no record got lost between the files");
    assert_eq!(summary["records"]["written"], records.len());
    assert_eq!(fs::metadata(folder.join("state/citronella.state")).unwrap().uid(), nobody());

    // The attack goes on after a restart: it is the same incident. (At this pace sensors look like floods as well.)
    let (sensor, said) = Sensor::begin(&network, folder);
    assert_says(&said, &["citronella.state", "open incidents go on"]);
    assert!(!said.contains(" 0 open incidents"), "{said}");
    attack(&network, folder);
    sensor.end();
    assert!(!stages(&self::records(&log)).iter().skip(1).any(|stage| *stage == "begin"));
}

#[test]
fn what_the_sandbox_would_break_later_is_refused_at_once() {
    let Some(network) = network(&[]) else { return };
    let folder = folder();
    let folder = folder.path();
    let refused = |part: &[&str]| {
        let (sensor, said) = Sensor::begin(&network, folder);
        drop(sensor);
        if said.contains("--require-sandbox asks for all of it") {
            eprintln!("skipped: {said}");
            return;
        }
        assert_says(&said, part);
        assert!(!said.contains("capturing from"), "{said}");
    };
    // Somewhere else, and for root alone.
    let config = folder.join("etc/c.toml");
    fs::rename(&config, folder.join("c.toml")).unwrap();
    std::os::unix::fs::symlink("../c.toml", &config).unwrap();
    refused(&["c.toml: SIGHUP could not read it again", "a link"]);
    fs::remove_file(&config).unwrap();
    fs::rename(folder.join("c.toml"), &config).unwrap();
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(&["c.toml: SIGHUP could not read it again", "the right to read it"]);
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for (name, part) in [("log", "eve.json: cannot write"), ("state", "state: cannot keep state here")] {
        std::os::unix::fs::chown(folder.join(name), Some(0), None).unwrap();
        refused(&[part, "ermission denied"]);
        std::os::unix::fs::chown(folder.join(name), Some(nobody()), None).unwrap();
    }
}

//! Live detection of real attack tools against a real broker with real clients: the expected incidents within 5 seconds
//! and no others. Everything runs in network namespaces without an uplink; attacks are bounded.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/network.rs"]
mod network;
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use network::{Network, Running, network};
use serde_json::Value;
use support::{Folder, texts};

const BROKER: &str = "10.77.0.1";
/// The source address that programs outside use by default.
const BRUTEFORCER: &str = "10.77.0.2";
const SCANNER: &str = "10.77.0.8";
const SENSORS: [&str; 3] = ["10.77.0.3", "10.77.0.4", "10.77.0.5"];

fn start_broker(network: &Network, folder: &Folder) -> Running {
    let passwords = folder.write("passwords", "sensor:meadow\nadmin:not-in-the-list\n");
    let passwords = passwords.to_str().unwrap();
    assert!(Command::new("mosquitto_passwd").args(["-U", passwords]).status().unwrap().success());
    let configuration = format!(
        "user root\nlistener 1883 {BROKER}\nallow_anonymous false\npassword_file {passwords}\npersistence false\n"
    );
    let configuration = folder.write("mosquitto.conf", configuration);
    let broker = network.inside.start("mosquitto", &["-c", configuration.to_str().unwrap()]);
    thread::sleep(Duration::from_secs(1));
    broker
}

/// Starts sensors that stay connected and publish twice a second, and a subscriber for each.
fn start_sensors(network: &Network) -> Vec<Running> {
    let mut clients = Vec::new();
    for (number, address) in SENSORS.iter().enumerate() {
        let options = ["-h", BROKER, "-A", address, "-u", "sensor", "-P", "meadow", "-k", "30"].join(" ");
        let publish = format!(
            "while :; do echo '{{\"t\":21.5}}'; sleep 0.5; done | mosquitto_pub {options} -i s{number} -t plant/{number} -l"
        );
        clients.push(
            network
                .outside
                .start("sh", &["-c", &format!("exec setsid sh -c \"{}\"", publish.replace('"', "\\\""))]),
        );
        let subscribe = format!("exec mosquitto_sub {options} -i r{number} -t plant/{number}");
        clients.push(network.outside.start("sh", &["-c", &subscribe]));
    }
    clients
}

/// Source address and class of the alerts so far.
fn alerts(eve: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(eve).unwrap_or_default();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let alerts = records.filter(|record| record["event_type"] == "alert");
    let source_and_class = |record: Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&record["alert"]["source"]["ip"]), text(&record["alert"]["context"]["class"]))
    };
    alerts.map(source_and_class).collect()
}

/// Waits for an alert of this source and class; returns the seconds since `started` and panics after 15.
#[track_caller]
fn wait_for_alert(eve: &Path, source: &str, class: &str, started: Instant) -> f64 {
    while started.elapsed() < Duration::from_secs(15) {
        if alerts(eve).iter().any(|(ip, kind)| ip == source && kind == class) {
            return started.elapsed().as_secs_f64();
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("no alert for {class} by {source}: {:?}", alerts(eve));
}

#[test]
fn attacks_on_a_broker_raise_alerts_within_five_seconds_and_its_clients_none() {
    let tools = ["mosquitto", "mosquitto_passwd", "mosquitto_pub", "mosquitto_sub", "nmap"];
    let Some(network) = network(&tools) else { return };
    let folder = Folder::new();
    let _broker = start_broker(&network, &folder);
    let eve = folder.path("eve.json");
    let arguments = ["detect", "-i", "v1", "--threads", "2", "--eve", eve.to_str().unwrap()];
    let detector = network.inside.start(env!("CARGO_BIN_EXE_citronella"), &arguments);
    thread::sleep(Duration::from_secs(1));
    let sensors = start_sensors(&network);
    thread::sleep(Duration::from_secs(8));
    assert_eq!(alerts(&eve), [], "no attack yet");

    let started = Instant::now();
    let scan = ["-n", "-Pn", "-sS", "-e", "v0", "-S", SCANNER, "-p", "1-1000", "--max-retries", "1", BROKER];
    let scanner = network.outside.start("nmap", &scan);
    let scan_secs = wait_for_alert(&eve, SCANNER, "scan_A", started);

    let started = Instant::now();
    let bruteforcer = start_bruteforce(&network, &folder);
    let bruteforce_secs = wait_for_alert(&eve, BRUTEFORCER, "mqtt_bruteforce", started);
    eprintln!("alerts after {scan_secs:.2} s (scan) and {bruteforce_secs:.2} s (brute force)");
    drop((scanner, bruteforcer));

    thread::sleep(Duration::from_secs(2));
    let (code, _, stderr) = texts(&detector.stop());
    assert_eq!(code, Some(0), "{stderr}");
    drop(sensors);
    for (source, class) in alerts(&eve) {
        let expected = [(SCANNER, "scan_A"), (BRUTEFORCER, "mqtt_bruteforce")];
        assert!(expected.contains(&(&source, &class)), "{class} by {source}: {:?}", alerts(&eve));
    }
    assert!(scan_secs < 5.0 && bruteforce_secs < 5.0, "{scan_secs} s, {bruteforce_secs} s");
}

/// Starts ncrack with a short word list, or a shell loop over mosquitto_pub if ncrack is not installed.
fn start_bruteforce(network: &Network, folder: &Folder) -> Running {
    let list: String = (0..200).map(|number| format!("guess{number}\n")).collect();
    let list = folder.write("words", list);
    let list = list.to_str().unwrap();
    let is_installed =
        Command::new("ncrack").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if is_installed {
        let target = format!("mqtt://{BROKER}:1883");
        return network.outside.start("ncrack", &[&target, "--user", "admin", "-P", list, "-T4"]);
    }
    let guess = format!(
        "while read word; do mosquitto_pub -h {BROKER} -u admin -P $word -t x -m x; done < {list} 2>/dev/null"
    );
    network.outside.start("sh", &["-c", &guess])
}

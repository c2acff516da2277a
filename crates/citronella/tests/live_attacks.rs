//! A real broker with real clients, and real attack tools against it, seen live: the right incident within 5 seconds,
//! and no other. Everything runs in network namespaces that the test makes, without a way out; attacks are bounded.
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
/// Without another address given, programs outside use the first.
const GUESSER: &str = "10.77.0.2";
const SCANNER: &str = "10.77.0.8";
const SENSORS: [&str; 3] = ["10.77.0.3", "10.77.0.4", "10.77.0.5"];

fn begin_broker(network: &Network, folder: &Folder) -> Running {
    let passwords = folder.write("passwords", "sensor:meadow\nadmin:not-in-the-list\n");
    let passwords = passwords.to_str().unwrap();
    assert!(Command::new("mosquitto_passwd").args(["-U", passwords]).status().unwrap().success());
    let configuration = format!(
        "user root\nlistener 1883 {BROKER}\nallow_anonymous false\npassword_file {passwords}\npersistence false\n"
    );
    let configuration = folder.write("mosquitto.conf", configuration);
    let broker = network.inside.begin("mosquitto", &["-c", configuration.to_str().unwrap()]);
    thread::sleep(Duration::from_secs(1));
    broker
}

/// A sensor that stays connected and publishes twice a second, and for each a reader.
fn begin_sensors(network: &Network) -> Vec<Running> {
    let mut clients = Vec::new();
    for (number, address) in SENSORS.iter().enumerate() {
        let who = ["-h", BROKER, "-A", address, "-u", "sensor", "-P", "meadow", "-k", "30"].join(" ");
        let publish = format!(
            "while :; do echo '{{\"t\":21.5}}'; sleep 0.5; done | mosquitto_pub {who} -i s{number} -t plant/{number} -l"
        );
        clients.push(
            network
                .outside
                .begin("sh", &["-c", &format!("exec setsid sh -c \"{}\"", publish.replace('"', "\\\""))]),
        );
        let read = format!("exec mosquitto_sub {who} -i r{number} -t plant/{number}");
        clients.push(network.outside.begin("sh", &["-c", &read]));
    }
    clients
}

/// The alerts so far: source address and class.
fn alerts(eve: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(eve).unwrap_or_default();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let alerts = records.filter(|record| record["event_type"] == "alert");
    let told = |record: Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&record["alert"]["source"]["ip"]), text(&record["alert"]["context"]["class"]))
    };
    alerts.map(told).collect()
}

/// Seconds until an alert of this source and class is there; panics after 15.
#[track_caller]
fn until_alert(eve: &Path, source: &str, class: &str, begun: Instant) -> f64 {
    while begun.elapsed() < Duration::from_secs(15) {
        if alerts(eve).iter().any(|(ip, kind)| ip == source && kind == class) {
            return begun.elapsed().as_secs_f64();
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("no alert for {class} by {source}: {:?}", alerts(eve));
}

#[test]
fn attacks_on_a_broker_are_told_within_five_seconds_and_its_clients_are_left_alone() {
    let tools = ["mosquitto", "mosquitto_passwd", "mosquitto_pub", "mosquitto_sub", "nmap"];
    let Some(network) = network(&tools) else { return };
    let folder = Folder::new();
    let _broker = begin_broker(&network, &folder);
    let eve = folder.path("eve.json");
    let arguments = ["detect", "-i", "v1", "--threads", "2", "--eve", eve.to_str().unwrap()];
    let detector = network.inside.begin(env!("CARGO_BIN_EXE_citronella"), &arguments);
    thread::sleep(Duration::from_secs(1));
    let sensors = begin_sensors(&network);
    thread::sleep(Duration::from_secs(8));
    assert_eq!(alerts(&eve), [], "only sensors so far");

    let begun = Instant::now();
    let scan = ["-n", "-Pn", "-sS", "-e", "v0", "-S", SCANNER, "-p", "1-1000", "--max-retries", "1", BROKER];
    let scanner = network.outside.begin("nmap", &scan);
    let scan_secs = until_alert(&eve, SCANNER, "scan_A", begun);

    let begun = Instant::now();
    let guesser = begin_guessing(&network, &folder);
    let guess_secs = until_alert(&eve, GUESSER, "mqtt_bruteforce", begun);
    eprintln!("told after {scan_secs:.2} s (scan) and {guess_secs:.2} s (guessing)");
    drop((scanner, guesser));

    thread::sleep(Duration::from_secs(2));
    let (code, _, stderr) = texts(&detector.end());
    assert_eq!(code, Some(0), "{stderr}");
    drop(sensors);
    for (source, class) in alerts(&eve) {
        let expected = [(SCANNER, "scan_A"), (GUESSER, "mqtt_bruteforce")];
        assert!(expected.contains(&(&source, &class)), "{class} by {source}: {:?}", alerts(&eve));
    }
    assert!(scan_secs < 5.0 && guess_secs < 5.0, "{scan_secs} s, {guess_secs} s");
}

/// ncrack with a short list; where it is missing, a client that tries one password after another.
fn begin_guessing(network: &Network, folder: &Folder) -> Running {
    let list: String = (0..200).map(|number| format!("guess{number}\n")).collect();
    let list = folder.write("words", list);
    let list = list.to_str().unwrap();
    let is_there =
        Command::new("ncrack").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if is_there {
        let target = format!("mqtt://{BROKER}:1883");
        return network.outside.begin("ncrack", &[&target, "--user", "admin", "-P", list, "-T4"]);
    }
    let guess = format!(
        "while read word; do mosquitto_pub -h {BROKER} -u admin -P $word -t x -m x; done < {list} 2>/dev/null"
    );
    network.outside.begin("sh", &["-c", &guess])
}

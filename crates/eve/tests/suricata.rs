//! Suricata's own cases for MQTT (suricata-verify): our EVE records pass the checks that its records must pass.
#![allow(clippy::unwrap_used)] // tests

#[path = "suricata/checks.rs"]
mod checks;

use std::path::{Path, PathBuf};

use checks::Filter;
use citronella_eve::{Encoder, EveOptions};
use citronella_sensor::{
    capture::Capture,
    flow::sessions::{Limits, Sessions},
};
use serde_json::Value;

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/suricata-verify");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

fn events(capture: &Path, message_bytes: Option<u32>) -> Vec<Value> {
    let mut limits = Limits::default();
    if let Some(bytes) = message_bytes {
        limits.mqtt.message_bytes = bytes;
    }
    let mut capture = Capture::open(capture).unwrap();
    let mut sessions = Sessions::new(limits);
    let mut eve = Encoder::new(Vec::new(), EveOptions { log_passwords: true, ..EveOptions::default() });
    while let Some(packet) = capture.next().unwrap() {
        sessions.packet(&packet, |event| eve.write(event).unwrap());
    }
    sessions.finish(|event| eve.write(event).unwrap());
    let counters = eve.counters();
    let text = String::from_utf8(eve.finish().unwrap()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event_type"] == kind).count() as u64;
    assert_eq!(
        [counters.mqtt, counters.anomaly, counters.tls, counters.flow],
        ["mqtt", "anomaly", "tls", "flow"].map(of)
    );
    assert_eq!(counters.pending_bytes, 0);
    let sessions = sessions.counters();
    assert_eq!(
        (sessions.buffered_bytes, sessions.connections, sessions.reassembly.buffered_bytes),
        (0, 0, 0)
    );
    events
}

/// The capture of a case: its own, or the one that its `pcap:` names.
fn capture(case: &Path, named: Option<&str>) -> PathBuf {
    match named {
        Some(named) => case.join(named),
        None => {
            let mut files = std::fs::read_dir(case).unwrap().map(|entry| entry.unwrap().path());
            files.find(|file| file.extension().is_some_and(|end| end == "pcap")).unwrap()
        }
    }
}

/// What Suricata's configuration of a case adds.
fn message_bytes(case: &str) -> Option<u32> {
    (case == "mqtt-limit-2").then_some(500)
}

/// Which filters are ours to pass: `alert` needs Suricata's rules; one without a type counts transactions there, for
/// only they are switched on.
fn concerns_us(filter: &Filter) -> bool {
    matches!(filter.event_type(), Some("mqtt" | "anomaly") | None)
}

#[test]
fn suricatas_cases_pass() {
    let Some(folder) = folder() else { return };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|at| at.is_dir())
        .collect();
    cases.sort();
    assert_eq!(cases.len(), 19);
    let (mut filters_of_mqtt, mut filters_of_anomaly, mut failures) = (0, 0, Vec::new());
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(case.join("test.yaml")).unwrap();
        let (filters, named) = checks::read(&text);
        let events = events(&capture(case, named.as_deref()), message_bytes(name));
        let (mut passed, mut ours) = (0, 0);
        for filter in filters.iter().filter(|filter| concerns_us(filter)) {
            let kind = filter.event_type().unwrap_or("mqtt");
            filters_of_mqtt += usize::from(filter.event_type() == Some("mqtt"));
            filters_of_anomaly += usize::from(kind == "anomaly");
            let found =
                events.iter().filter(|event| event["event_type"] == kind && filter.matches(event)).count();
            ours += 1;
            if found == filter.count {
                passed += 1;
            } else {
                failures
                    .push(format!("{name}: {found} events instead of {}: {:?}", filter.count, filter.wanted));
            }
        }
        println!("{name}: {passed} of {ours} filters pass, {} events", events.len());
    }
    assert_eq!(failures, Vec::<String>::new(), "{}", failures.join("\n"));
    assert!(filters_of_mqtt >= 80, "only {filters_of_mqtt} filters of mqtt were found");
    assert_eq!(filters_of_anomaly, 4);
}

/// CONNACK with reason code 134: what Suricata's rule of this case looks for.
#[test]
fn a_refused_connect_has_its_reason() {
    let Some(folder) = folder() else { return };
    let case = folder.join("mqtt-connect-rules-2");
    let events = events(&capture(&case, None), None);
    let with =
        |code: u64| events.iter().filter(|event| event["mqtt"]["connack"]["return_code"] == code).count();
    assert_eq!((with(134), with(0)), (1, 0));
}

/// Suricata's field is 0 for a DISCONNECT with a code and no properties; the code that was sent is in another field.
#[test]
fn a_disconnect_has_the_code_that_was_sent() {
    let Some(folder) = folder() else { return };
    let case = folder.join("mqtt5-sub-userpass");
    let events = events(&capture(&case, None), None);
    let event = events.iter().find(|event| event["mqtt"].get("disconnect").is_some()).unwrap();
    let sent = &event["metadata"]["pktvars"][0]["reason_code_sent"];
    assert_eq!((&event["mqtt"]["disconnect"]["reason_code"], sent), (&0.into(), &4.into()));
}

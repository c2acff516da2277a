//! The lab's recordings: each attack is one incident with its class, attacker and targets, and benign traffic is none;
//! every record validates against Suricata's schema.
#![allow(clippy::unwrap_used)] // tests

mod eve_fields;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use citronella_eve::{Encoder, EveOptions};
use citronella_sensor::{
    alert::{
        Event, Sink, SinkError,
        engine::{EngineOptions, SharedEngine},
        incident::Incident,
        settings::Settings,
    },
    capture::{Files, Packet, filter::Filter},
    detect::{Config, Detector, ModelFile, Observer, Shard},
    flow::sessions::Sessions,
    pipeline,
};
use citronella_wire::Frame;
use serde_json::Value;

/// Classes and initiators of opened incidents, closed incidents, and all records.
struct Collector {
    opened: Vec<(String, IpAddr)>,
    closed: Vec<Incident>,
    encoder: Encoder<Vec<u8>>,
}

impl Sink for Collector {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        match event {
            Event::IncidentOpened(alert) => {
                self.opened.push((alert.class.clone(), alert.incident.key.initiator));
                self.encoder.incident_opened(alert)?;
            }
            Event::IncidentUpdated(alert) => self.encoder.incident_updated(alert)?,
            Event::IncidentClosed(alert, reason) => {
                self.closed.push(alert.incident.clone());
                self.encoder.incident_closed(alert, *reason)?;
            }
            Event::Stats(stats) => self.encoder.stats(stats)?,
            Event::CaptureStarted(_) | Event::DriftWarning { .. } => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Writes the records of sessions.
struct SessionRecords {
    sessions: Sessions,
    encoder: Encoder<Vec<u8>>,
}

impl Observer for SessionRecords {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        let SessionRecords { sessions, encoder } = self;
        sessions.packet(packet, |event| encoder.write(event).unwrap());
    }
}

fn detector() -> Detector {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sequence.safetensors");
    Detector::new("model", &ModelFile::load(&path).unwrap()).unwrap()
}

/// Runs detection on a capture: incidents, and the text of all records.
fn detect(detector: &Detector, path: &Path) -> (Collector, String) {
    let config = Config::default();
    let tables = config.shared();
    let encoder = || Encoder::new(Vec::new(), EveOptions::default());
    let collector = Collector { opened: Vec::new(), closed: Vec::new(), encoder: encoder() };
    let options = EngineOptions {
        settings: Settings::default(),
        model: "sequence".to_owned(),
        state: None,
        is_live: false,
        names_captures: false,
    };
    let engine = SharedEngine::start(options, detector, &tables.hosts, collector);
    let sessions = SessionRecords { sessions: Sessions::default(), encoder: encoder() };
    let mut observer = (engine.observer(), sessions);
    let mut shard = Shard::with_shared(detector, config, tables).unwrap();
    let mut files = Files::new(vec![path.to_owned()], Filter::default());
    pipeline::run(&mut files, &mut shard, &mut observer, |error| panic!("{error}")).unwrap();
    let SessionRecords { mut sessions, encoder } = observer.1;
    let mut session_encoder = encoder;
    sessions.finish(|event| session_encoder.write(event).unwrap());
    let mut report = engine.finish().unwrap();
    let alerts = std::mem::replace(&mut report.sink.encoder, Encoder::new(Vec::new(), EveOptions::default()));
    let text = [session_encoder, alerts].map(|encoder| String::from_utf8(encoder.finish().unwrap()).unwrap());
    (report.sink, text.concat())
}

/// A row of a manifest.
struct Entry {
    name: String,
    path: PathBuf,
    scenario: String,
    attacker: Option<IpAddr>,
    broker: IpAddr,
}

fn recordings() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (root, wanted) in [("../../data/lab", true), ("../../../shared/data/lab", false)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
        if !root.is_dir() {
            assert!(!wanted);
            eprintln!("skipped: {} is not there", root.display());
            continue;
        }
        let runs = std::fs::read_dir(&root).unwrap().map(|run| run.unwrap());
        let mut runs: Vec<_> = runs.filter(|run| run.path().join("manifest.csv").is_file()).collect();
        runs.sort_by_key(|run| run.file_name());
        for run in runs {
            let run_name = run.file_name().to_string_lossy().into_owned();
            // In the others attacks come from several hosts or from inside, or benign traffic resembles attacks: the
            // model's card has the figures.
            const JUDGED: [&str; 5] = ["tools-1", "tools-2", "benign-1", "benign-2", "benign-3"];
            if !(run_name.starts_with("run-") || JUDGED.contains(&run_name.as_str())) {
                continue;
            }
            for line in std::fs::read_to_string(run.path().join("manifest.csv")).unwrap().lines().skip(1) {
                let cells: Vec<&str> = line.split(',').collect();
                let name = format!("{run_name}/{}", cells[1]);
                // The committed runs are in the other folder, too.
                if entries.iter().any(|entry: &Entry| entry.name == name) {
                    continue;
                }
                entries.push(Entry {
                    name,
                    path: run.path().join(cells[1]),
                    scenario: cells[0].to_owned(),
                    attacker: cells[2].parse().ok(),
                    broker: cells[3].parse().unwrap(),
                });
            }
        }
    }
    entries
}

#[test]
fn every_attack_is_one_incident_and_benign_traffic_is_none() {
    let detector = detector();
    let (mut faults, mut attacks, mut records) = (Vec::new(), 0, 0);
    for entry in recordings() {
        let (found, text) = detect(&detector, &entry.path);
        let wanted: Vec<(String, IpAddr)> =
            entry.attacker.iter().map(|attacker| (entry.scenario.clone(), *attacker)).collect();
        attacks += wanted.len();
        for incident in &found.closed {
            println!(
                "{}: {} flows by the model, {} findings by rules {:?}, {} of other classes, {} hosts, score {}",
                entry.name,
                incident.flows_by_model,
                incident.findings_by_rules,
                incident.rules,
                incident.other_findings,
                incident.targets.len(),
                incident.score
            );
        }
        if found.opened != wanted {
            faults.push(format!("{}: {:?}", entry.name, found.opened));
        } else if let Some(incident) = found.closed.first() {
            let many = entry.scenario.starts_with("scan");
            if !incident.targets.contains(&entry.broker) || (incident.targets.len() > 1) != many {
                faults.push(format!("{}: {:?}", entry.name, incident.targets));
            }
        }
        let mut of_kind = std::collections::BTreeMap::<String, u32>::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let count = of_kind.entry(event["event_type"].as_str().unwrap().to_owned()).or_default();
            *count += 1;
            // Enough of each kind of a capture; all alerts.
            if *count > 3_000 && event["event_type"] != "alert" {
                continue;
            }
            let wrong = eve_fields::faults(&event);
            assert!(wrong.is_empty(), "{}: {wrong:?} in {line}", entry.name);
            records += 1;
        }
    }
    println!("{attacks} attacks, {records} records");
    assert!(attacks >= 14 && records > 10_000);
    assert_eq!(faults, Vec::<String>::new());
}

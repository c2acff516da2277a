//! The lab's recordings: each attack is one incident, with its class, attacker and targets, benign traffic is none; and
//! every record that is written of them validates against Suricata's schema.
#![allow(clippy::unwrap_used)] // tests

mod eve_fields;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use citronella_sensor::{
    alert::{
        Alert, Finding, Incident, Incidents, Stage,
        eve::{EveOptions, EveWriter},
        rules::{Rules, Seen},
        settings::Settings,
    },
    capture::{Capture, Packet},
    detect::{Config, Detector, ModelFile, Reason, Shard, Sink},
    feature::sequence::PacketFacts,
    flow::sessions::Sessions,
};
use citronella_wire::Frame;
use serde_json::Value;

struct Alerts {
    rules: Rules,
    incidents: Incidents,
    heard: Heard,
    last_nanos: i64,
}

/// What was told: kinds and initiators of begins, incidents at their end, records.
struct Heard {
    begun: Vec<(String, IpAddr)>,
    ended: Vec<Incident>,
    eve: EveWriter<Vec<u8>>,
}

impl Heard {
    fn hear(&mut self, alert: Alert<'_>) {
        self.eve.alert(&alert, Some("sequence")).unwrap();
        match alert.stage {
            Stage::Begin => self.begun.push((alert.kind.to_owned(), alert.incident.key.initiator)),
            Stage::End(_) => self.ended.push(alert.incident.clone()),
            Stage::Update => {}
        }
    }
}

impl Alerts {
    fn take(&mut self, finding: &Finding) {
        self.incidents.finding(finding, &mut |alert| self.heard.hear(alert));
    }
}

impl Sink for Alerts {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.rules.begin(packet.time_nanos);
        self.last_nanos = packet.time_nanos.max(self.last_nanos);
    }

    fn explained(&mut self, finding: &Finding, why: &mut dyn FnMut() -> Vec<Reason>) {
        self.incidents.explained(finding, why, &mut |alert| self.heard.hear(alert));
    }

    fn facts(&mut self, facts: &PacketFacts, seen: &Seen<'_>) {
        let mut found = Vec::new();
        self.rules.judge(facts, seen, |finding| found.push(*finding));
        found.iter().for_each(|finding| self.take(finding));
    }
}

fn detector() -> Detector {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sequence.safetensors");
    Detector::new("model", &ModelFile::load(&path).unwrap()).unwrap()
}

fn detect(detector: &Detector, path: &Path) -> Heard {
    let mut shard = Shard::new(detector, Config::default()).unwrap();
    let settings = Settings::default();
    let mut alerts = Alerts {
        rules: Rules::new(settings.rules),
        incidents: Incidents::new(settings.alerts, settings.suppress, detector.classes()),
        heard: Heard {
            begun: Vec::new(),
            ended: Vec::new(),
            eve: EveWriter::new(Vec::new(), EveOptions::default()),
        },
        last_nanos: i64::MIN,
    };
    let mut sessions = Sessions::default();
    let mut capture = Capture::open(path).unwrap();
    while let Some(packet) = capture.next().unwrap() {
        shard.packet(&packet, &mut alerts).unwrap();
        sessions.packet(&packet, |event| alerts.heard.eve.write(event).unwrap());
    }
    shard.finish(&mut alerts).unwrap();
    sessions.finish(|event| alerts.heard.eve.write(event).unwrap());
    let Alerts { mut incidents, mut heard, last_nanos, .. } = alerts;
    incidents.finish(last_nanos, &mut |alert| heard.hear(alert));
    heard
}

/// What a manifest says of a capture.
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
            // In the others attacks come from several hosts or from inside, or benign traffic resembles them: the
            // model's card says what is called there.
            const JUDGED: [&str; 5] = ["tools-1", "tools-2", "benign-1", "benign-2", "benign-3"];
            if !(run_name.starts_with("run-") || JUDGED.contains(&run_name.as_str())) {
                continue;
            }
            for line in std::fs::read_to_string(run.path().join("manifest.csv")).unwrap().lines().skip(1) {
                let cells: Vec<&str> = line.split(',').collect();
                let name = format!("{run_name}/{}", cells[1]);
                // The committed runs stand in the other folder, too.
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
        let heard = detect(&detector, &entry.path);
        let wanted: Vec<(String, IpAddr)> =
            entry.attacker.iter().map(|attacker| (entry.scenario.clone(), *attacker)).collect();
        attacks += wanted.len();
        for incident in &heard.ended {
            println!(
                "{}: {} flows by the model, {} calls by rules {:?}, {} beside, {} hosts, score {}",
                entry.name,
                incident.model_flows,
                incident.rule_calls,
                incident.rules,
                incident.others,
                incident.targets.len(),
                incident.score
            );
        }
        if heard.begun != wanted {
            faults.push(format!("{}: {:?}", entry.name, heard.begun));
        } else if let Some(incident) = heard.ended.first() {
            let many = entry.scenario.starts_with("scan");
            if !incident.targets.contains(&entry.broker) || (incident.targets.len() > 1) != many {
                faults.push(format!("{}: {:?}", entry.name, incident.targets));
            }
        }
        let text = String::from_utf8(heard.eve.finish().unwrap()).unwrap();
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

//! The shared engine: several shards, and sinks that stop a run.
#![allow(missing_docs, clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use citronella_sensor::alert::engine::{EngineOptions, SharedEngine};
use citronella_sensor::alert::settings::Settings;
use citronella_sensor::alert::{Event, Sink, SinkError};
use citronella_sensor::capture::{Files, filter::Filter};
use citronella_sensor::detect::{Config, Counters, Detector, ModelFile, Shard};
use citronella_sensor::feature::sequence::Shared;
use citronella_sensor::metrics::Metric;
use citronella_sensor::pipeline;

/// Breaks or fails at the first incident.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AtIncident {
    Continue,
    Break,
    Fail,
}

/// Counts events, and those after the first incident.
struct Stopper {
    at_incident: AtIncident,
    opened: u32,
    closed: u32,
    events_after: u32,
}

impl Sink for Stopper {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        self.events_after += u32::from(self.opened > 0);
        match event {
            Event::IncidentClosed(..) => self.closed += 1,
            Event::IncidentOpened(_) => {
                self.opened += 1;
                match self.at_incident {
                    AtIncident::Break => return Ok(ControlFlow::Break(())),
                    AtIncident::Fail => return Err("the disk is full".into()),
                    AtIncident::Continue => {}
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn detector() -> Detector {
    let model = ModelFile::load(&root().join("models/sequence.safetensors")).unwrap();
    Detector::new("model", &model).unwrap()
}

fn start(detector: &Detector, tables: &Shared, at_incident: AtIncident) -> Arc<SharedEngine<Stopper>> {
    let settings = Settings::default();
    let options = EngineOptions {
        settings,
        model: "model".to_owned(),
        state: None,
        is_live: false,
        names_captures: false,
    };
    let sink = Stopper { at_incident, opened: 0, closed: 0, events_after: 0 };
    SharedEngine::start(options, detector, &tables.hosts, sink)
}

/// Runs a capture as one shard of an engine.
fn run(detector: &Detector, tables: &Shared, engine: &Arc<SharedEngine<Stopper>>, name: &str) -> Counters {
    let mut shard = Shard::with_shared(detector, Config::default(), tables.clone()).unwrap();
    let path = root().join(format!("data/lab/{name}.pcap.zst"));
    let mut observer = engine.observer();
    let mut files = Files::new(vec![path], Filter::default());
    pipeline::run(&mut files, &mut shard, &mut observer, |error| panic!("{error}")).unwrap();
    shard.counters()
}

#[test]
fn a_sink_that_breaks_or_fails_ends_the_run() {
    let detector = detector();
    let all = {
        let tables = Config::default().shared();
        run(&detector, &tables, &start(&detector, &tables, AtIncident::Continue), "run-2/mqtt_bruteforce")
            .packets
    };
    for at_incident in [AtIncident::Break, AtIncident::Fail] {
        let tables = Config::default().shared();
        let engine = start(&detector, &tables, at_incident);
        let counters = run(&detector, &tables, &engine, "run-2/mqtt_bruteforce");
        assert!(engine.has_stopped());
        assert!(counters.packets > 0 && counters.packets < all, "{counters:?}");
        assert_eq!(counters.flows + counters.lost_flows, counters.flows_started, "flows are ended");
        let report = engine.finish().unwrap();
        assert_eq!(report.sink.opened, 1);
        match at_incident {
            // The events that follow from the end still come; a sink that failed gets none.
            AtIncident::Break => assert_eq!((report.sink.closed, report.fault.is_none()), (1, true)),
            _ => {
                assert_eq!((report.sink.closed, report.sink.events_after), (0, 0));
                assert_eq!(report.fault.unwrap().to_string(), "the disk is full");
            }
        }
        assert!(engine.finish().is_none(), "only once");
    }
}

#[test]
fn the_metrics_of_several_shards_are_the_sum_of_theirs() {
    const NAMES: [&str; 3] = ["run-1/sparta", "run-1/malformed", "run-1/mqtt_bruteforce"];
    let detector = detector();
    for _ in 0..5 {
        let tables = Config::default().shared();
        let engine = start(&detector, &tables, AtIncident::Continue);
        let mut sum = Counters::default();
        thread::scope(|scope| {
            let shards = NAMES.map(|name| scope.spawn(|| run(&detector, &tables, &engine, name)));
            shards.into_iter().for_each(|shard| sum.merge(&shard.join().unwrap()));
        });
        let metrics = engine.finish().unwrap().metrics;
        for (metric, expected) in [
            (Metric::Packets, sum.packets),
            (Metric::Bytes, sum.bytes),
            (Metric::Flows, sum.flows),
            (Metric::FlowsStarted, sum.flows_started),
            (Metric::FlowsFlagged, sum.flows_flagged),
        ] {
            assert_eq!(metrics.get(metric), expected, "{metric:?}");
        }
        assert!(metrics.get(Metric::Incidents) >= 3);
    }
}

//! Every metric of a run counts while the run goes on: it is above 0 in a `Stats` event before the last one.
#![allow(missing_docs, clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use citronella_sensor::alert::engine::{EngineOptions, SharedEngine};
use citronella_sensor::alert::settings::Settings;
use citronella_sensor::alert::{Event, Sink, SinkError};
use citronella_sensor::capture::{
    CaptureCounters, CaptureError, Files, Next, Packet, Source, filter::Filter,
};
use citronella_sensor::detect::{Config, Detector, ModelFile, Observer, Shard};
use citronella_sensor::metrics::{Metric, Metrics};
use citronella_sensor::pipeline;
use citronella_wire::{Frame, LinkType};

/// Collects the metrics of `Stats` events.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Metrics>>>);

impl Sink for Collector {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        if let Event::Stats(stats) = event {
            self.0.lock().unwrap().push(stats.metrics.clone());
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Panics at a packet.
struct PanicAt(u64);

impl Observer for PanicAt {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        assert!(packet.number != self.0, "an observer that fails at packet {}", packet.number);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn lab(name: &str, filter: Filter) -> Files {
    Files::new(vec![root().join(format!("data/lab/{name}.pcap.zst"))], filter)
}

/// The metrics in the course of a run, without those at its end.
fn run(
    mut source: impl Source,
    config: Config,
    settings: Settings,
    panic_at: u64,
    is_live: bool,
) -> Vec<Metrics> {
    let model = ModelFile::load(&root().join("models/sequence.safetensors")).unwrap();
    let detector = Detector::new("model", &model).unwrap();
    let tables = config.shared();
    let options =
        EngineOptions { settings, model: "model".to_owned(), state: None, is_live, names_captures: false };
    let collector = Collector::default();
    let engine = SharedEngine::start(options, &detector, &tables.hosts, collector.clone());
    let mut observer = (PanicAt(panic_at), engine.observer());
    let mut shard = Shard::with_shared(&detector, config, tables).unwrap();
    pipeline::run(&mut source, &mut shard, &mut observer, |error| panic!("{error}")).unwrap();
    let before_the_end = collector.0.lock().unwrap().clone();
    engine.finish().unwrap();
    assert!(collector.0.lock().unwrap().len() > before_the_end.len());
    before_the_end
}

#[track_caller]
fn assert_counts(metrics: &[Metrics], expected: &[Metric]) {
    for metric in expected {
        assert!(metrics.iter().any(|metrics| metrics.get(*metric) > 0), "{metric:?} stays 0");
    }
}

#[test]
fn packets_and_flows_count() {
    let metrics = run(
        lab("run-2/mqtt_bruteforce", Filter::default()),
        Config::default(),
        Settings::default(),
        0,
        false,
    );
    let expected = [
        Metric::Uptime,
        Metric::Packets,
        Metric::Bytes,
        Metric::PacketsWithoutFlow,
        Metric::PacketsScored,
        Metric::FlowsStarted,
        Metric::Flows,
        Metric::FlowsFlagged,
        Metric::Findings,
        Metric::Incidents,
        Metric::IncidentsOpen,
        Metric::Alerts,
    ];
    assert_counts(&metrics, &expected);
    assert!(metrics.iter().all(|metrics| metrics.get(Metric::Restarts) == 0));
}

#[test]
fn restarts_and_lost_flows_count() {
    let metrics =
        run(lab("run-2/scan_A", Filter::default()), Config::default(), Settings::default(), 9_000, false);
    assert_counts(&metrics, &[Metric::Restarts, Metric::FlowsLost]);
}

#[test]
fn evictions_of_full_tables_count() {
    let mut config = Config::default();
    config.sequence.flows.max_flows = 50;
    config.sequence.hosts.max_hosts = 4;
    config.sequence.hosts.stripes = 1;
    config.sequence.max_service_endpoints = 8;
    let metrics = run(lab("run-2/scan_A", Filter::default()), config, Settings::default(), 0, false);
    assert_counts(&metrics, &[Metric::FlowsEvicted, Metric::HostsEvicted, Metric::EndpointsEvicted]);
}

#[test]
fn filtered_packets_count() {
    let filter = Filter { ports: vec![1883], ..Filter::default() };
    let metrics = run(lab("run-2/scan_A", filter), Config::default(), Settings::default(), 0, false);
    assert_counts(&metrics, &[Metric::PacketsFiltered]);
}

#[test]
fn suppressed_findings_omitted_alerts_and_evicted_incidents_count() {
    let suppress = vec![toml::from_str("class = 'mqtt_bruteforce'").unwrap()];
    let settings = Settings { suppress, ..Settings::default() };
    let brute_force = || lab("run-2/mqtt_bruteforce", Filter::default());
    let metrics = run(brute_force(), Config::default(), settings, 0, false);
    assert_counts(&metrics, &[Metric::FindingsSuppressed, Metric::AlertsSuppressed]);
    let mut settings = Settings::default();
    settings.alerts.per_minute = 1;
    settings.alerts.updates_secs = vec![1, 2, 3, 4];
    let metrics = run(brute_force(), Config::default(), settings, 0, false);
    assert_counts(&metrics, &[Metric::AlertsOverRate]);
    // The attackers of this recording evict one another.
    let mut settings = Settings::default();
    settings.alerts.max_incidents = 1;
    settings.alerts.flows = 1;
    let spread = lab("hard-3/hydra_spread", Filter::default());
    assert_counts(&run(spread, Config::default(), settings, 0, false), &[Metric::IncidentsEvicted]);
}

/// First fragments of datagrams that never become complete, one a millisecond.
struct Fragments {
    number: u64,
    bytes: Vec<u8>,
}

impl Source for Fragments {
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        self.number += 1;
        if self.number > 30_000 {
            return Ok(Next::End);
        }
        self.bytes = vec![0; 12];
        self.bytes.extend([8, 0, 0x45, 0, 0, 36]);
        self.bytes.extend((self.number as u16).to_be_bytes());
        // More fragments follow; UDP from 10.0.0.1 to 10.0.0.2.
        self.bytes.extend([0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        self.bytes.extend([0; 16]);
        Ok(Next::Packet(Packet {
            number: self.number,
            time_nanos: 1_700_000_000_000_000_000 + self.number as i64 * 1_000_000,
            link: LinkType::Ethernet,
            wire_len: self.bytes.len() as u32,
            bytes: &self.bytes,
        }))
    }

    /// Counters as a ring under load has them.
    fn counters(&mut self) -> CaptureCounters {
        CaptureCounters { packets: self.number, filtered: 4, dropped: 3, damaged: 2, ring_full: 1 }
    }
}

#[test]
fn evicted_datagrams_and_the_counters_of_a_ring_count() {
    let mut config = Config::default();
    config.sequence.fragments.datagrams = 16;
    let source = Fragments { number: 0, bytes: Vec::new() };
    let metrics = run(source, config, Settings::default(), 0, true);
    let ring = [Metric::KernelPackets, Metric::KernelDrops, Metric::RingFull, Metric::PacketsDamaged];
    assert_counts(&metrics, &[Metric::DatagramsEvicted, Metric::PacketsFiltered]);
    assert_counts(&metrics, &ring);
    let last = metrics.last().unwrap();
    assert_eq!(ring[1..].iter().map(|metric| last.get(*metric)).collect::<Vec<_>>(), [3, 1, 2]);
}

//! The pipeline on several threads, with full tables, and with an observer that panics.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use citronella_sensor::capture::{Files, Packet, filter::Filter};
use citronella_sensor::detect::{
    Batching, Config, Counters, Detector, Finding, FlowVerdict, ModelFile, Observer, Reason, Shard,
};
use citronella_sensor::pipeline::run;
use citronella_wire::Frame;

type Key = (IpAddr, u16, IpAddr, u16, u8, i64);

#[derive(Default)]
struct Verdicts {
    flows: BTreeMap<Key, (u64, u32)>,
    findings: u64,
    packets: u64,
    panic_at: Option<u64>,
}

impl Observer for Verdicts {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.packets += 1;
        assert!(self.panic_at != Some(packet.number), "an observer that fails at packet {}", packet.number);
    }

    fn finding(&mut self, _: &Finding, _: &mut dyn FnMut() -> Vec<Reason>) {
        self.findings += 1;
    }

    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        let flow = &verdict.flow;
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        let key = (src, src_port, dst, dst_port, flow.key().protocol(), flow.first_nanos);
        self.flows.insert(key, (flow.packets(), verdict.class));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn detector() -> Detector {
    let model = ModelFile::load(&root().join("models/sequence.safetensors")).unwrap();
    Detector::new("the model", &model).unwrap()
}

fn config() -> Config {
    let batching = Batching { packets: 192, wait_nanos: 1_000_000_000, ahead: false };
    Config { batching, ..Config::default() }
}

fn files(names: &[&str]) -> Files {
    Files::new(
        names.iter().map(|name| root().join(format!("data/lab/{name}.pcap.zst"))).collect(),
        Filter::default(),
    )
}

fn on_one(names: &[&str], config: Config, mut sink: Verdicts) -> (Verdicts, Counters) {
    let mut shard = Shard::new(&detector(), config).unwrap();
    run(&mut files(names), &mut shard, &mut sink, |fault| panic!("{fault}")).unwrap();
    (sink, shard.counters())
}

/// With the batching of recordings, on `threads` threads.
fn on(threads: usize, names: &[&str], sink: Verdicts) -> (Verdicts, Counters) {
    on_one(names, Config { batching: Batching::RECORDED, threads, ..Config::default() }, sink)
}

const RUN_2: [&str; 8] = [
    "run-2/normal",
    "run-2/scan_A",
    "run-2/scan_sU",
    "run-2/sparta",
    "run-2/mqtt_bruteforce",
    "run-2/flood",
    "run-2/slowite",
    "run-2/malformed",
];

#[test]
fn verdicts_and_counters_are_the_same_on_any_number_of_threads() {
    let (one, counters) = on(1, &RUN_2, Verdicts::default());
    assert_eq!(counters.packets, one.packets);
    assert_eq!(counters.packets, counters.scored + counters.packets_without_flow);
    assert_eq!(one.flows.values().map(|(packets, _)| packets).sum::<u64>(), counters.scored);
    assert_eq!(counters.flows_flagged, one.findings);
    for threads in [2, 4] {
        let (several, same) = on(threads, &RUN_2, Verdicts::default());
        assert_eq!(same, counters);
        assert!(several.flows == one.flows);
    }
}

#[test]
fn a_panic_costs_the_open_flows_and_nothing_else() {
    let sink = Verdicts { panic_at: Some(5_000), ..Verdicts::default() };
    let (sink, counters) = on_one(&["run-2/malformed"], config(), sink);
    let (whole, all) = on_one(&["run-2/malformed"], config(), Verdicts::default());
    assert_eq!((counters.restarts, all.restarts), (1, 0));
    assert!(counters.lost_flows > 0);
    assert_eq!(sink.packets, whole.packets);
    // What went on after the panic is a flow again, picked up in mid-stream.
    assert!(counters.flows + counters.lost_flows >= all.flows, "{counters:?} {all:?}");
    assert!(sink.findings > 0);

    for threads in [1, 3] {
        let sink = Verdicts { panic_at: Some(5_000), ..Verdicts::default() };
        let (several, counters) = on(threads, &["run-2/malformed"], sink);
        assert_eq!((several.packets, counters.restarts), (whole.packets, 1));
        assert!(counters.lost_flows > 0 && several.findings > 0);
    }
}

#[test]
fn full_tables_evict_and_count_and_every_flow_still_has_a_verdict() {
    let mut small = config();
    small.sequence.flows.max_flows = 50;
    small.sequence.hosts.max_hosts = 4;
    small.sequence.hosts.stripes = 1;
    let (sink, counters) = on_one(&["run-2/scan_A"], small, Verdicts::default());
    assert!(counters.evictions.flows > 500, "{counters:?}");
    assert!(counters.evictions.hosts > 0, "{counters:?}");
    assert_eq!(counters.scored, sink.flows.values().map(|(packets, _)| packets).sum::<u64>());
    assert_eq!(counters.flows, sink.flows.len() as u64);
}

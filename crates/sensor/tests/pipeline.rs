//! The pipeline on several threads, with full tables, and with a sink that panics.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use citronella_sensor::alert::Finding;
use citronella_sensor::capture::{Packet, filter::Filter};
use citronella_sensor::detect::{Batching, Config, Counters, Detector, FlowVerdict, ModelFile, Shard, Sink};
use citronella_sensor::pipeline::{Files, run, run_shards};
use citronella_wire::Frame;

type Key = (IpAddr, u16, IpAddr, u16, u8, i64);

#[derive(Default)]
struct Verdicts {
    flows: BTreeMap<Key, (u64, u32)>,
    findings: u64,
    packets: u64,
    panic_at: Option<u64>,
}

impl Sink for Verdicts {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.packets += 1;
        assert!(self.panic_at != Some(packet.number), "a sink that fails at packet {}", packet.number);
    }

    fn finding(&mut self, _: &Finding) {
        self.findings += 1;
    }

    fn ended(&mut self, verdict: &FlowVerdict) {
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
    Config { batching: Batching { packets: 192, wait_nanos: 1_000_000_000 }, ..Config::default() }
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

/// Flows are the same on any number of threads; verdicts may differ where the order in which the shards count a host's
/// flows decides, in two flows of a thousand at most.
#[test]
fn several_shards_differ_from_one_in_few_verdicts() {
    let (one, counters) = on_one(&RUN_2, config(), Verdicts::default());
    assert_eq!(counters.packets, one.packets);
    assert_eq!(counters.packets, counters.scored + counters.passed_over);
    assert_eq!(one.flows.values().map(|(packets, _)| packets).sum::<u64>(), counters.scored);
    assert_eq!(counters.findings, one.findings);
    for threads in [2, 4] {
        let sinks = (0..threads).map(|_| Verdicts::default()).collect();
        let shards =
            run_shards(&mut files(&RUN_2), &detector(), config(), sinks, |fault| panic!("{fault}")).unwrap();
        let (mut all, mut sum) = (Verdicts::default(), Counters::default());
        for (sink, counters) in shards {
            all.flows.extend(sink.flows);
            sum.merge(&counters);
        }
        assert_eq!((sum.packets, sum.scored, sum.flows), (counters.packets, counters.scored, counters.flows));
        let others = one.flows.iter().filter(|(key, verdict)| all.flows.get(key) != Some(verdict)).count();
        let packets_differ =
            one.flows.iter().any(|(key, (packets, _))| all.flows.get(key).map(|v| v.0) != Some(*packets));
        assert!(!packets_differ && all.flows.len() == one.flows.len());
        let called = |verdict: Option<&(u64, u32)>| verdict.is_some_and(|(_, class)| *class > 0);
        let missed = one
            .flows
            .iter()
            .filter(|(key, verdict)| called(Some(verdict)) != called(all.flows.get(key)))
            .count();
        println!(
            "{threads} shards: {others} of {} verdicts differ, {missed} of them between benign and attack",
            one.flows.len()
        );
        assert!(others * 100 <= one.flows.len(), "{others} of {}", one.flows.len());
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

    let sinks = vec![Verdicts { panic_at: Some(5_000), ..Verdicts::default() }, Verdicts::default()];
    let shards =
        run_shards(&mut files(&["run-2/malformed"]), &detector(), config(), sinks, |fault| panic!("{fault}"));
    let shards = shards.unwrap();
    assert_eq!(shards.iter().map(|(sink, _)| sink.packets).sum::<u64>(), whole.packets);
    assert!(shards.iter().map(|(_, counters)| counters.restarts).sum::<u64>() <= 1);
}

#[test]
fn full_tables_evict_and_count_and_every_flow_still_has_a_verdict() {
    let mut small = config();
    small.sequence.flows.max_flows = 50;
    small.sequence.hosts.max_hosts = 4;
    small.sequence.hosts.stripes = 1;
    let (sink, counters) = on_one(&["run-2/scan_A"], small, Verdicts::default());
    assert!(counters.losses.evicted_flows > 500, "{counters:?}");
    assert!(counters.losses.forgotten_hosts > 0, "{counters:?}");
    assert_eq!(counters.scored, sink.flows.values().map(|(packets, _)| packets).sum::<u64>());
    assert_eq!(counters.flows, sink.flows.len() as u64);
}

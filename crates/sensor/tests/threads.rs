//! The observer's events (packets, facts, probabilities, findings with statistics and reasons, ended flows) and their order
//! do not depend on the number of threads.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use citronella_sensor::capture::{Capture, Packet};
use citronella_sensor::detect::{
    Batching, Config, Counters, Detector, Finding, FlowVerdict, ModelFile, Observer, Reason, RuleContext,
    Shard,
};
use citronella_sensor::feature::sequence::{PacketFacts, verdict::Settings};
use citronella_wire::{Frame, LinkType};
use proptest::prelude::*;

/// Records all events as text.
#[derive(Default)]
struct Recorder {
    events: Vec<String>,
    reasons: usize,
}

impl Observer for Recorder {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.events.push(format!("packet {}", packet.number));
    }

    fn scored(&mut self, number: u64, flow: u64, probabilities: &[f32]) {
        let bits: Vec<u32> = probabilities.iter().map(|p| p.to_bits()).collect();
        self.events.push(format!("scored {number} {flow} {bits:x?}"));
    }

    fn facts(&mut self, facts: &PacketFacts, context: &RuleContext<'_>) {
        self.events.push(format!("facts {} {facts:?}", context.packet));
    }

    fn finding(&mut self, finding: &Finding, why: &mut dyn FnMut() -> Vec<Reason>) {
        let why: Vec<_> = why().iter().map(|reason| (reason.column.name, reason.weight.to_bits())).collect();
        self.reasons += why.len();
        self.events.push(format!("finding {finding:?} {why:?}"));
    }

    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        self.events.push(format!("ended {verdict:?}"));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn detector() -> Detector {
    Detector::new("model", &ModelFile::load(&root().join("models/sequence.safetensors")).unwrap()).unwrap()
}

/// Fails with the first difference.
fn assert_same(one: &Recorder, several: &Recorder, threads: usize) {
    for (at, (one, several)) in one.events.iter().zip(&several.events).enumerate() {
        assert_eq!(one, several, "{threads} threads, event {at}");
    }
    assert_eq!(one.events.len(), several.events.len());
}

#[test]
fn events_of_recordings_do_not_depend_on_threads() {
    let detector = detector();
    for (name, packets) in [("run-1/sparta", 1_024), ("run-2/malformed", 100), ("run-1/scan_A", 300)] {
        let run = |threads| {
            let batching = Batching { packets, ..Batching::RECORDED };
            let mut shard = Shard::new(&detector, Config { batching, threads, ..Config::default() }).unwrap();
            let (path, mut recorder) =
                (root().join(format!("data/lab/{name}.pcap.zst")), Recorder::default());
            let mut capture = Capture::open(&path).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                // Enough to reach the middle of an attack.
                if packet.number > 20_000 {
                    break;
                }
                shard.packet(&packet, &mut recorder).unwrap();
            }
            shard.finish(&mut recorder).unwrap();
            (recorder, shard.counters())
        };
        let (one, counters) = run(1);
        assert!(counters.flows_flagged > 0 && one.reasons > 0, "{name}: {counters:?}");
        for threads in [2, 3, 4] {
            let (several, same) = run(threads);
            assert_same(&one, &several, threads);
            assert_eq!(same, counters);
        }
    }
}

/// An input of the shard.
#[derive(Clone, Debug)]
enum Event {
    /// Between one of eight clients and a broker.
    Segment {
        client: u8,
        from_client: bool,
        flags: u8,
        payload: u8,
    },
    Tick,
    Flush,
    Restart,
}

/// Each event with the milliseconds before it.
fn events() -> impl Strategy<Value = Vec<(Event, u32)>> {
    let flags = prop_oneof![Just(0x02u8), Just(0x12), Just(0x10), Just(0x18), Just(0x11), Just(0x04)];
    let segment =
        (0u8..8, any::<bool>(), flags, 0u8..40).prop_map(|(client, from_client, flags, payload)| {
            Event::Segment { client, from_client, flags, payload }
        });
    let event = prop_oneof![60 => segment, 3 => Just(Event::Tick), 1 => Just(Event::Flush), 1 => Just(Event::Restart)];
    let after_ms = prop_oneof![5 => 0u32..3, 2 => 3u32..400, 1 => 400u32..20_000];
    prop::collection::vec((event, after_ms), 1..300)
}

fn frame(client: u8, from_client: bool, flags: u8, payload: u8) -> Vec<u8> {
    let ((src, dst), (from, to)) = match from_client {
        true => ((client + 10, 1), (40_000u16, 1883u16)),
        false => ((1, client + 10), (1883, 40_000)),
    };
    let mut bytes = vec![0; 12];
    bytes.extend([0x08, 0x00, 0x45, 0, 0, 40 + payload, 0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend([10, 0, 0, src, 10, 0, 0, dst]);
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + usize::from(payload), 0x30);
    bytes
}

fn observe(detector: &Detector, config: Config, events: &[(Event, u32)]) -> (Recorder, Counters) {
    let (mut shard, mut recorder) = (Shard::new(detector, config).unwrap(), Recorder::default());
    let mut time_nanos = 0;
    for (number, (event, after_ms)) in (1..).zip(events) {
        time_nanos += i64::from(*after_ms) * 1_000_000;
        match *event {
            Event::Segment { client, from_client, flags, payload } => {
                let bytes = frame(client, from_client, flags, payload);
                let wire_len = bytes.len() as u32;
                let packet = Packet { number, time_nanos, link: LinkType::Ethernet, wire_len, bytes: &bytes };
                shard.packet(&packet, &mut recorder).unwrap();
            }
            Event::Tick => shard.tick(time_nanos, &mut recorder).unwrap(),
            Event::Flush => shard.flush(&mut recorder).unwrap(),
            Event::Restart => shard.restart(config.shared(), &mut recorder).unwrap(),
        }
    }
    shard.finish(&mut recorder).unwrap();
    (recorder, shard.counters())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// With a capacity of four flows, a model with low thresholds, and events for idle conversations.
    #[test]
    fn events_of_random_traffic_do_not_depend_on_threads(events in events(), packets in 1usize..80) {
        let settings = Settings { window: 5, ..Settings::plain(5, 3, 0.2, 8) };
        let detector = detector().with_settings(settings);
        let mut config = Config {
            batching: Batching { packets, wait_nanos: 50_000_000, ahead: true },
            idle_report: Some(Duration::from_secs(1)),
            ..Config::default()
        };
        config.sequence.flows.max_flows = 4;
        config.sequence.flows.tcp_over = Duration::from_secs(1);
        config.sequence.flows.tcp_unanswered = Duration::from_secs(2);
        let (one, counters) = observe(&detector, Config { threads: 1, ..config }, &events);
        for threads in [2, 3, 4] {
            let (several, same) = observe(&detector, Config { threads, ..config }, &events);
            prop_assert_eq!(&several.events, &one.events);
            prop_assert_eq!(same, counters);
        }
    }
}

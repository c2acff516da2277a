//! What is told, and in which order, is the same for any number of threads: packets, facts, probabilities, findings with
//! their flows' statistics and reasons, ends.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use citronella_sensor::alert::{Finding, rules::Seen};
use citronella_sensor::capture::{Capture, Packet};
use citronella_sensor::detect::{
    Batching, Config, Counters, Detector, FlowVerdict, ModelFile, Reason, Shard, Sink,
};
use citronella_sensor::feature::sequence::{PacketFacts, verdict::Settings};
use citronella_wire::{Frame, LinkType};
use proptest::prelude::*;

/// All of it, word by word.
#[derive(Default)]
struct All {
    told: Vec<String>,
    reasons: usize,
}

impl Sink for All {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.told.push(format!("packet {}", packet.number));
    }

    fn scored(&mut self, number: u64, flow: u64, probabilities: &[f32]) {
        let bits: Vec<u32> = probabilities.iter().map(|p| p.to_bits()).collect();
        self.told.push(format!("scored {number} {flow} {bits:x?}"));
    }

    fn facts(&mut self, facts: &PacketFacts, seen: &Seen<'_>) {
        self.told.push(format!("facts {} {facts:?}", seen.packet));
    }

    fn explained(&mut self, finding: &Finding, why: &mut dyn FnMut() -> Vec<Reason>) {
        let why: Vec<_> = why().iter().map(|reason| (reason.column.name, reason.weight.to_bits())).collect();
        self.reasons += why.len();
        self.told.push(format!("finding {finding:?} {why:?}"));
    }

    fn ended(&mut self, verdict: &FlowVerdict) {
        self.told.push(format!("ended {verdict:?}"));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn detector() -> Detector {
    Detector::new("model", &ModelFile::load(&root().join("models/sequence.safetensors")).unwrap()).unwrap()
}

/// The first difference says more than two lists.
fn assert_same(one: &All, several: &All, threads: usize) {
    for (at, (one, several)) in one.told.iter().zip(&several.told).enumerate() {
        assert_eq!(one, several, "{threads} threads, event {at}");
    }
    assert_eq!(one.told.len(), several.told.len());
}

#[test]
fn on_recordings_all_is_told_alike() {
    let detector = detector();
    for (name, packets) in [("run-1/sparta", 1_024), ("run-2/malformed", 100), ("run-1/scan_A", 300)] {
        let tell = |threads| {
            let batching = Batching { packets, ..Batching::RECORDED };
            let mut shard = Shard::new(&detector, Config { batching, threads, ..Config::default() }).unwrap();
            let (path, mut all) = (root().join(format!("data/lab/{name}.pcap.zst")), All::default());
            let mut capture = Capture::open(&path).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                // Enough of each: in the middle of an attack at the latest.
                if packet.number > 20_000 {
                    break;
                }
                shard.packet(&packet, &mut all).unwrap();
            }
            shard.finish(&mut all).unwrap();
            (all, shard.counters())
        };
        let (one, counters) = tell(1);
        assert!(counters.findings > 0 && one.reasons > 0, "{name}: {counters:?}");
        for threads in [2, 3, 4] {
            let (several, same) = tell(threads);
            assert_same(&one, &several, threads);
            assert_eq!(same, counters);
        }
    }
}

/// What comes, and after how many milliseconds.
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
    Anew,
}

fn events() -> impl Strategy<Value = Vec<(Event, u32)>> {
    let flags = prop_oneof![Just(0x02u8), Just(0x12), Just(0x10), Just(0x18), Just(0x11), Just(0x04)];
    let segment =
        (0u8..8, any::<bool>(), flags, 0u8..40).prop_map(|(client, from_client, flags, payload)| {
            Event::Segment { client, from_client, flags, payload }
        });
    let event =
        prop_oneof![60 => segment, 3 => Just(Event::Tick), 1 => Just(Event::Flush), 1 => Just(Event::Anew)];
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

fn tell(detector: &Detector, config: Config, events: &[(Event, u32)]) -> (All, Counters) {
    let (mut shard, mut all) = (Shard::new(detector, config).unwrap(), All::default());
    let mut time_nanos = 0;
    for (number, (event, after_ms)) in (1..).zip(events) {
        time_nanos += i64::from(*after_ms) * 1_000_000;
        match *event {
            Event::Segment { client, from_client, flags, payload } => {
                let bytes = frame(client, from_client, flags, payload);
                let wire_len = bytes.len() as u32;
                let packet = Packet { number, time_nanos, link: LinkType::Ethernet, wire_len, bytes: &bytes };
                shard.packet(&packet, &mut all).unwrap();
            }
            Event::Tick => shard.tick(time_nanos, &mut all).unwrap(),
            Event::Flush => shard.flush(&mut all).unwrap(),
            Event::Anew => shard.begin_anew(config.shared(), &mut all).unwrap(),
        }
    }
    shard.finish(&mut all).unwrap();
    (all, shard.counters())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// With room for four flows, an eager model, and conversations that are told of when they fall silent.
    #[test]
    fn on_random_traffic_all_is_told_alike(events in events(), packets in 1usize..80) {
        let settings = Settings { window: 5, ..Settings::plain(5, 3, 0.2, 8) };
        let detector = detector().with_settings(settings);
        let mut config = Config {
            batching: Batching { packets, wait_nanos: 50_000_000, ahead: true },
            silence: Some(Duration::from_secs(1)),
            ..Config::default()
        };
        config.sequence.flows.max_flows = 4;
        config.sequence.flows.tcp_over = Duration::from_secs(1);
        config.sequence.flows.tcp_unanswered = Duration::from_secs(2);
        let (one, counters) = tell(&detector, Config { threads: 1, ..config }, &events);
        for threads in [2, 3, 4] {
            let (several, same) = tell(&detector, Config { threads, ..config }, &events);
            prop_assert_eq!(&several.told, &one.told);
            prop_assert_eq!(same, counters);
        }
    }
}

//! A shard reports the same events in the same order for any size of its micro-batches: those of a simple
//! implementation that scores one packet at a time.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use citronella_nn::StreamCell;
use citronella_sensor::capture::{Capture, Packet};
use citronella_sensor::detect::{
    Batching, Config, Detector, Finding, FlowVerdict, ModelFile, Observer, Reason, Shard,
};
use citronella_sensor::feature::sequence::{self, EndedFlow, SequenceLevel, verdict::RunningVerdict};
use citronella_sensor::flow::Flow;
use citronella_wire::{Frame, LinkType};
use proptest::prelude::*;

/// An event of a flow, without the flow's statistics, which change while a packet waits.
#[derive(Clone, Debug, PartialEq)]
enum FlowEvent {
    Finding { flow: String, packet: Option<u64>, time_nanos: i64, class: u32, score: f32, packets: u32 },
    Ended { flow: String, reason: &'static str, packets: u64, class: u32, score: f32, alert: Option<u32> },
}

fn name(flow: &Flow) -> String {
    format!("{} {:?} {:?} {}", flow.id, flow.src(), flow.dst(), flow.key().protocol())
}

fn ended(ended: &EndedFlow, class: u32, score: f32, alert: Option<u32>) -> FlowEvent {
    let (flow, packets, reason) = (name(&ended.flow), ended.flow.packets(), ended.reason.name());
    FlowEvent::Ended { flow, reason, packets, class, score, alert }
}

#[derive(Default)]
struct Events(Vec<FlowEvent>);

impl Observer for Events {
    fn finding(&mut self, f: &Finding, _: &mut dyn FnMut() -> Vec<Reason>) {
        self.0.push(FlowEvent::Finding {
            flow: name(&f.flow),
            packet: f.packet,
            time_nanos: f.time_nanos,
            class: f.class,
            score: f.score,
            packets: f.packets,
        });
    }

    fn flow_ended(&mut self, v: &FlowVerdict) {
        let end = EndedFlow { slot: 0, actor: v.flow.src().0, flow: v.flow, reason: v.reason };
        self.0.push(ended(&end, v.class, v.score, v.packets_to_alert));
    }
}

fn model() -> ModelFile {
    ModelFile::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sequence.safetensors")).unwrap()
}

/// The reference implementation: one packet at a time, no batches.
struct Reference<'a> {
    detector: &'a Detector,
    level: SequenceLevel,
    cell: StreamCell,
    running: Vec<RunningVerdict>,
    events: Vec<FlowEvent>,
}

impl<'a> Reference<'a> {
    fn new(detector: &'a Detector, config: sequence::Config) -> Reference<'a> {
        let slots = config.flows.max_flows;
        Reference {
            detector,
            level: SequenceLevel::new(config),
            cell: StreamCell::new(&detector.calibrated().unwrap(), slots).unwrap(),
            running: vec![RunningVerdict::default(); slots],
            events: Vec::new(),
        }
    }

    fn end(&mut self, all: &[EndedFlow]) {
        for end in all {
            let running = &mut self.running[end.slot as usize];
            let settings = self.detector.settings();
            let before = running.classification(settings).map(|known| known.class);
            let classification = running.end(settings);
            if let (Some(c), true) = (classification, classification.map(|known| known.class) != before) {
                let (flow, time_nanos) = (name(&end.flow), end.flow.last_nanos);
                let (class, score, packets) = (c.class, c.score, c.packets);
                self.events.push(FlowEvent::Finding {
                    flow,
                    packet: None,
                    time_nanos,
                    class,
                    score,
                    packets,
                });
            }
            let highest = running.highest();
            self.events.push(match classification {
                Some(known) => ended(end, known.class, known.score, Some(known.packets)),
                None => ended(end, 0, highest, None),
            });
        }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let row = self.level.packet(packet);
        let all = self.level.ended().to_vec();
        self.end(&all);
        let Some(row) = row else { return };
        let (settings, flow) = (self.detector.settings(), self.level.flow(row.slot).unwrap());
        let running = &mut self.running[row.slot as usize];
        if row.is_new {
            *running = RunningVerdict::default();
        }
        if settings.starts_window(flow.packets() - 1) {
            self.cell.reset(row.slot);
        }
        let mut out = vec![0.0; self.detector.classes().len()];
        self.cell.step(row.slot, &row.features, &mut out).unwrap();
        if running.step(&out, self.detector.beyond(&row.features), settings) {
            let known = running.classification(settings).unwrap();
            self.events.push(FlowEvent::Finding {
                flow: name(flow),
                packet: Some(packet.number),
                time_nanos: packet.time_nanos,
                class: known.class,
                score: known.score,
                packets: known.packets,
            });
        }
    }

    fn finish(mut self) -> Vec<FlowEvent> {
        let all = self.level.finish().to_vec();
        self.end(&all);
        self.events
    }
}

const BATCHINGS: [Batching; 5] = [
    Batching { packets: 1, wait_nanos: u64::MAX, ahead: false },
    Batching { packets: 7, wait_nanos: 5_000_000, ahead: true },
    Batching { packets: 192, wait_nanos: 5_000_000, ahead: false },
    Batching { packets: 1_024, wait_nanos: 1_000_000_000, ahead: true },
    Batching { packets: 5_000, wait_nanos: u64::MAX, ahead: false },
];

#[test]
fn every_batch_size_reports_the_events_of_the_reference() {
    let detector = Detector::new("the model", &model()).unwrap();
    let config = sequence::Config::default();
    for file in ["run-1/malformed", "run-1/sparta", "run-2/scan_sU"] {
        let path = format!("{}/../../data/lab/{file}.pcap.zst", env!("CARGO_MANIFEST_DIR"));
        let open = || Capture::open(Path::new(&path)).unwrap();
        let (mut reference, mut capture) = (Reference::new(&detector, config), open());
        while let Some(packet) = capture.next().unwrap() {
            reference.packet(&packet);
        }
        let expected = reference.finish();
        assert!(
            expected.iter().any(|event| matches!(event, FlowEvent::Finding { packet: Some(_), .. })),
            "{file}"
        );
        for batching in BATCHINGS {
            let config = Config { sequence: config, batching, threads: 3, ..Config::default() };
            let mut shard = Shard::new(&detector, config).unwrap();
            let (mut events, mut capture) = (Events::default(), open());
            while let Some(packet) = capture.next().unwrap() {
                shard.packet(&packet, &mut events).unwrap();
            }
            shard.finish(&mut events).unwrap();
            assert_eq!(events.0.len(), expected.len());
            for (got, expected) in events.0.iter().zip(&expected) {
                assert_eq!(got, expected, "{file}, {batching:?}");
            }
        }
    }
}

/// A detector without classes flags by its hosts' counts: a scanner's flows are unknown, benign ones are not.
#[test]
fn flows_of_no_class_are_unknown_and_reported_once() {
    let detector = Detector::new("the model", &model()).unwrap();
    let none = sequence::verdict::Settings {
        thresholds: vec![f32::NAN; detector.classes().len()],
        ..detector.settings().clone()
    };
    let (unknown, detector) = (detector.classes().len() as u32, detector.with_settings(none));
    let path = format!("{}/../../data/lab/run-1/scan_A.pcap.zst", env!("CARGO_MANIFEST_DIR"));
    for idle_report in [None, Some(Duration::from_secs(1))] {
        let mut shard = Shard::new(&detector, Config { idle_report, ..Config::default() }).unwrap();
        let (mut events, mut capture) = (Events::default(), Capture::open(Path::new(&path)).unwrap());
        while let Some(packet) = capture.next().unwrap() {
            shard.packet(&packet, &mut events).unwrap();
        }
        shard.finish(&mut events).unwrap();
        let (mut findings, mut ends, mut normal) = (0, 0, 0);
        for event in &events.0 {
            match event {
                FlowEvent::Finding { class, score, .. } => {
                    assert!(*class == unknown && *score >= 0.5 && *score < 1.0, "{event:?}");
                    findings += 1;
                }
                FlowEvent::Ended { class, alert, .. } if *class == unknown => {
                    assert!(alert.is_some());
                    ends += 1;
                }
                FlowEvent::Ended { .. } => normal += 1,
            }
        }
        // run-1 has 7,133 flows of the scan; the first ones stay below.
        assert!((6_500..=7_133).contains(&ends) && normal > 100, "{ends} unknown, {normal} normal");
        assert_eq!(findings, ends, "once a flow");
    }
}

/// A segment between one of six clients and a broker.
#[derive(Clone, Debug)]
struct Segment {
    client: u8,
    from_client: bool,
    flags: u8,
    payload: u8,
    after_ms: u32,
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let flags = prop_oneof![Just(0x02u8), Just(0x12), Just(0x10), Just(0x18), Just(0x11), Just(0x04)];
    let after_ms = prop_oneof![5 => 0u32..3, 2 => 3u32..400, 1 => 400u32..20_000];
    let one = (0u8..6, any::<bool>(), flags, 0u8..40, after_ms).prop_map(
        |(client, from_client, flags, payload, after_ms)| Segment {
            client,
            from_client,
            flags,
            payload,
            after_ms,
        },
    );
    prop::collection::vec(one, 1..300)
}

fn frame(segment: &Segment) -> Vec<u8> {
    let ((src, dst), (from, to)) = match segment.from_client {
        true => ((segment.client + 10, 1), (40_000u16, 1883u16)),
        false => ((1, segment.client + 10), (1883, 40_000)),
    };
    let mut bytes = vec![0; 12];
    bytes.extend([0x08, 0x00, 0x45, 0, 0, 40 + segment.payload, 0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend([10, 0, 0, src, 10, 0, 0, dst]);
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, segment.flags, 1, 0, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + usize::from(segment.payload), 0x30);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// With a table of three flows, slots are reused while packets of the flow before still wait.
    #[test]
    fn reused_slots_change_nothing(
        segments in segments(),
        packets in 1usize..80,
        ahead in any::<bool>(),
        threads in 1usize..4,
    ) {
        // A model that flags almost anything.
        let settings = sequence::verdict::Settings { window: 5, ..sequence::verdict::Settings::plain(5, 2, 0.2, 8) };
        let detector = Detector::new("the model", &model()).unwrap().with_settings(settings);
        let mut config = sequence::Config::default();
        config.flows.max_flows = 3;
        config.flows.tcp_over = Duration::from_secs(1);
        config.flows.tcp_unanswered = Duration::from_secs(2);
        let batching = Batching { packets, wait_nanos: 5_000_000, ahead };
        let mut shard =
            Shard::new(&detector, Config { sequence: config, batching, threads, idle_report: None }).unwrap();
        let (mut reference, mut events, mut time_nanos) = (Reference::new(&detector, config), Events::default(), 0);
        for (number, segment) in (1..).zip(&segments) {
            time_nanos += i64::from(segment.after_ms) * 1_000_000;
            let bytes = frame(segment);
            let wire_len = bytes.len() as u32;
            let packet = Packet { number, time_nanos, link: LinkType::Ethernet, wire_len, bytes: &bytes };
            reference.packet(&packet);
            shard.packet(&packet, &mut events).unwrap();
        }
        shard.finish(&mut events).unwrap();
        prop_assert_eq!(events.0, reference.finish());
    }
}

/// How late flows were reported: the difference of the packet time and the finding's.
#[derive(Default)]
struct Times {
    now_nanos: i64,
    reported: Vec<(u64, i64)>,
    flagged: Vec<u64>,
}

impl Observer for Times {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.now_nanos = packet.time_nanos;
    }

    fn finding(&mut self, finding: &Finding, _: &mut dyn FnMut() -> Vec<Reason>) {
        self.reported.push((finding.flow.id, self.now_nanos - finding.time_nanos));
    }

    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        if verdict.class > 0 {
            self.flagged.push(verdict.flow.id);
        }
    }
}

/// A scan's flows have two packets each: without an idle report the first is reported when it ends.
#[test]
fn idle_short_conversations_are_reported_within_seconds() {
    let detector = Detector::new("model", &model()).unwrap();
    let times = |idle_report| {
        let config = Config { idle_report, ..Config::default() };
        let (mut shard, mut times) = (Shard::new(&detector, config).unwrap(), Times::default());
        let mut capture = Capture::open(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab/run-1/scan_A.pcap.zst"),
        )
        .unwrap();
        while let Some(packet) = capture.next().unwrap() {
            shard.packet(&packet, &mut times).unwrap();
        }
        shard.finish(&mut times).unwrap();
        assert_eq!(shard.counters().flows_flagged as usize, times.reported.len());
        times
    };
    let (late, early) = (times(None), times(Some(Duration::from_secs(1))));
    let slow = |times: &Times| times.reported.iter().filter(|(_, nanos)| *nanos > 3_000_000_000).count();
    assert!(slow(&late) > 1000, "{}", slow(&late));
    assert!(slow(&early) * 100 < slow(&late), "{} of {}", slow(&early), slow(&late));
    assert_eq!(early.flagged, late.flagged, "verdicts are the same");
    let mut flows: Vec<u64> = early.reported.iter().map(|(flow, _)| *flow).collect();
    flows.sort_unstable();
    let all = flows.len();
    flows.dedup();
    assert_eq!(flows.len(), all, "a flow is reported once");
    assert!(early.flagged.iter().all(|flow| flows.binary_search(flow).is_ok()));
}

#[test]
fn reloading_the_same_model_changes_no_verdict() {
    let detector = Detector::new("sequence", &model()).unwrap();
    let mut shard = Shard::new(&detector, Config::default()).unwrap();
    let mut events = Events::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab/run-2/mqtt_bruteforce.pcap.zst");
    let mut capture = Capture::open(&path).unwrap();
    let mut packets = 0;
    while let Some(packet) = capture.next().unwrap() {
        shard.packet(&packet, &mut events).unwrap();
        packets += 1;
        if packets % 1_000 == 0 {
            shard.reload(&detector, &mut events).unwrap();
        }
    }
    shard.finish(&mut events).unwrap();
    let counters = shard.counters();
    let flagged = |event: &&FlowEvent| matches!(event, FlowEvent::Ended { class, .. } if *class > 0);
    assert!(counters.flows_flagged > 500);
    assert_eq!(events.0.iter().filter(flagged).count() as u64, counters.flows_flagged);
    assert_eq!(counters.flows_started, counters.flows);
}

#[test]
fn a_flow_takes_about_a_kibibyte() {
    let shard = Shard::new(&Detector::new("model", &model()).unwrap(), Config::default()).unwrap();
    assert_eq!(shard.bytes_per_flow(), 1_032);
}

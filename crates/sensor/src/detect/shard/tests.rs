//! Faults that only a test inside the module can inject.

use std::path::Path;

use super::*;
use crate::capture::Capture;
use crate::detect::{Batching, ModelFile};

struct Silent;

impl Observer for Silent {}

/// In tests, a step with infinite inputs panics.
#[test]
fn a_panic_in_a_worker_loses_only_the_open_flows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = ModelFile::load(&root.join("models/sequence.safetensors")).unwrap();
    let detector = Detector::new("the model", &model).unwrap();
    let batching = Batching { packets: 64, ..Batching::RECORDED };
    for threads in [1, 2, 4] {
        let mut shard = Shard::new(&detector, Config { batching, threads, ..Config::default() }).unwrap();
        let mut capture = Capture::open(&root.join("data/lab/run-2/malformed.pcap.zst")).unwrap();
        let mut packets = 0;
        while let Some(packet) = capture.next().unwrap() {
            shard.packet(&packet, &mut Silent).unwrap();
            packets += 1;
            if packets == 1_000 {
                *shard.filling.x.first_mut().unwrap() = f32::INFINITY;
            }
        }
        shard.finish(&mut Silent).unwrap();
        let counters = shard.counters();
        assert_eq!((counters.packets, counters.restarts), (packets, 1), "{threads} threads");
        assert!(counters.lost_flows > 0 && counters.flows_flagged > 0, "{counters:?}");
        assert_eq!(counters.flows + counters.lost_flows, counters.flows_started);
        assert_eq!(shard.unreported_flows(), 0);
    }
}

//! Configuration of detection: caps and waiting times.

use std::time::Duration;

use crate::feature::sequence::{self, Shared};

/// How long packets wait to be scored together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Most packets that wait.
    pub packets: usize,
    /// Packet time in nanoseconds after which waiting packets are scored at the next packet or tick.
    pub wait_nanos: u64,
    /// A batch is reported when the next one is full, so that other threads step the network meanwhile: for recordings,
    /// where latency does not matter.
    pub ahead: bool,
}

impl Batching {
    /// For recordings that are read as fast as possible: packets wait up to a second of packet time, in which a batch
    /// fills within a millisecond of wall time.
    pub const RECORDED: Batching = Batching { packets: 1_024, wait_nanos: 1_000_000_000, ahead: true };
}

impl Default for Batching {
    /// 192 packets, 5 ms, reported at once.
    fn default() -> Batching {
        Batching { packets: 192, wait_nanos: 5_000_000, ahead: false }
    }
}

/// Caps, seeds and waiting times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Configuration of the sequence level.
    pub sequence: sequence::Config,
    /// Configuration of the micro-batch.
    pub batching: Batching,
    /// Idle time after which a conversation is reported early: one with too few packets to be flagged, all of which point
    /// to an attack, or one that is unknown. `None`: when it ends. The verdict still follows at its end, and may differ.
    pub idle_report: Option<Duration>,
    /// With [`Batching::ahead`], threads that step the network, the caller's included; 0 is 1. The output does not depend
    /// on it.
    pub threads: usize,
}

impl Config {
    /// Empty tables for one shard, or for several to share.
    pub fn shared(&self) -> Shared {
        Shared::new(&self.sequence)
    }
}

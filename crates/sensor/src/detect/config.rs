//! Caps and waiting times of detection.

use std::time::Duration;

use crate::feature::sequence::{self, Shared};

/// How long packets may wait to be scored together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Packets that wait at most.
    pub packets: usize,
    /// Packet time, in nanoseconds, after which what waits is scored when the next packet or tick comes.
    pub wait_nanos: u64,
    /// A batch is told of when the next one is full, not at once, so that other threads step the network meanwhile: for
    /// recordings, where nobody waits.
    pub ahead: bool,
}

impl Batching {
    /// Of recordings that are read as fast as possible. Packets wait for a second of their time: a batch fills in less
    /// than a millisecond.
    pub const RECORDED: Batching = Batching { packets: 1_024, wait_nanos: 1_000_000_000, ahead: true };
}

impl Default for Batching {
    /// 192 packets, 5 ms, told of at once.
    fn default() -> Batching {
        Batching { packets: 192, wait_nanos: 5_000_000, ahead: false }
    }
}

/// Caps, seeds and waiting times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The sequence level's.
    pub sequence: sequence::Config,
    /// The micro-batch's.
    pub batching: Batching,
    /// A conversation of fewer packets than a call needs, all of which speak for an attack, is told of when it has been
    /// silent for so long, and so is one that is unknown; else at its end. Its verdict is given at its end in either case, and may be another.
    pub silence: Option<Duration>,
    /// With [`Batching::ahead`], threads that step the network, the caller's among them; 0 is 1. What is told does not
    /// depend on it.
    pub threads: usize,
}

impl Config {
    /// What one or many shards know together: nothing yet.
    pub fn shared(&self) -> Shared {
        Shared::new(&self.sequence)
    }
}

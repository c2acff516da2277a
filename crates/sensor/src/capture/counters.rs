//! Counters of a packet source.

use std::ops::AddAssign;

/// Packets of a source since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureCounters {
    /// Packets that passed the filter.
    pub packets: u64,
    /// Packets that the filter excluded; live also those that this host sent and those that are not IP on an interface
    /// without an Ethernet header.
    pub filtered: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub dropped: u64,
    /// Packets that the kernel announced but did not deliver: always 0 with a sound kernel.
    pub damaged: u64,
    /// Times that the ring was full.
    pub ring_full: u64,
}

impl CaptureCounters {
    /// Packets that arrived at the capture: delivered, excluded and dropped ones.
    pub fn received(&self) -> u64 {
        self.packets + self.filtered + self.dropped
    }
}

impl AddAssign for CaptureCounters {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.filtered += other.filtered;
        self.dropped += other.dropped;
        self.damaged += other.damaged;
        self.ring_full += other.ring_full;
    }
}

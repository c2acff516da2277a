//! Live capture on Linux: AF_PACKET with a memory-mapped TPACKET_V3 ring for each shard and interface.
//!
//! In: interface names. Out: [`Packet`](super::Packet)s as they pass, borrowed from the ring. `socket.rs` opens an
//! interface and lives through its going down, up and away; `block.rs` reads a block, `program.rs` makes the kernel's
//! filters, `sys.rs` has the system calls and all unsafe code.
//!
//! With several shards the kernel spreads packets by host pair (PACKET_FANOUT with a program of ours): every packet
//! between two hosts reaches the same shard, fragments included. Kernels before 4.3 spread by flow instead: then
//! fragments may reach another shard than the rest of their flow.

mod block;
mod error;
mod interfaces;
mod program;
mod shard;
mod socket;
mod sys;

use std::time::Duration;

pub use error::LiveError;
pub use interfaces::{Interface, interfaces};
pub use shard::{LiveShard, open};
pub use socket::{LinkEvent, Notice};

use super::filter::Filter;

/// Bytes of a block: it holds the largest packet that receive offload makes, and a ring has many, because a block is
/// handed over when its time is up, however full (`docs/adr/0062-live-capture.md`).
const BLOCK_BYTES: usize = 1 << 18;

/// How to capture.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// The interfaces; `any` is all of them, without their link layers.
    pub interfaces: Vec<String>,
    /// Which packets to look at.
    pub filter: Filter,
    /// Bytes kept of a packet.
    pub snap_bytes: u32,
    /// Bytes of the ring of one shard and interface; rounded up to whole blocks.
    pub ring_bytes: usize,
    /// How long packets may lie in a block before they are handed over; whole milliseconds, at least one.
    pub block_timeout: Duration,
    /// Whether packets for other hosts are seen too.
    pub promiscuous: bool,
    /// Whether packets that this host sends are left out. On loopback they always are: they come back in.
    pub ignore_outgoing: bool,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            filter: Filter::default(),
            snap_bytes: 1 << 18,
            ring_bytes: 128 * BLOCK_BYTES,
            block_timeout: Duration::from_millis(2),
            promiscuous: true,
            ignore_outgoing: false,
        }
    }
}

/// What a shard's rings counted since they were opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounters {
    /// Packets handed out.
    pub packets: u64,
    /// Packets that found the ring full.
    pub dropped: u64,
    /// Packets left out: sent by this host, outside the filter, or not IP where there is no link layer.
    pub left_out: u64,
    /// Packets that the kernel announced and did not deliver: always 0 with a sound kernel.
    pub damaged: u64,
    /// How often the ring was full.
    pub freezes: u64,
}

impl std::ops::AddAssign for LiveCounters {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.dropped += other.dropped;
        self.left_out += other.left_out;
        self.damaged += other.damaged;
        self.freezes += other.freezes;
    }
}

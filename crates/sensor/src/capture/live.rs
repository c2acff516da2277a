//! Live capture on Linux: AF_PACKET with a memory-mapped TPACKET_V3 ring for each shard and interface.
//!
//! In: interface names. Out: [`Packet`](super::Packet)s as they arrive, borrowed from the ring. `socket.rs` opens an
//! interface and follows its state (up, down, removed), `block.rs` reads a ring block, `program.rs` generates the
//! kernel's BPF programs, `sys.rs` has the system calls and all unsafe code.
//!
//! With several shards the kernel distributes packets by host pair (PACKET_FANOUT with a BPF program): all packets
//! between two hosts reach the same shard, fragments included. Kernels before 4.3 distribute by flow instead: then
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

use super::filter::Filter;

/// Bytes of a block: it holds the largest packet of receive offload. A ring has many blocks, because a block is retired
/// at its timeout, however full (`docs/adr/0062-live-capture.md`).
const BLOCK_BYTES: usize = 1 << 18;

/// Settings of live capture.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// The interfaces; `any` is all of them, without their link layers.
    pub interfaces: Vec<String>,
    /// Which packets to capture.
    pub filter: Filter,
    /// Snap length: bytes captured of a packet.
    pub snap_bytes: u32,
    /// Bytes of the ring of one shard and interface; rounded up to whole blocks.
    pub ring_bytes: usize,
    /// How long a block may collect packets before it is retired; whole milliseconds, at least one.
    pub block_timeout: Duration,
    /// Whether packets for other hosts are captured.
    pub promiscuous: bool,
    /// Whether packets that this host sends are ignored. On loopback they always are, because they are also received.
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

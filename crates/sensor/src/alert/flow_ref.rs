//! A flow as records and alerts name it: by a number that any table of flows gives it, and by its ends.

use std::hash::BuildHasher;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Flow;

/// A flow at some packet of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowRef {
    /// [`flow_id`] of it.
    pub id: u64,
    /// The initiator's address and port.
    pub src: (IpAddr, u16),
    /// The responder's.
    pub dst: (IpAddr, u16),
    /// IANA protocol number.
    pub protocol: u8,
    /// Its first packet, nanoseconds since 1970-01-01 UTC.
    pub first_nanos: i64,
    /// Packets of the initiator and of the responder so far.
    pub packets: [u64; 2],
    /// Bytes of their IP datagrams.
    pub bytes: [u64; 2],
}

impl From<&Flow> for FlowRef {
    fn from(flow: &Flow) -> FlowRef {
        FlowRef {
            id: flow_id(flow),
            src: flow.src(),
            dst: flow.dst(),
            protocol: flow.key().protocol(),
            first_nanos: flow.first_nanos,
            packets: flow.sides.map(|side| side.packets),
            bytes: flow.sides.map(|side| side.bytes),
        }
    }
}

/// A flow's number in records: made of its 5-tuple and the time of its first packet, so that shards and tables agree
/// without asking each other, and a second run gives the same. 51 bits, as many as Suricata's: readers of JSON that
/// know only floating-point numbers keep it whole. Never 0.
pub fn flow_id(flow: &Flow) -> u64 {
    const BITS: u64 = (1 << 51) - 1;
    let hash = foldhash::quality::FixedState::with_seed(0x666c_6f77).hash_one((flow.key(), flow.first_nanos));
    (hash & BITS).max(1)
}

//! References to flows in records and alerts: an id that every flow table computes alike, and the endpoints.

use std::hash::BuildHasher;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Flow;

/// A flow at some packet of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowRef {
    /// [`flow_id`] of it.
    pub id: u64,
    /// Address and port of the initiator.
    pub src: (IpAddr, u16),
    /// Address and port of the responder.
    pub dst: (IpAddr, u16),
    /// IANA protocol number.
    pub protocol: u8,
    /// Its first packet, nanoseconds since 1970-01-01 UTC.
    pub first_nanos: i64,
    /// Packets of the initiator and of the responder.
    pub packets: [u64; 2],
    /// Bytes of their IP datagrams, likewise.
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

/// The id of a flow in records: a hash of its 5-tuple and the time of its first packet, so that shards, tables and runs
/// agree on it. 51 bits as in Suricata: JSON readers that parse numbers as floating point keep it exact. Never 0.
pub fn flow_id(flow: &Flow) -> u64 {
    const BITS: u64 = (1 << 51) - 1;
    let hash = foldhash::quality::FixedState::with_seed(0x666c_6f77).hash_one((flow.key(), flow.first_nanos));
    (hash & BITS).max(1)
}

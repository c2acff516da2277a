//! From packets to flows: keys, the live flow table, IP and TCP reassembly, whole-capture flows, host behaviour.
//!
//! In: decoded frames in capture order. Out: datagrams reassembled from IP fragments ([`fragments`]), [`FlowEvent`]s of
//! the policy `live` ([`table`]), whole-capture statistics of the policy `ids2020` ([`ids2020`]), the bytes of a TCP
//! direction in order ([`reassembly`]), and what each initiator did recently ([`initiator`]). Every table and buffer has
//! a cap and counts what it drops. Time is packet time in nanoseconds.

pub(crate) mod clock;
pub mod fragments;
pub(crate) mod generational_cache;
pub mod ids2020;
pub mod initiator;
pub mod key;
pub mod reassembly;
pub mod record;
pub mod sessions;
pub mod sharded;
pub mod table;
pub(crate) mod tcp_seq;
mod timers;

pub use key::{Direction, FlowKey, HashSeed};
pub use record::{Flow, FlowPacket, Phase, Side};
pub use table::{EndReason, FlowEvent, FlowTable};

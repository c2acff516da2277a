//! From packets to conversations: keys, the table of live flows, TCP reassembly, whole-capture flows.
//!
//! In: decoded frames in capture order. Out: whole datagrams of IP fragments ([`fragments`]), [`FlowEvent`]s of the
//! policy `live` ([`table`]), the whole-capture
//! statistics of the policy `ids2020` ([`ids2020`]), the bytes of a TCP direction in order ([`reassembly`]), and the
//! messages that end in a segment as Wireshark shows them ([`mqtt_stream`]). Every table and buffer has a cap and
//! counts what it dropped; time is packet time, in nanoseconds.

pub(crate) mod clock;
pub mod fragments;
pub mod ids2020;
pub mod initiator;
pub mod key;
pub(crate) mod latest;
mod mqtt_pending;
pub mod mqtt_stream;
pub mod reassembly;
pub mod record;
mod records;
mod services;
pub mod sessions;
pub mod sharded;
pub mod table;
pub mod tcp_analysis;
mod timers;

pub use key::{Direction, FlowKey, HashSeed};
pub use record::{Flow, FlowPacket, Phase, Side};
pub use table::{EndReason, FlowEvent, FlowTable};

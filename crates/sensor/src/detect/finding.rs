//! A finding: at this packet, this flow was flagged.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Flow;

/// Signature id of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleId(pub u32);

/// What flagged the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingSource {
    /// The LSTM.
    Model,
    /// A rule.
    Rule(RuleId),
}

/// A flow flagged by the model or by a rule.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// Time of the packet that decided it, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// Number of that packet in the capture, from 1; `None` where a flow was flagged when it ended or fell idle.
    pub packet: Option<u64>,
    /// The host responsible: the flow's initiator; for an ICMP error, the sender of the packet that it answers.
    pub initiator: IpAddr,
    /// The flow at that time.
    pub flow: Flow,
    /// Index of the model's class; the number of classes stands for "unknown".
    pub class: u32,
    /// The model's calibrated probability of an attack, or the count that a rule compared.
    pub score: f32,
    /// The threshold that the score reached.
    pub threshold: f32,
    /// Packets of the flow until it was flagged.
    pub packets: u32,
    /// The model or a rule.
    pub source: FindingSource,
}

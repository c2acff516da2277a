//! What the detectors tell the alerts: of this flow, at this packet, this is the case.

use std::net::IpAddr;

use crate::flow::Flow;

/// A rule beside the model: its signature id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RuleId(pub u32);

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detector {
    /// The LSTM.
    Model,
    /// A rule beside it.
    Rule(RuleId),
}

/// A detector's call on a flow.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// Of the packet that settled it, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// That packet's number in the capture, from 1; `None` where flows end without one.
    pub packet: Option<u64>,
    /// Whose doing it is: the flow's initiator; of an ICMP error, the host that sent what it answers.
    pub initiator: IpAddr,
    /// The flow as it stood then.
    pub flow: Flow,
    /// Place among the model's classes; their number stands for "unknown".
    pub class: u32,
    /// The model's calibrated probability that it is an attack; of a rule, what it counted.
    pub score: f32,
    /// What the score had to reach.
    pub threshold: f32,
    /// Packets of the flow until the call.
    pub packets: u32,
    /// Who found it.
    pub detector: Detector,
}

//! A flow, its class, and what a detector says of it.

use std::net::IpAddr;

use crate::dataset::NORMAL;

/// The name of what a detector calls an attack of no class that it knows.
pub const UNKNOWN: &str = "unknown";

/// The names of classes: those of the model, [`UNKNOWN`], then scenarios that only the data knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    names: Vec<String>,
    known: usize,
}

impl Classes {
    /// Of a model, its benign class first, for captures with these scenarios.
    pub fn new<'a>(model: &[String], scenarios: impl IntoIterator<Item = &'a str>) -> Classes {
        let mut names: Vec<String> = model.iter().cloned().chain([UNKNOWN.to_owned()]).collect();
        for scenario in scenarios {
            if !names.iter().any(|name| name == scenario) {
                names.push(scenario.to_owned());
            }
        }
        Classes { names, known: model.len() }
    }

    /// All names; a class's place is its number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many the model knows; also the number of [`UNKNOWN`].
    pub fn known(&self) -> usize {
        self.known
    }

    /// A class's number; that of `normal` for a name that is none.
    pub fn number(&self, name: &str) -> u32 {
        let place = |name: &str| self.names.iter().position(|known| known == name);
        place(name).or_else(|| place(NORMAL)).unwrap_or(0) as u32
    }

    /// The number of `normal`.
    pub fn normal(&self) -> u32 {
        self.number(NORMAL)
    }
}

/// A capture that was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureSpan {
    /// The recording it belongs to.
    pub recording: String,
    /// Its file name.
    pub file: String,
    /// Whether somebody attacks in it.
    pub is_attacked: bool,
    /// Times of its first and last packet, nanoseconds since 1970; `None` without packets.
    pub span_nanos: Option<(i64, i64)>,
}

/// When a flow was called an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The flow's packets until then.
    pub packets: u64,
    /// The packet time, nanoseconds since 1970; of a flow that is called as it ends, the time when its end is known.
    pub time_nanos: i64,
}

/// A flow, its class, and what a detector says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedFlow {
    /// The capture it lies in, of those judged.
    pub capture: u32,
    /// The initiator.
    pub src: (IpAddr, u16),
    /// The responder.
    pub dst: (IpAddr, u16),
    /// IANA protocol number.
    pub protocol: u8,
    /// Time of its first packet, nanoseconds since 1970.
    pub first_nanos: i64,
    /// Time of its last packet.
    pub last_nanos: i64,
    /// The packet time when its end was known.
    pub ended_nanos: i64,
    /// Its packets.
    pub packets: u64,
    /// Its class, by the manifest.
    pub truth: u32,
    /// What the detector calls it.
    pub called: u32,
    /// How sure the detector is that it attacks, 0 to 1: ranks flows. Of a model, what one minus the probability of
    /// benign traffic did not fall below over as many packets in a row as a call needs.
    pub score: f64,
    /// When it was called; `None` where it is called normal.
    pub alert: Option<Alert>,
    /// The model's probability of each class that it knows, mean over the flow's packets; empty for a detector
    /// without probabilities.
    pub probabilities: Vec<f32>,
}

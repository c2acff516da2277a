//! A flow with its true class and a detector's verdict.

use std::net::IpAddr;

use crate::dataset::NORMAL;

/// Name of the class of attacks that fit none of the model's classes.
pub const UNKNOWN: &str = "unknown";

/// Class names: the model's, [`UNKNOWN`], then scenarios that only the data has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    names: Vec<String>,
    known: usize,
}

impl Classes {
    /// The classes of a model, benign first, and of captures with these scenarios.
    pub fn new<'a>(model: &[String], scenarios: impl IntoIterator<Item = &'a str>) -> Classes {
        let mut names: Vec<String> = model.iter().cloned().chain([UNKNOWN.to_owned()]).collect();
        for scenario in scenarios {
            if !names.iter().any(|name| name == scenario) {
                names.push(scenario.to_owned());
            }
        }
        Classes { names, known: model.len() }
    }

    /// All names, by class index.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of the model's classes; also the index of [`UNKNOWN`].
    pub fn known(&self) -> usize {
        self.known
    }

    /// Index of a class; that of `normal` for an unknown name.
    pub fn index(&self, name: &str) -> u32 {
        let index = |name: &str| self.names.iter().position(|known| known == name);
        index(name).or_else(|| index(NORMAL)).unwrap_or(0) as u32
    }

    /// Index of `normal`.
    pub fn normal(&self) -> u32 {
        self.index(NORMAL)
    }
}

/// An evaluated capture.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureSpan {
    /// The recording.
    pub recording: String,
    /// The file name.
    pub file: String,
    /// Whether the capture has an attacker.
    pub is_attacked: bool,
    /// Times of the first and the last packet, Unix nanoseconds; `None` without packets.
    pub span_nanos: Option<(i64, i64)>,
}

/// When a flow was flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlaggedAt {
    /// The flow's packets until then.
    pub packets: u64,
    /// Packet time, Unix nanoseconds. For a flow that is classified when it ends, the time at which its end is known.
    pub time_nanos: i64,
}

/// A flow with its true class and a detector's verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifiedFlow {
    /// Index of its capture among those evaluated.
    pub capture: u32,
    /// The initiator.
    pub src: (IpAddr, u16),
    /// The responder.
    pub dst: (IpAddr, u16),
    /// IANA protocol number.
    pub protocol: u8,
    /// Time of the first packet, Unix nanoseconds.
    pub first_nanos: i64,
    /// Time of the last packet, Unix nanoseconds.
    pub last_nanos: i64,
    /// Packet time at which the flow's end is known, Unix nanoseconds.
    pub ended_nanos: i64,
    /// Number of packets.
    pub packets: u64,
    /// Class index by the manifest.
    pub truth: u32,
    /// Class index of the verdict.
    pub predicted: u32,
    /// Confidence that the flow is an attack, 0 to 1; ranks flows. For a model: the highest value that one minus the
    /// probability of `normal` does not fall below over as many consecutive packets as flag a flow.
    pub score: f64,
    /// When it was flagged; `None` if it is classified as normal.
    pub flagged_at: Option<FlaggedAt>,
    /// Probability of each of the model's classes, mean over the flow's packets; empty for a detector without
    /// probabilities.
    pub probabilities: Vec<f32>,
}

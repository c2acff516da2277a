//! Feature attribution of a flow's verdict: integrated gradients through the network.
//!
//! In: a capture and one of its flows. Out: an [`Explanation`]: the contribution of each feature of each packet to the
//! log-odds of an attack against benign traffic, after the packet that flagged the flow. Reads the capture twice: for
//! the verdict, then for the flow's rows since its state was last reset, at most
//! [`Settings::window`](crate::feature::sequence::verdict::Settings).
//!
//! The baseline is a sequence of as many packets with all features 0 (docs/adr/0046-explanations.md). Log-odds are
//! calibrated: divided by the temperature.

use std::{net::IpAddr, path::Path};

use citronella_nn::Attribution;

use super::{Config, Detector, FlowVerdict, Observer, Shard};
use crate::capture::{Capture, CaptureError};
use crate::feature::sequence::SequenceLevel;
use crate::flow::Flow;

/// Which flow to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowChoice {
    /// The row of `detect --verdicts`, from 1: flows in the order in which they end.
    Number(u64),
    /// The first flow between two endpoints, in either direction.
    Endpoints((IpAddr, u16), (IpAddr, u16)),
}

/// A flow could not be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The network does not fit the rows.
    #[error(transparent)]
    Network(#[from] citronella_nn::Error),
    /// There is no such flow.
    #[error(
        "{file}: no such flow among its {flows} flows; `citronella detect -r {file} --verdicts -` lists them"
    )]
    NoFlow {
        /// The capture.
        file: String,
        /// Number of its flows.
        flows: u64,
    },
    /// The flow has no such packet.
    #[error("no packet {packet} in the flow, which has {packets}")]
    NoPacket {
        /// The requested packet.
        packet: u64,
        /// Number of the flow's packets.
        packets: u64,
    },
}

/// A packet of the flow.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedPacket {
    /// Number in the flow, from 1.
    pub in_flow: u64,
    /// Number in the capture, from 1.
    pub in_capture: u64,
    /// Unix time in nanoseconds.
    pub time_nanos: i64,
    /// Encoded features, the network's inputs.
    pub features: Vec<f32>,
}

/// The contributions to a flow's verdict.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The flow's row among the verdicts, from 1.
    pub number: u64,
    /// Number of flows between the chosen endpoints; 1 for a choice by number.
    pub candidates: u64,
    /// The flow's verdict.
    pub verdict: FlowVerdict,
    /// The attack class whose log-odds are explained: the verdict's, or the most probable.
    pub attack: u32,
    /// Calibrated probabilities after the last packet.
    pub probabilities: Vec<f32>,
    /// The packets since the last reset of the state, up to the explained one.
    pub packets: Vec<ExplainedPacket>,
    /// Contributions, packets x features; positive ones increase the log-odds of the attack.
    pub attribution: Attribution,
}

impl Explanation {
    /// Contribution of each feature, summed over the packets.
    pub fn by_feature(&self) -> Vec<f64> {
        let width = self.width();
        let mut sums = vec![0.0; width];
        for step in self.attribution.values.chunks_exact(width) {
            sums.iter_mut().zip(step).for_each(|(sum, value)| *sum += value);
        }
        sums
    }

    /// Contribution of each packet, summed over the features.
    pub fn by_packet(&self) -> Vec<f64> {
        self.attribution.values.chunks_exact(self.width()).map(|step| step.iter().sum()).collect()
    }

    /// Number of features per packet.
    pub fn width(&self) -> usize {
        self.packets.first().map_or(1, |packet| packet.features.len().max(1))
    }
}

/// Finds the chosen flow's verdict.
struct Finder<'c> {
    choice: &'c FlowChoice,
    flows: u64,
    candidates: u64,
    /// Row and verdict of the match that started first.
    found: Option<(u64, FlowVerdict)>,
}

impl Observer for Finder<'_> {
    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        self.flows += 1;
        let is_match = match self.choice {
            FlowChoice::Number(number) => *number == self.flows,
            FlowChoice::Endpoints(a, b) => is_between(&verdict.flow, *a, *b),
        };
        if is_match {
            self.candidates += 1;
            if self.found.is_none_or(|(_, known)| verdict.flow.id < known.flow.id) {
                self.found = Some((self.flows, *verdict));
            }
        }
    }
}

fn is_between(flow: &Flow, a: (IpAddr, u16), b: (IpAddr, u16)) -> bool {
    let (src, dst) = (flow.src(), flow.dst());
    (src, dst) == (a, b) || (src, dst) == (b, a)
}

/// Explains a flow's verdict at packet number `packet`, from 1; without it, at the packet that flagged the flow, or the
/// one with the highest probability of an attack.
///
/// # Errors
/// The capture cannot be read, or has no such flow or packet.
pub fn explain(
    detector: &Detector,
    config: Config,
    capture: &Path,
    choice: &FlowChoice,
    packet: Option<u64>,
) -> Result<Explanation, ExplainError> {
    let mut finder = Finder { choice, flows: 0, candidates: 0, found: None };
    let mut shard = Shard::new(detector, config)?;
    let mut packets = Capture::open(capture)?;
    while let Some(packet) = packets.next()? {
        shard.packet(&packet, &mut finder)?;
    }
    shard.finish(&mut finder)?;
    let file = capture.display().to_string();
    let (number, verdict) = finder.found.ok_or(ExplainError::NoFlow { file, flows: finder.flows })?;
    if let Some(packet) = packet.filter(|packet| *packet == 0 || *packet > verdict.flow.packets()) {
        return Err(ExplainError::NoPacket { packet, packets: verdict.flow.packets() });
    }
    let target = packet.or(verdict.packets_to_alert.map(u64::from));
    let window = rows(detector, config, capture, verdict.flow.id, target)?;
    let is_known = (1..detector.classes().len()).contains(&(verdict.class as usize));
    let attack = if is_known { verdict.class } else { window.attack };
    let temperature = detector.settings().temperature.max(1e-3);
    let direction: Vec<f32> = (0..detector.classes().len() as u32)
        .map(|class| match class {
            0 => -1.0 / temperature,
            class if class == attack => 1.0 / temperature,
            _ => 0.0,
        })
        .collect();
    let x: Vec<f32> = window.packets.iter().flat_map(|packet| packet.features.iter().copied()).collect();
    let attribution = detector.network().integrated_gradients(&x, &vec![0.0; x.len()], &direction)?;
    Ok(Explanation {
        number,
        candidates: finder.candidates,
        verdict,
        attack,
        probabilities: window.probabilities,
        packets: window.packets,
        attribution,
    })
}

/// The packets that the network's state depends on.
#[derive(Clone, Default)]
struct Window {
    packets: Vec<ExplainedPacket>,
    probabilities: Vec<f32>,
    attack: u32,
}

/// The flow's rows since the last reset of its state, up to packet `target` or up to the one with the highest
/// probability of an attack.
fn rows(
    detector: &Detector,
    config: Config,
    capture: &Path,
    flow: u64,
    target: Option<u64>,
) -> Result<Window, ExplainError> {
    let mut level = SequenceLevel::new(config.sequence);
    let mut stepper = detector.stepper()?;
    let mut states = stepper.states(1);
    let (mut window, mut best, mut highest) = (Window::default(), Window::default(), -1.0);
    let (mut count, mut packets) = (0u64, Capture::open(capture)?);
    while let Some(packet) = packets.next()? {
        let Some(row) = level.packet(&packet).filter(|row| row.flow == flow) else { continue };
        if detector.settings().starts_window(count) {
            window.packets.clear();
            states.reset(0);
        }
        count += 1;
        let mut features = Vec::new();
        detector.encode(&row.features, &mut features);
        window.probabilities.resize(detector.classes().len(), 0.0);
        stepper.step_many(&mut states, &[0], &features, &mut window.probabilities)?;
        let (in_capture, time_nanos) = (packet.number, packet.time_nanos);
        window.packets.push(ExplainedPacket { in_flow: count, in_capture, time_nanos, features });
        let attacks = (0..).zip(&window.probabilities).skip(1);
        let likeliest = attacks.fold((0, -1.0), |top, (class, p)| if *p > top.1 { (class, *p) } else { top });
        window.attack = likeliest.0;
        let attack = 1.0 - window.probabilities.first().copied().unwrap_or(1.0);
        match target {
            Some(target) if target == count => return Ok(window),
            Some(_) => {}
            None if attack > highest => (highest, best) = (attack, window.clone()),
            None => {}
        }
    }
    Ok(if best.packets.is_empty() { window } else { best })
}

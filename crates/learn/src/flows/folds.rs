//! Leave-one-recording-out: verdicts of a held-out recording's own network, and figures over seeds.

use std::collections::HashMap;

use citronella_sensor::feature::sequence::verdict::Settings;
use serde::Serialize;

use super::{
    classified::{CaptureSpan, ClassifiedFlow, FlaggedAt},
    classify::ClassifiedFlows,
};
use crate::sequence::{HeldOut, Probabilities, ScoredFlow, verdict};

impl ClassifiedFlows {
    /// The flows of the captures that match. Captures retain their indices; those that do not match lose their time
    /// span.
    pub fn filter(&self, matches: impl Fn(&CaptureSpan) -> bool) -> ClassifiedFlows {
        let is_match: Vec<bool> = self.captures.iter().map(&matches).collect();
        let is_included =
            |flow: &ClassifiedFlow| is_match.get(flow.capture as usize).copied().unwrap_or(false);
        let span = |(capture, is_match): (&CaptureSpan, &bool)| CaptureSpan {
            span_nanos: capture.span_nanos.filter(|_| *is_match),
            ..capture.clone()
        };
        let included = || self.flows.iter().zip(&self.verdicts).filter(|(flow, _)| is_included(flow));
        ClassifiedFlows {
            classes: self.classes.clone(),
            captures: self.captures.iter().zip(&is_match).map(span).collect(),
            flows: included().map(|(flow, _)| flow.clone()).collect(),
            verdicts: included().map(|(_, verdict)| *verdict).collect(),
            problems: self.problems.clone(),
        }
    }

    /// The union of filtered parts of the same captures; `None` of no parts.
    pub fn joined(parts: &[ClassifiedFlows]) -> Option<ClassifiedFlows> {
        let (first, others) = parts.split_first()?;
        let mut all = first.clone();
        for part in others {
            for (capture, of_part) in all.captures.iter_mut().zip(&part.captures) {
                capture.span_nanos = capture.span_nanos.or(of_part.span_nanos);
            }
            all.flows.extend(part.flows.iter().cloned());
            all.verdicts.extend(&part.verdicts);
        }
        Some(all)
    }

    /// The flows of a held-out recording with the verdicts of its network and these settings. `self` may be any
    /// detector's result on the same captures.
    pub fn reclassified(&self, held: &HeldOut, settings: &Settings) -> ClassifiedFlows {
        let mut part = self.filter(|capture| capture.recording == held.recording);
        let first = self.captures.iter().position(|capture| capture.recording == held.recording);
        let first = first.unwrap_or_default() as u32;
        let scored: HashMap<_, &ScoredFlow> =
            held.flows.iter().map(|flow| (key_of_scored(first, flow), flow)).collect();
        for flow in &mut part.flows {
            match scored.get(&key(flow)) {
                Some(scored) => reclassify(flow, scored, settings, self.classes.known()),
                None => (flow.predicted, flow.score, flow.flagged_at) = (self.classes.normal(), 0.0, None),
            }
        }
        part
    }
}

/// Capture, first packet's time, endpoints, protocol.
type Key = (u32, i64, std::net::IpAddr, u16, std::net::IpAddr, u16, u8);

fn key(flow: &ClassifiedFlow) -> Key {
    let ((src, src_port), (dst, dst_port)) = (flow.src, flow.dst);
    (flow.capture, flow.first_nanos, src, src_port, dst, dst_port, flow.protocol)
}

fn key_of_scored(first: u32, flow: &ScoredFlow) -> Key {
    let ((src, src_port), (dst, dst_port)) = (flow.src, flow.dst);
    let start = flow.times.first().copied().unwrap_or_default();
    (first + flow.capture as u32, start, src, src_port, dst, dst_port, flow.protocol)
}

fn reclassify(flow: &mut ClassifiedFlow, scored: &ScoredFlow, settings: &Settings, known: usize) {
    let verdict = verdict(scored, settings);
    // A flow with fewer packets than a verdict needs gets it at its end; unknown needs a whole window.
    let needed = if verdict.class as usize == known { settings.window } else { settings.packets };
    let time = |packets: usize| match packets < needed as usize {
        true => flow.ended_nanos,
        false => scored.times.get(packets - 1).copied().unwrap_or(flow.ended_nanos),
    };
    let flagged_at = |packets: usize| FlaggedAt { packets: packets as u64, time_nanos: time(packets) };
    let calibrated = |probabilities: &Probabilities| {
        let mut calibrated = *probabilities;
        settings.calibrate(&mut calibrated);
        calibrated
    };
    let mut sums = vec![0.0f64; known];
    for probabilities in scored.probabilities.iter().map(calibrated) {
        sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += f64::from(p));
    }
    let packets = scored.probabilities.len().max(1) as f64;
    flow.flagged_at = verdict.packets_to_alert.map(flagged_at);
    flow.predicted = verdict.class;
    flow.score = f64::from(verdict.score);
    flow.probabilities = sums.iter().map(|sum| (sum / packets) as f32).collect();
}

/// A figure over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); 0 of one value.
    pub std: f64,
    /// Minimum.
    pub min: f64,
    /// Maximum.
    pub max: f64,
}

impl Spread {
    /// `None` if a seed lacks the figure.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Spread> {
        let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let (min, max) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some(Spread { mean, std, min, max })
    }
}

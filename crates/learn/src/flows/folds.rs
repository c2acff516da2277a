//! Leaving one recording out: its flows, called by what was trained on the others.

use std::collections::HashMap;

use citronella_sensor::feature::sequence::verdict::Settings;
use serde::Serialize;

use super::{
    judged::{Alert, CaptureSpan, JudgedFlow},
    walk::Judged,
};
use crate::sequence::{HeldOut, Probabilities, ScoredFlow, verdict};

impl Judged {
    /// The flows of the captures that are kept. Captures keep their numbers; the time of others does not count.
    pub fn part(&self, keep: impl Fn(&CaptureSpan) -> bool) -> Judged {
        let kept: Vec<bool> = self.captures.iter().map(&keep).collect();
        let is_kept = |flow: &JudgedFlow| kept.get(flow.capture as usize).copied().unwrap_or(false);
        let span = |(capture, kept): (&CaptureSpan, &bool)| CaptureSpan {
            span_nanos: capture.span_nanos.filter(|_| *kept),
            ..capture.clone()
        };
        let both = || self.flows.iter().zip(&self.verdicts).filter(|(flow, _)| is_kept(flow));
        Judged {
            classes: self.classes.clone(),
            captures: self.captures.iter().zip(&kept).map(span).collect(),
            flows: both().map(|(flow, _)| flow.clone()).collect(),
            verdicts: both().map(|(_, verdict)| *verdict).collect(),
            problems: self.problems.clone(),
        }
    }

    /// Parts of one walk, taken together; `None` of nothing.
    pub fn joined(parts: &[Judged]) -> Option<Judged> {
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

    /// The flows of a recording that was left out, as its network calls them with these settings. `self` is any
    /// detector's walk over the same captures.
    pub fn called(&self, held: &HeldOut, settings: &Settings) -> Judged {
        let mut part = self.part(|capture| capture.recording == held.recording);
        let first = self.captures.iter().position(|capture| capture.recording == held.recording);
        let first = first.unwrap_or_default() as u32;
        let scored: HashMap<_, &ScoredFlow> =
            held.flows.iter().map(|flow| (key_of_scored(first, flow), flow)).collect();
        for flow in &mut part.flows {
            match scored.get(&key(flow)) {
                Some(scored) => call(flow, scored, settings, self.classes.known()),
                None => (flow.called, flow.score, flow.alert) = (self.classes.normal(), 0.0, None),
            }
        }
        part
    }
}

type Key = (u32, i64, std::net::IpAddr, u16, std::net::IpAddr, u16, u8);

fn key(flow: &JudgedFlow) -> Key {
    let ((src, src_port), (dst, dst_port)) = (flow.src, flow.dst);
    (flow.capture, flow.first_nanos, src, src_port, dst, dst_port, flow.protocol)
}

fn key_of_scored(first: u32, flow: &ScoredFlow) -> Key {
    let ((src, src_port), (dst, dst_port)) = (flow.src, flow.dst);
    let begin = flow.times.first().copied().unwrap_or_default();
    (first + flow.capture as u32, begin, src, src_port, dst, dst_port, flow.protocol)
}

fn call(flow: &mut JudgedFlow, scored: &ScoredFlow, settings: &Settings, known: usize) {
    let verdict = verdict(scored, settings);
    // A flow of fewer packets than a call needs is called as it ends, and so is one of no class that is no long one.
    let needed = if verdict.class as usize == known { settings.window } else { settings.packets };
    let time = |packets: usize| match packets < needed as usize {
        true => flow.ended_nanos,
        false => scored.times.get(packets - 1).copied().unwrap_or(flow.ended_nanos),
    };
    let alert = |packets: usize| Alert { packets: packets as u64, time_nanos: time(packets) };
    let calibrated = |said: &Probabilities| {
        let mut said = *said;
        settings.calibrate(&mut said);
        said
    };
    let mut sums = vec![0.0f64; known];
    for said in scored.said.iter().map(calibrated) {
        sums.iter_mut().zip(said).for_each(|(sum, p)| *sum += f64::from(p));
    }
    let packets = scored.said.len().max(1) as f64;
    flow.alert = verdict.packets_to_alert.map(alert);
    flow.called = verdict.class;
    flow.score = f64::from(verdict.score);
    flow.probabilities = sums.iter().map(|sum| (sum / packets) as f32).collect();
}

/// A figure over several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); 0 of one value.
    pub std: f64,
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
}

impl Spread {
    /// `None` where a seed has no such figure.
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

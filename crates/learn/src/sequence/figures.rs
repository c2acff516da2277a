//! Figures of verdicts, counted per conversation.

use std::collections::BTreeMap;
use std::net::IpAddr;

use citronella_sensor::feature::sequence::verdict::Settings;
use serde::Serialize;

use super::{ScoredFlow, verdict};
use crate::dataset::CLASSES;
use crate::evaluate::Confusion;

/// Figures of scored conversations; model cards store them.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Conversations.
    pub flows: usize,
    /// Truth by verdict.
    pub confusion: Confusion,
    /// Mean F1 over the classes that occur in truth or verdicts.
    pub macro_f1: Option<f64>,
    /// Share of the attacks' conversations that were flagged, as any class.
    pub attack_recall: Option<f64>,
    /// Benign conversations.
    pub benign: usize,
    /// Benign conversations that were flagged.
    pub false_alerts: usize,
    /// Recall at the score that 1 of 1,000 benign conversations exceeds.
    pub recall_at_fpr_1e3: Option<f64>,
    /// Attacks: pairs of capture and class.
    pub attacks: usize,
    /// Attacks with at least one flagged conversation.
    pub attacks_detected: usize,
    /// Median number of packets until a conversation was flagged.
    pub median_packets: Option<usize>,
    /// Median time in seconds from an attack's first packet to its first flagged conversation.
    pub median_seconds: Option<f64>,
}

/// A class index of [`CLASSES`]; `None` for unknown.
fn known(class: u32) -> Option<u32> {
    ((class as usize) < CLASSES.len()).then_some(class)
}

/// Classifies and counts conversations of one or several captures.
pub fn figures(flows: &[ScoredFlow], settings: &Settings) -> Figures {
    let classes: Vec<String> = CLASSES.iter().map(|class| (*class).to_owned()).collect();
    let verdicts: Vec<_> = flows.iter().map(|flow| verdict(flow, settings)).collect();
    let truth: Vec<u32> = flows.iter().map(|flow| flow.truth).collect();
    let predicted: Vec<Option<u32>> = verdicts.iter().map(|verdict| known(verdict.class)).collect();
    let confusion = Confusion::count(&classes, &truth, &predicted);
    let (mut benign, mut attack) = (Vec::new(), Vec::new());
    let (mut false_alerts, mut detected, mut packets) = (0, 0, Vec::new());
    let mut starts: BTreeMap<(usize, u32), i64> = BTreeMap::new();
    let mut alerts: BTreeMap<(usize, u32), i64> = BTreeMap::new();
    for (flow, verdict) in flows.iter().zip(&verdicts) {
        let is_flagged = verdict.class > 0;
        if flow.truth == 0 {
            benign.push(verdict.score);
            false_alerts += usize::from(is_flagged);
            continue;
        }
        attack.push(verdict.score);
        detected += usize::from(is_flagged);
        let key = (flow.capture, flow.truth);
        let first = flow.times.first().copied().unwrap_or(i64::MAX);
        starts.entry(key).and_modify(|at| *at = (*at).min(first)).or_insert(first);
        if let Some(number) = verdict.packets_to_alert {
            packets.push(number);
            let at = flow.times.get(number - 1).copied().unwrap_or(i64::MAX);
            alerts.entry(key).and_modify(|old| *old = (*old).min(at)).or_insert(at);
        }
    }
    let share = |count: usize| (!attack.is_empty()).then(|| count as f64 / attack.len() as f64);
    benign.sort_by(|a: &f32, b| b.total_cmp(a));
    let operating_point = benign.get(benign.len() / 1_000).copied().unwrap_or(0.0);
    packets.sort_unstable();
    let mut seconds: Vec<f64> = starts
        .iter()
        .filter_map(|(key, start)| Some(alerts.get(key)?.saturating_sub(*start) as f64 * 1e-9))
        .collect();
    seconds.sort_by(f64::total_cmp);
    Figures {
        flows: flows.len(),
        macro_f1: confusion.macro_average().f1,
        attack_recall: share(detected),
        benign: benign.len(),
        false_alerts,
        recall_at_fpr_1e3: share(attack.iter().filter(|score| **score > operating_point).count()),
        attacks: starts.len(),
        attacks_detected: alerts.len(),
        median_packets: packets.get(packets.len() / 2).copied(),
        median_seconds: seconds.get(seconds.len() / 2).copied(),
        confusion,
    }
}

/// Misclassified conversations of one initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confused {
    /// Class by the manifest.
    pub truth: u32,
    /// Class of the verdict; [`CLASSES`]`.len()` for unknown.
    pub verdict: u32,
    /// The initiator.
    pub initiator: IpAddr,
    /// Number of conversations.
    pub flows: usize,
}

/// Misclassified conversations by truth, verdict and initiator, most frequent first.
pub fn confusions(flows: &[ScoredFlow], settings: &Settings) -> Vec<Confused> {
    let mut counts: BTreeMap<(u32, u32, IpAddr), usize> = BTreeMap::new();
    for flow in flows {
        let class = verdict(flow, settings).class;
        if class != flow.truth {
            *counts.entry((flow.truth, class, flow.src.0)).or_default() += 1;
        }
    }
    let confused = |((truth, verdict, initiator), flows)| Confused { truth, verdict, initiator, flows };
    let mut all: Vec<Confused> = counts.into_iter().map(confused).collect();
    all.sort_by_key(|confused| std::cmp::Reverse(confused.flows));
    all
}

//! What verdicts are worth: counted per conversation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use citronella_sensor::feature::sequence::verdict::Settings;
use serde::Serialize;

use super::{ScoredFlow, verdict};
use crate::dataset::CLASSES;
use crate::evaluate::Confusion;

/// Figures of one or several captures.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Conversations.
    pub flows: usize,
    /// Truth by verdict.
    pub confusion: Confusion,
    /// Mean F1 over the classes that occur in truth or verdicts.
    pub macro_f1: Option<f64>,
    /// Share of the attack conversations that were called an attack, whatever its name.
    pub attack_recall: Option<f64>,
    /// Benign conversations.
    pub benign: usize,
    /// Of those, the ones that were called an attack.
    pub false_alerts: usize,
    /// Share of the attack conversations over the score that one benign conversation in 1,000 reaches.
    pub recall_at_fpr_1e3: Option<f64>,
    /// Attacks (a capture and a class each), and those with a conversation that was called.
    pub attacks: usize,
    /// See `attacks`.
    pub attacks_detected: usize,
    /// Median number of packets of a conversation until its call.
    pub median_packets: Option<usize>,
    /// Median number of seconds from an attack's first packet to its first call.
    pub median_seconds: Option<f64>,
}

/// A class's number; none for what is unknown.
fn known(class: u32) -> Option<u32> {
    ((class as usize) < CLASSES.len()).then_some(class)
}

/// Judges conversations; `captures` of them are numbered as they were scored.
pub fn figures(flows: &[ScoredFlow], settings: &Settings) -> Figures {
    let classes: Vec<String> = CLASSES.iter().map(|class| (*class).to_owned()).collect();
    let verdicts: Vec<_> = flows.iter().map(|flow| verdict(flow, settings)).collect();
    let truth: Vec<u32> = flows.iter().map(|flow| flow.truth).collect();
    let predicted: Vec<Option<u32>> = verdicts.iter().map(|verdict| known(verdict.class)).collect();
    let confusion = Confusion::count(&classes, &truth, &predicted);
    let (mut benign, mut attack) = (Vec::new(), Vec::new());
    let (mut false_alerts, mut called, mut packets) = (0, 0, Vec::new());
    let mut begun: BTreeMap<(usize, u32), i64> = BTreeMap::new();
    let mut noticed: BTreeMap<(usize, u32), i64> = BTreeMap::new();
    for (flow, verdict) in flows.iter().zip(&verdicts) {
        let is_called = verdict.class > 0;
        if flow.truth == 0 {
            benign.push(verdict.score);
            false_alerts += usize::from(is_called);
            continue;
        }
        attack.push(verdict.score);
        called += usize::from(is_called);
        let key = (flow.capture, flow.truth);
        let first = flow.times.first().copied().unwrap_or(i64::MAX);
        begun.entry(key).and_modify(|at| *at = (*at).min(first)).or_insert(first);
        if let Some(number) = verdict.packets_to_alert {
            packets.push(number);
            let at = flow.times.get(number - 1).copied().unwrap_or(i64::MAX);
            noticed.entry(key).and_modify(|old| *old = (*old).min(at)).or_insert(at);
        }
    }
    let of_attacks = |count: usize| (!attack.is_empty()).then(|| count as f64 / attack.len() as f64);
    benign.sort_by(|a: &f32, b| b.total_cmp(a));
    let limit = benign.get(benign.len() / 1_000).copied().unwrap_or(0.0);
    packets.sort_unstable();
    let mut seconds: Vec<f64> = begun
        .iter()
        .filter_map(|(key, from)| Some(noticed.get(key)?.saturating_sub(*from) as f64 * 1e-9))
        .collect();
    seconds.sort_by(f64::total_cmp);
    Figures {
        flows: flows.len(),
        macro_f1: confusion.macro_average().f1,
        attack_recall: of_attacks(called),
        benign: benign.len(),
        false_alerts,
        recall_at_fpr_1e3: of_attacks(attack.iter().filter(|score| **score > limit).count()),
        attacks: begun.len(),
        attacks_detected: noticed.len(),
        median_packets: packets.get(packets.len() / 2).copied(),
        median_seconds: seconds.get(seconds.len() / 2).copied(),
        confusion,
    }
}

/// What was called wrongly: true class, verdict, initiator, and how many such conversations there were, most first.
pub fn confusions(flows: &[ScoredFlow], settings: &Settings) -> Vec<(u32, u32, IpAddr, usize)> {
    let mut counts: BTreeMap<(u32, u32, IpAddr), usize> = BTreeMap::new();
    for flow in flows {
        let said = verdict(flow, settings).class;
        if said != flow.truth {
            *counts.entry((flow.truth, said, flow.src.0)).or_default() += 1;
        }
    }
    let mut all: Vec<_> = counts.into_iter().map(|((truth, said, host), n)| (truth, said, host, n)).collect();
    all.sort_by_key(|(_, _, _, n)| std::cmp::Reverse(*n));
    all
}

/// Initiators of benign conversations: how many hosts the false alerts are spread over.
pub fn benign_hosts(flows: &[ScoredFlow]) -> usize {
    flows.iter().filter(|flow| flow.truth == 0).map(|flow| flow.src.0).collect::<BTreeSet<_>>().len()
}

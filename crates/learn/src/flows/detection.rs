//! Attacks detected, and the time until then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    classified::{CaptureSpan, Classes, ClassifiedFlow, FlaggedAt},
    classify::ClassifiedFlows,
};

/// Quantiles by nearest rank: always one of the values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Number of values.
    pub count: usize,
    /// 50th percentile.
    pub median: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
}

impl Quantiles {
    /// Quantiles of values in any order.
    pub fn of(mut values: Vec<f64>) -> Quantiles {
        values.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.max(1) - 1).copied()
        };
        Quantiles { count: values.len(), median: rank(0.5), p90: rank(0.9) }
    }
}

/// An attack: all flows of one attack class in one capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// The recording.
    pub recording: String,
    /// The capture.
    pub file: String,
    /// The class.
    pub class: String,
    /// Number of flows.
    pub flows: u64,
    /// Flows flagged as any class.
    pub flagged: u64,
    /// Flows classified correctly.
    pub correctly_classified: u64,
    /// Seconds from the attack's first packet until a flow was flagged; `None` if none was.
    pub seconds_to_first_alert: Option<f64>,
    /// Flows that had started by then.
    pub flows_to_first_alert: Option<u64>,
}

/// The attacks in `flows`, by capture and class.
pub(super) fn attacks(classes: &Classes, captures: &[CaptureSpan], flows: &[ClassifiedFlow]) -> Vec<Attack> {
    let normal = classes.normal();
    let mut of_attack: BTreeMap<(u32, u32), Vec<&ClassifiedFlow>> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.truth != normal) {
        of_attack.entry((flow.capture, flow.truth)).or_default().push(flow);
    }
    let attack = |((capture, class), flows): ((u32, u32), Vec<&ClassifiedFlow>)| {
        let start = flows.iter().map(|flow| flow.first_nanos).min().unwrap_or_default();
        let alert = flows.iter().filter_map(|flow| flow.flagged_at.map(|at| at.time_nanos)).min();
        let started = |by: i64| flows.iter().filter(|flow| flow.first_nanos <= by).count() as u64;
        let capture = captures.get(capture as usize);
        Attack {
            recording: capture.map(|c| c.recording.clone()).unwrap_or_default(),
            file: capture.map(|c| c.file.clone()).unwrap_or_default(),
            class: classes.names().get(class as usize).cloned().unwrap_or_default(),
            flows: flows.len() as u64,
            flagged: flows.iter().filter(|flow| flow.predicted != normal).count() as u64,
            correctly_classified: flows.iter().filter(|flow| flow.predicted == class).count() as u64,
            seconds_to_first_alert: alert.map(|at| at.saturating_sub(start) as f64 * 1e-9),
            flows_to_first_alert: alert.map(started),
        }
    };
    of_attack.into_iter().map(attack).collect()
}

/// Cumulative share of the attacks' flows that were flagged, as a step function of `value` (packets or seconds).
pub fn detection_curve(
    classified: &ClassifiedFlows,
    value: impl Fn(&ClassifiedFlow, FlaggedAt) -> f64,
) -> Vec<(f64, f64)> {
    let normal = classified.classes.normal();
    let attacks = || classified.flows.iter().filter(|flow| flow.truth != normal);
    let mut values: Vec<f64> = attacks().filter_map(|flow| Some(value(flow, flow.flagged_at?))).collect();
    values.sort_by(f64::total_cmp);
    let all = attacks().count().max(1) as f64;
    let share = |rank: usize| rank as f64 / all;
    let mut points: Vec<(f64, f64)> = values.first().map(|first| (*first, 0.0)).into_iter().collect();
    for (rank, value) in values.iter().enumerate() {
        match points.last_mut() {
            Some(last) if last.0 == *value => last.1 = share(rank + 1),
            _ => points.extend([(*value, share(rank)), (*value, share(rank + 1))]),
        }
    }
    points
}

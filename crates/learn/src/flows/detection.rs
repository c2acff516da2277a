//! Which attacks were noticed, and after how long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    judged::{Alert, CaptureSpan, Classes, JudgedFlow},
    walk::Judged,
};

/// Order statistics, by nearest rank: no value that did not occur.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Values that they are taken over.
    pub count: usize,
    /// Half of the values are as small or smaller.
    pub median: Option<f64>,
    /// Nine tenths of the values are as small or smaller.
    pub p90: Option<f64>,
}

impl Quantiles {
    /// Of values in any order.
    pub fn of(mut values: Vec<f64>) -> Quantiles {
        values.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.max(1) - 1).copied()
        };
        Quantiles { count: values.len(), median: rank(0.5), p90: rank(0.9) }
    }
}

/// All flows of one class in one capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// The recording.
    pub recording: String,
    /// The capture.
    pub file: String,
    /// The class.
    pub class: String,
    /// Its flows.
    pub flows: u64,
    /// Those called an attack, by whatever name.
    pub flagged: u64,
    /// Those called by its name.
    pub named: u64,
    /// Seconds from its first packet to the first alert; `None` where nothing was noticed.
    pub seconds_to_first_alert: Option<f64>,
    /// Its flows that had begun by then.
    pub flows_to_first_alert: Option<u64>,
}

/// The attacks in `flows`, by capture and class.
pub(super) fn attacks(classes: &Classes, captures: &[CaptureSpan], flows: &[JudgedFlow]) -> Vec<Attack> {
    let normal = classes.normal();
    let mut of_attack: BTreeMap<(u32, u32), Vec<&JudgedFlow>> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.truth != normal) {
        of_attack.entry((flow.capture, flow.truth)).or_default().push(flow);
    }
    let attack = |((capture, class), flows): ((u32, u32), Vec<&JudgedFlow>)| {
        let begin = flows.iter().map(|flow| flow.first_nanos).min().unwrap_or_default();
        let alert = flows.iter().filter_map(|flow| flow.alert.map(|alert| alert.time_nanos)).min();
        let begun = |by: i64| flows.iter().filter(|flow| flow.first_nanos <= by).count() as u64;
        let capture = captures.get(capture as usize);
        Attack {
            recording: capture.map(|c| c.recording.clone()).unwrap_or_default(),
            file: capture.map(|c| c.file.clone()).unwrap_or_default(),
            class: classes.names().get(class as usize).cloned().unwrap_or_default(),
            flows: flows.len() as u64,
            flagged: flows.iter().filter(|flow| flow.called != normal).count() as u64,
            named: flows.iter().filter(|flow| flow.called == class).count() as u64,
            seconds_to_first_alert: alert.map(|at| at.saturating_sub(begin) as f64 * 1e-9),
            flows_to_first_alert: alert.map(begun),
        }
    };
    of_attack.into_iter().map(attack).collect()
}

/// For the flows of attacks, sorted by `value` of those that were called: the value, and the share of all of them that
/// were called by then.
pub fn detection_curve(judged: &Judged, value: impl Fn(&JudgedFlow, Alert) -> f64) -> Vec<(f64, f64)> {
    let normal = judged.classes.normal();
    let attacks = || judged.flows.iter().filter(|flow| flow.truth != normal);
    let mut values: Vec<f64> = attacks().filter_map(|flow| Some(value(flow, flow.alert?))).collect();
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

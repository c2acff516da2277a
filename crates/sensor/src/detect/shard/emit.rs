//! Reporting a stepped batch: findings in packet order, verdicts when flows end.

use std::net::IpAddr;

use super::Shard;
use crate::detect::batch::Event;
use crate::detect::{Finding, FindingSource, FlowVerdict, Observer};
use crate::feature::sequence::verdict::{RunningVerdict, Settings};
use crate::flow::Flow;

/// Per-flow state beside its features and the network's state.
#[derive(Clone, Copy, Default)]
pub(super) struct FlowState {
    running: RunningVerdict,
    /// The chain of its last packet in a micro-batch.
    pub(super) chain: u16,
    /// It is in the idle watch.
    is_watched: bool,
    /// What was reported when it fell idle.
    reported: Reported,
}

/// What was reported of a flow when it fell idle.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reported {
    #[default]
    Nothing,
    /// That it is unknown; a class may still follow.
    Unknown,
    Class,
}

impl FlowState {
    fn is_reported(&self) -> bool {
        self.reported == Reported::Class || self.reported == Reported::Unknown && self.running.is_unknown()
    }
}

impl Shard {
    /// Reports the batch in flight. The network's states are as it left them.
    pub(super) fn emit(&mut self, observer: &mut impl Observer) {
        let Shard { detector, level, scorer, flow_states, filling, in_flight, idle_watch, counters, .. } =
            self;
        let settings = detector.settings();
        in_flight.drain(detector.classes().len(), |event, ends| match event {
            Event::Scored(step, x, probabilities) => {
                counters.scored += 1;
                let Some(flow_state) = flow_states.get_mut(step.slot as usize) else { return };
                if step.is_new {
                    (flow_state.running, flow_state.is_watched, flow_state.reported) =
                        (RunningVerdict::default(), false, Reported::Nothing);
                }
                observer.scored(step.number, step.flow, probabilities);
                let calls = flow_state.running.step(probabilities, detector.beyond(x), settings);
                if !flow_state.is_watched && flow_state.running.would_be_flagged(settings) {
                    flow_state.is_watched = true;
                    idle_watch.watch(step.slot, step.flow, step.time_nanos, step.time_nanos);
                }
                if calls && !flow_state.is_reported() {
                    // The slot may belong to another flow by now.
                    let open = level.flow(step.slot).filter(|flow| flow.id == step.flow);
                    let open = open.and_then(|flow| Some((flow, level.actor(step.slot)?)));
                    let here = || ends.iter().find(|ended| ended.flow.id == step.flow);
                    let ended = || here().or_else(|| filling.end_of(step.flow));
                    let ended = || ended().map(|ended| (&ended.flow, ended.actor));
                    let Some(whose) = open.or_else(ended) else { return };
                    counters.findings += 1;
                    let Some(finding) = finding(&flow_state.running, settings, whose) else { return };
                    let finding =
                        Finding { time_nanos: step.time_nanos, packet: Some(step.number), ..finding };
                    observer.finding(&finding, &mut || scorer.reasons(detector, step.slot, x, finding.class));
                }
            }
            Event::Ended(ended) => {
                counters.flows += 1;
                let Some(flow_state) = flow_states.get_mut(ended.slot as usize) else { return };
                let before = flow_state.running.classification(settings).map(|called| called.class);
                let called = flow_state.running.end(settings);
                let is_new = called.map(|called| called.class) != before && !flow_state.is_reported();
                if is_new
                    && let Some(finding) = finding(&flow_state.running, settings, (&ended.flow, ended.actor))
                {
                    counters.findings += 1;
                    observer.finding(&finding, &mut Vec::new);
                }
                observer.flow_ended(&FlowVerdict {
                    flow: ended.flow,
                    reason: ended.reason,
                    class: called.map_or(0, |called| called.class),
                    score: called.map_or(flow_state.running.highest(), |called| called.score),
                    packets_to_alert: called.map(|called| called.packets),
                    near: flow_state.running.near(),
                });
            }
        });
    }

    /// Reports short conversations that have fallen idle.
    pub(super) fn report_idle(&mut self, now_nanos: i64, observer: &mut impl Observer) {
        let Shard { detector, level, flow_states, filling, in_flight, idle_watch, counters, .. } = self;
        while let Some(entry) = idle_watch.next_due(now_nanos) {
            let Some(flow) = level.flow(entry.slot).filter(|flow| flow.id == entry.flow) else {
                continue;
            };
            let Some(flow_state) = flow_states.get_mut(entry.slot as usize) else { continue };
            if !flow_state.running.would_be_flagged(detector.settings()) {
                flow_state.is_watched = false;
                continue;
            }
            let waits = [&*filling, in_flight].iter().any(|batch| batch.holds(entry.slot, flow_state.chain));
            if waits || !idle_watch.is_idle(flow.last_nanos, now_nanos) {
                idle_watch.watch(entry.slot, entry.flow, flow.last_nanos, now_nanos);
                continue;
            }
            let mut whole = flow_state.running;
            whole.end(detector.settings());
            let Some(actor) = level.actor(entry.slot) else { continue };
            if let Some(finding) = finding(&whole, detector.settings(), (flow, actor)) {
                flow_state.reported = if whole.is_unknown() { Reported::Unknown } else { Reported::Class };
                counters.findings += 1;
                observer.finding(&finding, &mut Vec::new);
            }
        }
    }
}

/// The finding on a flow at its latest packet, if it is flagged.
fn finding(
    running: &RunningVerdict,
    settings: &Settings,
    (flow, initiator): (&Flow, IpAddr),
) -> Option<Finding> {
    let called = running.classification(settings)?;
    Some(Finding {
        time_nanos: flow.last_nanos,
        packet: None,
        initiator,
        flow: *flow,
        class: called.class,
        score: called.score,
        threshold: settings.threshold_of(called.class),
        packets: called.packets,
        source: FindingSource::Model,
    })
}

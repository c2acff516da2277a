//! Reporting a stepped batch: findings in packet order, verdicts when flows end.

use std::net::IpAddr;

use super::Shard;
use crate::detect::batch::Event;
use crate::detect::{Finding, FindingSource, FlowVerdict, Observer};
use crate::feature::sequence::verdict::{RunningVerdict, Settings};
use crate::flow::Flow;

/// State of a flow, besides its features and the network's state.
#[derive(Clone, Copy, Default)]
pub(super) struct FlowState {
    running: RunningVerdict,
    /// The chain of its last packet in a micro-batch.
    pub(super) chain: u16,
    /// The flow is in the idle watch.
    is_watched: bool,
    /// What was reported when the flow fell idle.
    reported: Reported,
}

/// What was reported when a flow fell idle.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reported {
    #[default]
    Nothing,
    /// An unknown verdict; a class may still follow.
    Unknown,
    Class,
}

impl FlowState {
    fn is_reported(&self) -> bool {
        self.reported == Reported::Class || self.reported == Reported::Unknown && self.running.is_unknown()
    }
}

impl Shard {
    /// Reports the batch in flight, with the network's states still as it left them.
    pub(super) fn emit(&mut self, observer: &mut impl Observer) {
        let Shard { detector, level, scorer, flow_states, filling, in_flight, idle_watch, counters, .. } =
            self;
        let settings = detector.settings();
        in_flight.drain(detector.classes().len(), |event, ended_flows| match event {
            Event::Scored(step, x, probabilities) => {
                counters.scored += 1;
                let Some(flow_state) = flow_states.get_mut(step.slot as usize) else { return };
                if step.is_new {
                    (flow_state.running, flow_state.is_watched, flow_state.reported) =
                        (RunningVerdict::default(), false, Reported::Nothing);
                }
                observer.scored(step.number, step.flow, probabilities);
                let is_flagged = flow_state.running.step(probabilities, detector.beyond(x), settings);
                if !flow_state.is_watched && flow_state.running.would_be_flagged(settings) {
                    flow_state.is_watched = true;
                    idle_watch.watch(step.slot, step.flow, step.time_nanos, step.time_nanos);
                }
                if is_flagged && !flow_state.is_reported() {
                    // The slot may belong to another flow by now.
                    let open = level.flow(step.slot).filter(|flow| flow.id == step.flow);
                    let open = open.and_then(|flow| Some((flow, level.actor(step.slot)?)));
                    let here = || ended_flows.iter().find(|ended| ended.flow.id == step.flow);
                    let ended = || here().or_else(|| filling.ended_flow(step.flow));
                    let ended = || ended().map(|ended| (&ended.flow, ended.actor));
                    let Some(flow_and_actor) = open.or_else(ended) else { return };
                    counters.flows_flagged += 1;
                    let Some(finding) = finding(&flow_state.running, settings, flow_and_actor) else {
                        return;
                    };
                    let finding =
                        Finding { time_nanos: step.time_nanos, packet: Some(step.number), ..finding };
                    observer.finding(&finding, &mut || scorer.reasons(detector, step.slot, x, finding.class));
                }
            }
            Event::Ended(ended) => {
                counters.flows += 1;
                let Some(flow_state) = flow_states.get_mut(ended.slot as usize) else { return };
                let before = flow_state.running.classification(settings).map(|known| known.class);
                let classification = flow_state.running.end(settings);
                let is_new = classification.map(|known| known.class) != before && !flow_state.is_reported();
                if is_new
                    && let Some(finding) = finding(&flow_state.running, settings, (&ended.flow, ended.actor))
                {
                    counters.flows_flagged += 1;
                    observer.finding(&finding, &mut Vec::new);
                }
                observer.flow_ended(&FlowVerdict {
                    flow: ended.flow,
                    reason: ended.reason,
                    class: classification.map_or(0, |known| known.class),
                    score: classification.map_or(flow_state.running.highest(), |known| known.score),
                    packets_to_alert: classification.map(|known| known.packets),
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
                counters.flows_flagged += 1;
                observer.finding(&finding, &mut Vec::new);
            }
        }
    }
}

/// The finding for a flow at its latest packet, or `None` if the flow is not flagged.
fn finding(
    running: &RunningVerdict,
    settings: &Settings,
    (flow, initiator): (&Flow, IpAddr),
) -> Option<Finding> {
    let classification = running.classification(settings)?;
    Some(Finding {
        time_nanos: flow.last_nanos,
        packet: None,
        initiator,
        flow: *flow,
        class: classification.class,
        score: classification.score,
        threshold: settings.threshold_of(classification.class),
        packets: classification.packets,
        source: FindingSource::Model,
    })
}

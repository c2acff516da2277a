//! From probabilities to what is told: calls, in packet order, and verdicts at flows' ends.

use std::net::IpAddr;

use super::Shard;
use crate::alert::{Detector as FoundBy, Finding};
use crate::detect::batch::Event;
use crate::detect::{FlowVerdict, Sink};
use crate::feature::sequence::verdict::{RunningVerdict, Settings};
use crate::flow::Flow;

/// What is kept of a flow beside its features and the network's state.
#[derive(Clone, Copy, Default)]
pub(super) struct Walk {
    running: RunningVerdict,
    /// Its last packet's chain in its micro-batch.
    pub(super) chain: u16,
    /// Looked at when it falls silent.
    watched: bool,
    /// When it had fallen silent.
    told: Told,
}

/// What was told of a flow that had fallen silent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    /// That it is unknown: a class may still be told of.
    Unknown,
    Class,
}

impl Walk {
    fn is_told(&self) -> bool {
        self.told == Told::Class || self.told == Told::Unknown && self.running.is_unknown()
    }
}

impl Shard {
    /// Tells of what was under way. The states are as it left them.
    pub(super) fn tell(&mut self, sink: &mut impl Sink) {
        let Shard { detector, level, scorer, walks, filling, under_way, silences, counters, .. } = self;
        let settings = detector.settings();
        under_way.drain(detector.classes().len(), |event, ends| match event {
            Event::Scored(step, x, probabilities) => {
                counters.scored += 1;
                let Some(walk) = walks.get_mut(step.slot as usize) else { return };
                if step.is_new {
                    (walk.running, walk.watched, walk.told) =
                        (RunningVerdict::default(), false, Told::Nothing);
                }
                sink.scored(step.number, step.flow, probabilities);
                let calls = walk.running.step(probabilities, detector.beyond(x), settings);
                if !walk.watched && walk.running.would_be_flagged(settings) {
                    walk.watched = true;
                    silences.watch(step.slot, step.flow, step.time_nanos, step.time_nanos);
                }
                if calls && !walk.is_told() {
                    // Its slot may be another's by now.
                    let open = level.flow(step.slot).filter(|flow| flow.id == step.flow);
                    let open = open.and_then(|flow| Some((flow, level.actor(step.slot)?)));
                    let here = || ends.iter().find(|ended| ended.flow.id == step.flow);
                    let ended = || here().or_else(|| filling.end_of(step.flow));
                    let ended = || ended().map(|ended| (&ended.flow, ended.actor));
                    let Some(whose) = open.or_else(ended) else { return };
                    counters.findings += 1;
                    let Some(finding) = finding(&walk.running, settings, whose) else { return };
                    let finding =
                        Finding { time_nanos: step.time_nanos, packet: Some(step.number), ..finding };
                    sink.explained(&finding, &mut || scorer.reasons(detector, step.slot, x, finding.class));
                }
            }
            Event::Ended(ended) => {
                counters.flows += 1;
                let Some(walk) = walks.get_mut(ended.slot as usize) else { return };
                let before = walk.running.classification(settings).map(|called| called.class);
                let called = walk.running.end(settings);
                let is_new = called.map(|called| called.class) != before && !walk.is_told();
                if is_new && let Some(finding) = finding(&walk.running, settings, (&ended.flow, ended.actor))
                {
                    counters.findings += 1;
                    sink.explained(&finding, &mut Vec::new);
                }
                sink.ended(&FlowVerdict {
                    flow: ended.flow,
                    reason: ended.reason,
                    class: called.map_or(0, |called| called.class),
                    score: called.map_or(walk.running.highest(), |called| called.score),
                    packets_to_alert: called.map(|called| called.packets),
                    near: walk.running.near(),
                });
            }
        });
    }

    /// Tells of short conversations that have fallen silent.
    pub(super) fn tell_silent(&mut self, now_nanos: i64, sink: &mut impl Sink) {
        let Shard { detector, level, walks, filling, under_way, silences, counters, .. } = self;
        while let Some(silence) = silences.next_due(now_nanos) {
            let Some(flow) = level.flow(silence.slot).filter(|flow| flow.id == silence.flow) else {
                continue;
            };
            let Some(walk) = walks.get_mut(silence.slot as usize) else { continue };
            if !walk.running.would_be_flagged(detector.settings()) {
                walk.watched = false;
                continue;
            }
            let waits = [&*filling, under_way].iter().any(|batch| batch.holds(silence.slot, walk.chain));
            if waits || !silences.is_silent(flow.last_nanos, now_nanos) {
                silences.watch(silence.slot, silence.flow, flow.last_nanos, now_nanos);
                continue;
            }
            let mut whole = walk.running;
            whole.end(detector.settings());
            let Some(actor) = level.actor(silence.slot) else { continue };
            if let Some(finding) = finding(&whole, detector.settings(), (flow, actor)) {
                walk.told = if whole.is_unknown() { Told::Unknown } else { Told::Class };
                counters.findings += 1;
                sink.explained(&finding, &mut Vec::new);
            }
        }
    }
}

/// What is called of a flow, at its latest packet.
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
        detector: FoundBy::Model,
    })
}

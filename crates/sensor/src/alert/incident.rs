//! Incident tracking: findings of one initiator and one class become one incident, reported when it opens, at growing
//! intervals while it lasts, and when it closes.
//!
//! In: [`Finding`]s in about the order of their packets, and clock ticks. Out: [`Event`]s. A class opens an
//! incident once enough flows of an initiator were flagged within the window, unless they are a small share of what
//! another class has at the same time: traffic of a scanner resembles several classes. All time is packet time on a clock
//! that never goes back. Memory: up to 4 KiB per incident, at most [`AlertSettings::max_incidents`] open ones and as many
//! candidates; the longest idle one is evicted, and counted.

mod counters;
mod record;
mod snapshot;
mod table;

use std::mem::take;
use std::sync::Arc;

use super::FlowRef;
use super::event::{Alert, Event};
use super::settings::{AlertSettings, Corroboration};
use super::signature::{self, Signature};
use super::suppress::{Subject, Suppression};
use crate::detect::{Finding, FindingSource, Reason, RuleId};
use crate::flow::clock::Clock;
pub use counters::Counters;
use record::MAX_FINDING_TIMES;
pub use record::{CloseReason, DetectedBy, Incident, Key, Kind, MAX_PORTS, MAX_TARGETS};
pub use snapshot::Snapshot;
use table::IncidentTable;

/// Reasons that an incident lists.
const MAX_REASONS: usize = 5;
const SECOND: u64 = 1_000_000_000;

/// Turns findings into incidents.
pub struct IncidentTracker {
    settings: AlertSettings,
    suppress: Vec<Suppression>,
    /// The model's classes, then "unknown".
    classes: Vec<String>,
    model: Arc<str>,
    clock: Clock,
    table: IncidentTable,
    counters: Counters,
    /// The minute in which alerts are counted, and their number.
    minute: (u64, u32),
    events: Vec<Event>,
}

impl IncidentTracker {
    /// A tracker without incidents. `classes` are the model's.
    pub fn new(settings: AlertSettings, suppress: Vec<Suppression>, classes: &[String]) -> IncidentTracker {
        IncidentTracker {
            table: IncidentTable::new(settings.max_incidents),
            settings,
            suppress,
            classes: with_unknown(classes),
            model: Arc::from(""),
            clock: Clock::default(),
            counters: Counters::default(),
            minute: (0, 0),
            events: Vec::new(),
        }
    }

    /// Changes the settings; open incidents stay open.
    pub fn set(&mut self, settings: AlertSettings, suppress: Vec<Suppression>) {
        self.table.set_cap(settings.max_incidents);
        (self.settings, self.suppress) = (settings, suppress);
    }

    /// Changes the model. Where its classes differ, open incidents are closed.
    pub fn set_model(&mut self, model: &str, classes: &[String], time_nanos: i64) {
        let classes = with_unknown(classes);
        if self.classes != classes {
            self.finish(time_nanos);
            self.classes = classes;
        }
        self.model = model.into();
    }

    /// Events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        take(&mut self.events)
    }

    /// Counters so far.
    pub fn counters(&self) -> Counters {
        Counters { open: self.table.open() as u64, ..self.counters }
    }

    /// Adds a finding. Time is that of [`IncidentTracker::tick`]; a finding may be late. `reasons` is called once per
    /// incident.
    pub fn finding(&mut self, finding: &Finding, reasons: &mut dyn FnMut() -> Vec<Reason>) {
        let now = self.clock.near(finding.time_nanos);
        self.advance(finding.time_nanos, now);
        self.counters.findings += 1;
        let key = Key { initiator: finding.initiator, kind: self.kind(finding) };
        if self.is_suppressed(&key, finding) {
            self.counters.suppressed += 1;
            return;
        }
        if let FindingSource::Rule(rule) = finding.source
            && self.supports_other(&key, rule, now)
        {
            return;
        }
        self.add(key, finding, now);
        if finding.source == FindingSource::Model
            && let Some(incident) = self.table.get_mut(&key)
            && incident.reasons.is_empty()
        {
            let named = |reason: Reason| (reason.to_string(), reason.weight);
            incident.reasons = reasons().into_iter().take(MAX_REASONS).map(named).collect();
        }
    }

    fn add(&mut self, key: Key, finding: &Finding, now: u64) {
        let mut evicted = None;
        let incident = self.table.entry(key, || Incident::new(key, finding, now), &mut evicted);
        incident.add(finding, now);
        let is_open = incident.id > 0;
        let enough = !is_open && is_enough(&self.settings, &self.classes, incident, now);
        self.table.touch(key, now);
        if enough {
            let due = now + (self.settings.settle_secs.max(0.0) * SECOND as f64) as u64;
            self.table.schedule(key, due);
        }
        if let Some(evicted) = evicted {
            self.counters.evicted += 1;
            if evicted.id > 0 {
                self.close(finding.time_nanos, CloseReason::Evicted, evicted);
            }
        }
        if is_open {
            self.update(finding.time_nanos, now, key);
        }
        // With a settling time of 0 the incident opens at once.
        self.open_due(finding.time_nanos, now);
    }

    /// Advances the clock: opens and closes the incidents that are due.
    pub fn tick(&mut self, time_nanos: i64) {
        let now = self.clock.at(time_nanos);
        self.advance(time_nanos, now);
    }

    fn advance(&mut self, time_nanos: i64, now: u64) {
        self.open_due(time_nanos, now);
        let quiet = u64::from(self.settings.quiet_secs) * SECOND;
        while let Some(closed) = self.table.pop_quiet(now, quiet) {
            self.close(time_nanos, CloseReason::Quiet, closed);
        }
        let window = u64::from(self.settings.window_secs) * SECOND;
        self.table.expire_candidates(now, window);
    }

    /// The traffic is interrupted at this time: opens the candidates that are due, and leaves incidents open for a restart.
    pub fn settle(&mut self, time_nanos: i64) {
        let now = self.clock.at(time_nanos);
        self.open_due(time_nanos, now.max(self.table.last_due()));
    }

    /// The traffic ends at this time: opens the candidates that are due, and closes all incidents.
    pub fn finish(&mut self, time_nanos: i64) {
        self.settle(time_nanos);
        while let Some(closed) = self.table.pop_open() {
            self.close(time_nanos, CloseReason::Finished, closed);
        }
    }

    /// Counts a rule's finding towards another incident of the same initiator that the model has seen: several rules
    /// respond to one attack on a broker.
    fn supports_other(&mut self, key: &Key, rule: RuleId, now: u64) -> bool {
        if self.table.get(key).is_some_and(|own| own.id > 0 || own.flows_by_model > 0) {
            return false;
        }
        let Some(other) = self.table.dominant_other(key, now).filter(|other| other.flows_by_model > 0) else {
            return false;
        };
        other.other_findings += 1;
        if !other.related_rules.contains(&rule) {
            other.related_rules.push(rule);
        }
        true
    }

    /// Open incidents, longest idle first.
    pub fn open_incidents(&self) -> impl Iterator<Item = Alert> {
        self.table.all_open().map(|incident| self.alert(incident.last_nanos, incident.clone()))
    }

    fn kind(&self, finding: &Finding) -> Kind {
        match finding.source {
            FindingSource::Model => Kind::Class(finding.class),
            FindingSource::Rule(id) => {
                let class = signature::rule(id).and_then(|rule| rule.class);
                let index = class.and_then(|class| self.classes.iter().position(|name| name == class));
                index.map_or(Kind::Rule(id), |index| Kind::Class(index as u32))
            }
        }
    }

    fn is_suppressed(&self, key: &Key, finding: &Finding) -> bool {
        if self.suppress.is_empty() {
            return false;
        }
        let flow = FlowRef::from(&finding.flow);
        let target = if flow.src.0 == key.initiator { flow.dst } else { flow.src };
        let rule = match finding.source {
            FindingSource::Rule(id) => signature::rule(id).map_or("", |rule| rule.key),
            FindingSource::Model => "",
        };
        let (source, time_nanos) = (key.initiator, finding.time_nanos);
        let subject = Subject { source, target, names: [name_of(&self.classes, key.kind), rule], time_nanos };
        self.suppress.iter().any(|entry| entry.matches(&subject))
    }

    fn open_due(&mut self, time_nanos: i64, now: u64) {
        while let Some(key) = self.table.pop_due(now) {
            let Some(candidate) = self.table.get(&key).filter(|incident| incident.id == 0) else { continue };
            let level = candidate.level_at(now);
            let (detected_by, flows, folded) = (candidate.detected_by(), candidate.flows, candidate.folded);
            let is_wanted = match self.settings.corroboration {
                Corroboration::Any => true,
                Corroboration::Model => detected_by != DetectedBy::Rule,
                Corroboration::ModelAndRule => detected_by == DetectedBy::ModelAndRule,
            };
            if !is_wanted {
                continue;
            }
            // Unknown traffic of a host with a known attack is part of that attack, unless it is the greater part.
            let is_unknown = key.kind == Kind::Class(self.classes.len().saturating_sub(1) as u32);
            let share = if is_unknown { 1.0 } else { self.settings.minor_share };
            if let Some(other) = self.table.dominant_other(&key, now)
                && (level < share * other.level_at(now)
                    || (detected_by == DetectedBy::Rule && other.flows_by_model > 0))
            {
                other.other_findings += flows - folded;
                if let Some(candidate) = self.table.get_mut(&key) {
                    candidate.folded = flows;
                }
                continue;
            }
            if !self.is_within_rate(now) {
                self.table.schedule(key, now + SECOND);
                break;
            }
            self.open(time_nanos, now, &key);
        }
    }

    fn open(&mut self, time_nanos: i64, now: u64, key: &Key) {
        self.counters.incidents += 1;
        let id = self.counters.incidents;
        let first = self.settings.updates_secs.first();
        let next = first.map(|secs| (now + u64::from(*secs) * SECOND, 0));
        let mut evicted = None;
        let Some(incident) = self.table.open_candidate(key, &mut evicted) else { return };
        (incident.id, incident.next_update, incident.opened) = (id, next, now);
        (incident.changed, incident.alerts) = (false, 1);
        let opened = incident.clone();
        self.counters.alerts += 1;
        let alert = self.alert(time_nanos, opened);
        self.events.push(Event::IncidentOpened(Box::new(alert)));
        if let Some(evicted) = evicted {
            self.counters.evicted += 1;
            self.close(time_nanos, CloseReason::Evicted, evicted);
        }
    }

    fn update(&mut self, time_nanos: i64, now: u64, key: Key) {
        let Some(incident) = self.table.get_mut(&key) else { return };
        let Some((due, number)) = incident.next_update else { return };
        if now < due || !incident.changed {
            return;
        }
        let after = number + 1;
        let schedule = &self.settings.updates_secs;
        let secs = match (schedule.get(after as usize), schedule.last()) {
            (Some(secs), _) => u64::from(*secs),
            (None, Some(last)) => {
                let doublings = after as usize + 1 - schedule.len();
                u64::from(*last).saturating_mul(1 << doublings.min(20))
            }
            (None, None) => return,
        };
        let next = incident.opened.saturating_add(secs.saturating_mul(SECOND)).max(now + SECOND);
        (incident.next_update, incident.changed) = (Some((next, after)), false);
        if self.is_within_rate(now)
            && let Some(incident) = self.table.get_mut(&key)
        {
            incident.alerts += 1;
            let updated = incident.clone();
            self.counters.alerts += 1;
            let alert = self.alert(time_nanos, updated);
            self.events.push(Event::IncidentUpdated(Box::new(alert)));
        }
    }

    fn close(&mut self, time_nanos: i64, reason: CloseReason, mut incident: Incident) {
        incident.alerts += 1;
        self.counters.alerts += 1;
        let alert = self.alert(time_nanos, incident);
        self.events.push(Event::IncidentClosed(Box::new(alert), reason));
    }

    fn alert(&self, time_nanos: i64, incident: Incident) -> Alert {
        let class = name_of(&self.classes, incident.key.kind).to_owned();
        let (signature, model) = (self.signature(&incident), Arc::clone(&self.model));
        Alert { time_nanos, incident, signature, class, model }
    }

    /// An incident detected by rules only has the rule's signature.
    fn signature(&self, incident: &Incident) -> Signature {
        let rule = match incident.key.kind {
            Kind::Class(_) if incident.flows_by_model == 0 => incident.rules.first().copied(),
            Kind::Class(_) => None,
            Kind::Rule(id) => Some(id),
        };
        match (rule.and_then(signature::rule), incident.key.kind) {
            (Some(rule), _) => rule.signature,
            (None, Kind::Class(class)) => {
                signature::of_class(name_of(&self.classes, incident.key.kind), class)
            }
            (None, Kind::Rule(_)) => signature::of_class("unknown", 0),
        }
    }

    /// Whether another alert may be raised in this minute.
    fn is_within_rate(&mut self, now: u64) -> bool {
        let minute = now / (60 * SECOND);
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        let is_within = self.minute.1 < self.settings.per_minute.max(1);
        if is_within {
            self.minute.1 += 1;
        } else {
            self.counters.over_rate += 1;
        }
        is_within
    }
}

fn with_unknown(classes: &[String]) -> Vec<String> {
    classes.iter().cloned().chain(["unknown".to_owned()]).collect()
}

fn name_of(classes: &[String], kind: Kind) -> &str {
    match kind {
        Kind::Class(index) => classes.get(index as usize).map_or("unknown", String::as_str),
        Kind::Rule(id) => signature::rule(id).map_or("unknown", |rule| rule.key),
    }
}

/// Whether a candidate has enough findings to open. One finding of a rule is enough: the rule has counted already.
fn is_enough(settings: &AlertSettings, classes: &[String], candidate: &Incident, now: u64) -> bool {
    if candidate.findings_by_rules > 0 {
        return true;
    }
    let flows = settings.flows_of.get(name_of(classes, candidate.key.kind)).unwrap_or(&settings.flows);
    let needed = (*flows as usize).clamp(1, MAX_FINDING_TIMES);
    candidate.findings_within(now, u64::from(settings.window_secs) * SECOND) >= needed
}

#[cfg(test)]
mod tests;

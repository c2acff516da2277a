//! Findings folded into incidents: one initiator and one kind of attack, told once when it begins, now and then while
//! it goes on, and once when it is over.
//!
//! In: [`Finding`]s in about the order of their packets, and the time that has passed without any. Out: [`Alert`]s.
//! A kind begins an incident when so many of an initiator's flows were called it within a while, and not just a few
//! of the many that another kind has at the time: what a scanner sends looks like this and that. All time is packet
//! time on a clock that never goes back. Memory: up to 4 KiB an incident, at most
//! [`AlertSettings::max_incidents`] open and as many that may become one; the one that was silent longest makes room,
//! and is counted.

mod book;
mod keep;
mod record;

use serde::{Deserialize, Serialize};

use super::settings::{AlertSettings, Corroboration};
use super::signature::{self, Signature};
use super::suppress::{Subject, Suppression};
use super::{Detector, Finding, FlowRef, RuleId};
use crate::detect::Reason;
use crate::flow::clock::Clock;
use book::Book;
pub use keep::Kept;
use record::MOST_CALLS;
pub use record::{EndCause, Found, Incident, Key, Kind, MOST_PORTS, MOST_TARGETS, Stage};

/// Reasons that an incident names.
const MOST_REASONS: usize = 5;
const SECOND: u64 = 1_000_000_000;

/// What is told of an incident.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Of the packet or the silence that brought it about, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// How far the incident has come.
    pub stage: Stage,
    /// What is known of it.
    pub incident: &'a Incident,
    /// What it is called.
    pub signature: Signature,
    /// The class's name, or the rule's key.
    pub kind: &'a str,
}

/// What was done, and what was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Findings taken.
    pub findings: u64,
    /// Alerts told.
    pub alerts: u64,
    /// Incidents told.
    pub incidents: u64,
    /// Findings that a suppression fitted.
    pub suppressed: u64,
    /// Alerts put off or left out because there were too many a minute.
    pub over_rate: u64,
    /// Incidents ended, and candidates forgotten, to make room.
    pub evicted: u64,
    /// Incidents that are open now.
    pub open: u64,
}

/// Folds findings into incidents.
pub struct Incidents {
    settings: AlertSettings,
    suppress: Vec<Suppression>,
    /// Of the model, then "unknown".
    classes: Vec<String>,
    clock: Clock,
    book: Book,
    counters: Counters,
    /// The minute that alerts are counted in, and how many there were.
    minute: (u64, u32),
}

impl Incidents {
    /// None yet. `classes` are the model's.
    pub fn new(settings: AlertSettings, suppress: Vec<Suppression>, classes: &[String]) -> Incidents {
        let mut classes = classes.to_vec();
        classes.push("unknown".to_owned());
        let book = Book::new(settings.max_incidents);
        let (counters, clock) = (Counters::default(), Clock::default());
        Incidents { settings, suppress, classes, clock, book, counters, minute: (0, 0) }
    }

    /// Other settings from now on; what is open stays.
    pub fn set(&mut self, settings: AlertSettings, suppress: Vec<Suppression>) {
        self.book.set_cap(settings.max_incidents);
        (self.settings, self.suppress) = (settings, suppress);
    }

    /// Another model's classes from now on. Where they are others, what is open ends.
    pub fn set_classes(&mut self, classes: &[String], time_nanos: i64, tell: &mut dyn FnMut(Alert<'_>)) {
        let known = self.classes.split_last().map_or(&[][..], |(_, known)| known);
        if known != classes {
            self.finish(time_nanos, tell);
            self.classes = classes.iter().cloned().chain(["unknown".to_owned()]).collect();
        }
    }

    /// What was done, and what was left out.
    pub fn counters(&self) -> Counters {
        Counters { open: self.book.open() as u64, ..self.counters }
    }

    /// Takes a finding. Time is what [`Incidents::tick`] says; a finding may be told late.
    pub fn finding(&mut self, finding: &Finding, tell: &mut dyn FnMut(Alert<'_>)) {
        let now = self.clock.near(finding.time_nanos);
        self.advance(finding.time_nanos, now, tell);
        self.counters.findings += 1;
        let key = Key { initiator: finding.initiator, kind: self.kind(finding) };
        if self.is_suppressed(&key, finding) {
            self.counters.suppressed += 1;
            return;
        }
        if let Detector::Rule(rule) = finding.detector
            && self.is_beside(&key, rule, now)
        {
            return;
        }
        let mut evicted = None;
        let incident = self.book.entry(key, || Incident::new(key, finding, now), &mut evicted);
        incident.add(finding, now);
        let open = incident.id > 0;
        let enough = !open && is_enough(&self.settings, &self.classes, incident, now);
        self.book.touch(key, now);
        if enough {
            let due = now + (self.settings.settle_secs.max(0.0) * SECOND as f64) as u64;
            self.book.expect(key, due);
        }
        if let Some(evicted) = evicted {
            self.counters.evicted += 1;
            if evicted.id > 0 {
                self.tell(finding.time_nanos, Stage::End(EndCause::Evicted), evicted, tell);
            }
        }
        if open {
            self.update(finding.time_nanos, now, key, tell);
        }
        // A settling time of nothing tells at once.
        self.begin_due(finding.time_nanos, now, tell);
    }

    /// Time has passed: begins and ends what is due.
    pub fn tick(&mut self, time_nanos: i64, tell: &mut dyn FnMut(Alert<'_>)) {
        let now = self.clock.at(time_nanos);
        self.advance(time_nanos, now, tell);
    }

    fn advance(&mut self, time_nanos: i64, now: u64, tell: &mut dyn FnMut(Alert<'_>)) {
        self.begin_due(time_nanos, now, tell);
        let quiet = u64::from(self.settings.quiet_secs) * SECOND;
        while let Some(ended) = self.book.pop_quiet(now, quiet) {
            self.tell(time_nanos, Stage::End(EndCause::Quiet), ended, tell);
        }
        let window = u64::from(self.settings.window_secs) * SECOND;
        self.book.forget_candidates(now, window);
    }

    /// The traffic ends at this time, but not for good: what is due begins, what is open stays so.
    pub fn settle(&mut self, time_nanos: i64, tell: &mut dyn FnMut(Alert<'_>)) {
        let now = self.clock.at(time_nanos);
        self.begin_due(time_nanos, now.max(self.book.last_due()), tell);
    }

    /// The traffic ends at this time: what is due begins, what is open ends.
    pub fn finish(&mut self, time_nanos: i64, tell: &mut dyn FnMut(Alert<'_>)) {
        self.settle(time_nanos, tell);
        while let Some(ended) = self.book.pop_open() {
            self.tell(time_nanos, Stage::End(EndCause::Finished), ended, tell);
        }
    }

    /// Whether a rule's call only bears out that the initiator is at something that is known: what it does to a broker,
    /// rules of several kinds see.
    fn is_beside(&mut self, key: &Key, rule: RuleId, now: u64) -> bool {
        if self.book.get(key).is_some_and(|own| own.id > 0 || own.model_flows > 0) {
            return false;
        }
        let Some(main) = self.book.main_beside(key, now).filter(|main| main.model_flows > 0) else {
            return false;
        };
        main.others += 1;
        if !main.rules_beside.contains(&rule) {
            main.rules_beside.push(rule);
        }
        true
    }

    /// Takes a finding of the model that can be explained; it is asked for reasons once an incident.
    pub fn explained(
        &mut self,
        finding: &Finding,
        why: &mut dyn FnMut() -> Vec<Reason>,
        tell: &mut dyn FnMut(Alert<'_>),
    ) {
        self.finding(finding, tell);
        let key = Key { initiator: finding.initiator, kind: self.kind(finding) };
        if let Some(incident) = self.book.get_mut(&key)
            && incident.reasons.is_empty()
        {
            let named = |reason: Reason| (reason.to_string(), reason.weight);
            incident.reasons = why().into_iter().take(MOST_REASONS).map(named).collect();
        }
    }

    /// Tells what is open, without counting it as an alert.
    pub fn each_open(&self, mut tell: impl FnMut(Alert<'_>)) {
        for incident in self.book.all_open() {
            tell(self.alert(incident.last_nanos, Stage::Update, incident));
        }
    }

    fn kind(&self, finding: &Finding) -> Kind {
        match finding.detector {
            Detector::Model => Kind::Class(finding.class),
            Detector::Rule(id) => {
                let class = signature::rule(id).and_then(|rule| rule.class);
                let place = class.and_then(|class| self.classes.iter().position(|name| name == class));
                place.map_or(Kind::Rule(id), |place| Kind::Class(place as u32))
            }
        }
    }

    fn is_suppressed(&self, key: &Key, finding: &Finding) -> bool {
        if self.suppress.is_empty() {
            return false;
        }
        let flow = FlowRef::from(&finding.flow);
        let target = if flow.src.0 == key.initiator { flow.dst } else { flow.src };
        let rule = match finding.detector {
            Detector::Rule(id) => signature::rule(id).map_or("", |rule| rule.key),
            Detector::Model => "",
        };
        let (source, time_nanos) = (key.initiator, finding.time_nanos);
        let subject = Subject { source, target, names: [name_of(&self.classes, key.kind), rule], time_nanos };
        self.suppress.iter().any(|entry| entry.fits(&subject))
    }

    fn begin_due(&mut self, time_nanos: i64, now: u64, tell: &mut dyn FnMut(Alert<'_>)) {
        while let Some(key) = self.book.pop_due(now) {
            let Some(candidate) = self.book.get(&key).filter(|incident| incident.id == 0) else { continue };
            let level = candidate.level_at(now);
            let (found, flows, folded) = (candidate.found(), candidate.flows, candidate.folded);
            let wanted = match self.settings.corroboration {
                Corroboration::Any => true,
                Corroboration::Model => found != Found::Rule,
                Corroboration::ModelAndRule => found == Found::ModelAndRule,
            };
            if !wanted {
                continue;
            }
            // What fits no class, of a host that is at something known, is told with that unless there is more of it.
            let is_unknown = key.kind == Kind::Class(self.classes.len().saturating_sub(1) as u32);
            let share = if is_unknown { 1.0 } else { self.settings.minor_share };
            if let Some(main) = self.book.main_beside(&key, now)
                && (level < share * main.level_at(now) || (found == Found::Rule && main.model_flows > 0))
            {
                main.others += flows - folded;
                if let Some(candidate) = self.book.get_mut(&key) {
                    candidate.folded = flows;
                }
                continue;
            }
            if !self.may_tell(now) {
                self.book.expect(key, now + SECOND);
                break;
            }
            self.counters.incidents += 1;
            let id = self.counters.incidents;
            let first = self.settings.updates_secs.first();
            let next = first.map(|secs| (now + u64::from(*secs) * SECOND, 0));
            let mut evicted = None;
            let Some(incident) = self.book.open_candidate(&key, &mut evicted) else { continue };
            (incident.id, incident.next_update, incident.begun) = (id, next, now);
            (incident.changed, incident.alerts) = (false, 1);
            // Rare: it is told to while the book stays as it is.
            let told = incident.clone();
            self.counters.alerts += 1;
            tell(self.alert(time_nanos, Stage::Begin, &told));
            if let Some(evicted) = evicted {
                self.counters.evicted += 1;
                self.tell(time_nanos, Stage::End(EndCause::Evicted), evicted, tell);
            }
        }
    }

    fn update(&mut self, time_nanos: i64, now: u64, key: Key, tell: &mut dyn FnMut(Alert<'_>)) {
        let Some(incident) = self.book.get_mut(&key) else { return };
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
        let next = incident.begun.saturating_add(secs.saturating_mul(SECOND)).max(now + SECOND);
        (incident.next_update, incident.changed) = (Some((next, after)), false);
        if self.may_tell(now)
            && let Some(incident) = self.book.get_mut(&key)
        {
            incident.alerts += 1;
            let told = incident.clone();
            self.counters.alerts += 1;
            tell(self.alert(time_nanos, Stage::Update, &told));
        }
    }

    fn tell(&mut self, time_nanos: i64, stage: Stage, mut ended: Incident, tell: &mut dyn FnMut(Alert<'_>)) {
        ended.alerts += 1;
        self.counters.alerts += 1;
        tell(self.alert(time_nanos, stage, &ended));
    }

    fn alert<'a>(&'a self, time_nanos: i64, stage: Stage, incident: &'a Incident) -> Alert<'a> {
        let kind = name_of(&self.classes, incident.key.kind);
        let signature = match incident.key.kind {
            // A rule alone goes by its own name.
            Kind::Class(_) if incident.model_flows == 0 => incident.rules.first().copied(),
            Kind::Class(_) => None,
            Kind::Rule(id) => Some(id),
        };
        let of_class = |kind: Kind| match kind {
            Kind::Class(place) => signature::of_class(self.class(place), place),
            Kind::Rule(_) => signature::of_class("unknown", 0),
        };
        let signature = signature.and_then(signature::rule).map(|rule| rule.signature);
        let signature = signature.unwrap_or_else(|| of_class(incident.key.kind));
        Alert { time_nanos, stage, incident, signature, kind }
    }

    fn class(&self, place: u32) -> &str {
        self.classes.get(place as usize).map_or("unknown", String::as_str)
    }

    /// Whether another alert of this minute may be told.
    fn may_tell(&mut self, now: u64) -> bool {
        let minute = now / (60 * SECOND);
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        let may = self.minute.1 < self.settings.per_minute.max(1);
        if may {
            self.minute.1 += 1;
        } else {
            self.counters.over_rate += 1;
        }
        may
    }
}

fn name_of(classes: &[String], kind: Kind) -> &str {
    match kind {
        Kind::Class(place) => classes.get(place as usize).map_or("unknown", String::as_str),
        Kind::Rule(id) => signature::rule(id).map_or("unknown", |rule| rule.key),
    }
}

/// Whether a candidate has what an incident needs. A rule has counted already: one call of it is enough.
fn is_enough(settings: &AlertSettings, classes: &[String], candidate: &Incident, now: u64) -> bool {
    if candidate.rule_calls > 0 {
        return true;
    }
    let flows = settings.flows_of.get(name_of(classes, candidate.key.kind)).unwrap_or(&settings.flows);
    let needed = (*flows as usize).clamp(1, MOST_CALLS);
    candidate.calls_within(now, u64::from(settings.window_secs) * SECOND) >= needed
}

#[cfg(test)]
mod tests;

//! What is known of one incident: who is at it, with what, since when, and what was called so far.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Detector, Finding, FlowRef, RuleId};

/// Responders that an incident names; it only says that there are more.
pub const MOST_TARGETS: usize = 32;
/// Responder ports that it counts one by one.
pub const MOST_PORTS: usize = 256;
/// Flows that are remembered so that a rule's call and the model's on one flow count it once.
const RECENT_FLOWS: usize = 256;
/// Calls of a candidate whose times are remembered.
pub(super) const MOST_CALLS: usize = 64;
/// Over which shares of calls are compared, in seconds.
const SHARE_SECS: f32 = 10.0;

/// What an incident is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A class of the model, by place.
    Class(u32),
    /// A rule that bears out no class of the model.
    Rule(RuleId),
}

/// Who is at it, with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The initiator.
    pub initiator: IpAddr,
    /// With what.
    pub kind: Kind,
}

/// How far an incident has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It begins.
    Begin,
    /// It goes on.
    Update,
    /// It is over, and why.
    End(EndCause),
}

/// Why an incident is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// Nothing more was found for [`AlertSettings::quiet_secs`].
    Quiet,
    /// There were too many.
    Evicted,
    /// The traffic ends.
    Finished,
}

impl Stage {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Begin => "begin",
            Stage::Update => "update",
            Stage::End(_) => "end",
        }
    }
}

/// Who found an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The model alone.
    Model,
    /// A rule alone.
    Rule,
    /// Both.
    ModelAndRule,
}

impl Found {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Found::Model => "model",
            Found::Rule => "rule",
            Found::ModelAndRule => "model and rule",
        }
    }
}

/// What is known of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Rank among all incidents that were told, from 1; 0 before.
    pub id: u64,
    /// Who, with what.
    pub key: Key,
    /// Its first call, nanoseconds since 1970-01-01 UTC.
    pub first_nanos: i64,
    /// Its latest.
    pub last_nanos: i64,
    /// Flows that were called.
    pub flows: u64,
    /// Of those, by the model.
    pub model_flows: u64,
    /// Calls of rules.
    pub rule_calls: u64,
    /// Which rules.
    pub rules: Vec<RuleId>,
    /// Packets of these flows until they were called.
    pub packets: u64,
    /// Responders, as they came; at most [`MOST_TARGETS`].
    pub targets: Vec<IpAddr>,
    /// There were more.
    pub more_targets: bool,
    /// Their ports, at most [`MOST_PORTS`].
    pub ports: Vec<u16>,
    /// There were more.
    pub more_ports: bool,
    /// Calls of other kinds that were not told on their own.
    pub others: u64,
    /// Rules among them.
    pub rules_beside: Vec<RuleId>,
    /// Highest score of the model, and the threshold then; of rules alone, the rule's.
    pub score: f32,
    /// See `score`.
    pub threshold: f32,
    /// What spoke most for the model's call, strongest first: a feature and what it adds to the log-odds of an attack.
    pub reasons: Vec<(String, f32)>,
    /// The flow called last, as it was then.
    pub flow: FlowRef,
    /// The packet that settled it.
    pub packet: Option<u64>,
    /// Alerts told, this one included.
    pub alerts: u32,
    pub(super) recent: Vec<u64>,
    pub(super) calls: Vec<u64>,
    /// Decayed calls, and when they were counted.
    pub(super) level: (f32, u64),
    pub(super) begun: u64,
    pub(super) touched: u64,
    pub(super) next_update: Option<(u64, u32)>,
    pub(super) changed: bool,
    /// Its place in the order of silence.
    pub(super) listed: u64,
    /// When it is to begin.
    pub(super) due: Option<u64>,
    /// Of its calls, those that count as another incident's `others`.
    pub(super) folded: u64,
}

impl Incident {
    /// Who found it.
    pub fn found(&self) -> Found {
        match (self.model_flows > 0, self.rule_calls > 0) {
            (true, false) => Found::Model,
            (false, _) => Found::Rule,
            (true, true) => Found::ModelAndRule,
        }
    }

    pub(super) fn new(key: Key, finding: &Finding, now: u64) -> Incident {
        Incident {
            id: 0,
            key,
            first_nanos: finding.time_nanos,
            last_nanos: finding.time_nanos,
            flows: 0,
            model_flows: 0,
            rule_calls: 0,
            rules: Vec::new(),
            packets: 0,
            targets: Vec::new(),
            more_targets: false,
            ports: Vec::new(),
            more_ports: false,
            others: 0,
            rules_beside: Vec::new(),
            score: 0.0,
            threshold: 0.0,
            reasons: Vec::new(),
            flow: FlowRef::from(&finding.flow),
            packet: finding.packet,
            alerts: 0,
            recent: Vec::new(),
            calls: Vec::new(),
            level: (0.0, now),
            begun: now,
            touched: now,
            next_update: None,
            changed: false,
            listed: now,
            due: None,
            folded: 0,
        }
    }

    pub(super) fn add(&mut self, finding: &Finding, now: u64) {
        let flow = FlowRef::from(&finding.flow);
        self.first_nanos = self.first_nanos.min(finding.time_nanos);
        self.last_nanos = self.last_nanos.max(finding.time_nanos);
        let known = self.recent.contains(&flow.id);
        if !known {
            self.flows += 1;
            self.packets += u64::from(finding.packets);
            remember(&mut self.recent, flow.id, RECENT_FLOWS);
            remember(&mut self.calls, now, MOST_CALLS);
            self.level = (self.level_at(now) + 1.0, now);
        }
        // The initiator may be the one that an ICMP error was sent to.
        let target = if flow.src.0 == self.key.initiator { flow.dst } else { flow.src };
        bounded(&mut self.targets, target.0, MOST_TARGETS, &mut self.more_targets);
        bounded(&mut self.ports, target.1, MOST_PORTS, &mut self.more_ports);
        let of_model = match finding.detector {
            Detector::Model => {
                self.model_flows += 1;
                self.model_flows == 1 || finding.score > self.score
            }
            Detector::Rule(rule) => {
                self.rule_calls += 1;
                if !self.rules.contains(&rule) {
                    self.rules.push(rule);
                }
                self.model_flows == 0 && finding.score > self.score
            }
        };
        if of_model {
            (self.score, self.threshold) = (finding.score, finding.threshold);
        }
        (self.flow, self.packet) = (flow, finding.packet);
        self.touched = now;
        self.changed = true;
    }

    pub(super) fn level_at(&self, now: u64) -> f32 {
        let secs = now.saturating_sub(self.level.1) as f32 * 1e-9;
        self.level.0 * (-secs / SHARE_SECS).exp()
    }

    /// Calls within a span that ends now.
    pub(super) fn calls_within(&self, now: u64, span: u64) -> usize {
        self.calls.iter().filter(|at| now.saturating_sub(**at) <= span).count()
    }
}

/// Keeps the last `most`.
fn remember(list: &mut Vec<u64>, value: u64, most: usize) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(value);
}

fn bounded<T: PartialEq>(list: &mut Vec<T>, value: T, most: usize, more: &mut bool) {
    if list.contains(&value) {
        return;
    }
    if list.len() < most {
        list.push(value);
    } else {
        *more = true;
    }
}

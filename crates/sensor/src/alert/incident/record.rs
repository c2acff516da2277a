//! The record of one incident: initiator, class, flows, targets, times.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::alert::FlowRef;
use crate::detect::{Finding, FindingSource, RuleId};

/// Responders that an incident lists; a flag records that there were more.
pub const MAX_TARGETS: usize = 32;
/// Responder ports that it counts.
pub const MAX_PORTS: usize = 256;
/// Recent flows, so that a flow flagged by a rule and by the model counts once.
const RECENT_FLOWS: usize = 256;
/// Recent findings of a candidate whose times are stored.
pub(super) const MAX_FINDING_TIMES: usize = 64;
/// Time constant, in seconds, of the decayed count by which incidents of one initiator are compared.
const DECAY_SECS: f32 = 10.0;

/// The class or rule of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A class of the model, by index.
    Class(u32),
    /// A rule that corresponds to no class of the model.
    Rule(RuleId),
}

/// What identifies an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The initiator.
    pub initiator: IpAddr,
    /// The class or rule.
    pub kind: Kind,
}

/// Why an incident was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// No finding for [`AlertSettings::quiet_secs`](crate::alert::settings::AlertSettings::quiet_secs).
    Quiet,
    /// The incident table was full.
    Evicted,
    /// The traffic ended.
    Finished,
}

/// What detected an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectedBy {
    /// The model alone.
    Model,
    /// A rule alone.
    Rule,
    /// Both.
    ModelAndRule,
}

impl DetectedBy {
    /// Stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            DetectedBy::Model => "model",
            DetectedBy::Rule => "rule",
            DetectedBy::ModelAndRule => "model and rule",
        }
    }
}

/// An incident, or a candidate that may become one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Sequence number, from 1; 0 for a candidate.
    pub id: u64,
    /// Initiator and class.
    pub key: Key,
    /// Time of the first finding, nanoseconds since 1970-01-01 UTC.
    pub first_nanos: i64,
    /// Time of the latest finding.
    pub last_nanos: i64,
    /// Flows flagged.
    pub flows: u64,
    /// Flows flagged by the model.
    pub flows_by_model: u64,
    /// Findings by rules.
    pub findings_by_rules: u64,
    /// The rules that raised them.
    pub rules: Vec<RuleId>,
    /// Packets of these flows until they were flagged.
    pub packets: u64,
    /// Responders in order of appearance; at most [`MAX_TARGETS`].
    pub targets: Vec<IpAddr>,
    /// There were more.
    pub more_targets: bool,
    /// Responder ports; at most [`MAX_PORTS`].
    pub ports: Vec<u16>,
    /// There were more.
    pub more_ports: bool,
    /// Findings of other classes that raised no incident of their own.
    pub other_findings: u64,
    /// Rules among those.
    pub related_rules: Vec<RuleId>,
    /// Highest score of the model and its threshold; without the model, the rule's count and threshold.
    pub score: f32,
    /// See `score`.
    pub threshold: f32,
    /// Features that contributed most to the model's verdict, strongest first, with what each adds to the log-odds of an
    /// attack.
    pub reasons: Vec<(String, f32)>,
    /// The flow flagged last, as it was then.
    pub flow: FlowRef,
    /// The packet that decided it.
    pub packet: Option<u64>,
    /// Alerts raised, the current one included.
    pub alerts: u32,
    pub(super) recent: Vec<u64>,
    pub(super) finding_times: Vec<u64>,
    /// Decayed count of flows, and when it was updated.
    pub(super) level: (f32, u64),
    pub(super) opened: u64,
    pub(super) touched: u64,
    pub(super) next_update: Option<(u64, u32)>,
    pub(super) changed: bool,
    /// Its key in the table's idle order.
    pub(super) listed: u64,
    /// When it is due to open.
    pub(super) due: Option<u64>,
    /// Findings of it that were counted as `other_findings` of another incident.
    pub(super) folded: u64,
}

impl Incident {
    /// What detected it.
    pub fn detected_by(&self) -> DetectedBy {
        match (self.flows_by_model > 0, self.findings_by_rules > 0) {
            (true, false) => DetectedBy::Model,
            (false, _) => DetectedBy::Rule,
            (true, true) => DetectedBy::ModelAndRule,
        }
    }

    pub(super) fn new(key: Key, finding: &Finding, now: u64) -> Incident {
        Incident {
            id: 0,
            key,
            first_nanos: finding.time_nanos,
            last_nanos: finding.time_nanos,
            flows: 0,
            flows_by_model: 0,
            findings_by_rules: 0,
            rules: Vec::new(),
            packets: 0,
            targets: Vec::new(),
            more_targets: false,
            ports: Vec::new(),
            more_ports: false,
            other_findings: 0,
            related_rules: Vec::new(),
            score: 0.0,
            threshold: 0.0,
            reasons: Vec::new(),
            flow: FlowRef::from(&finding.flow),
            packet: finding.packet,
            alerts: 0,
            recent: Vec::new(),
            finding_times: Vec::new(),
            level: (0.0, now),
            opened: now,
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
            push_recent(&mut self.recent, flow.id, RECENT_FLOWS);
            push_recent(&mut self.finding_times, now, MAX_FINDING_TIMES);
            self.level = (self.level_at(now) + 1.0, now);
        }
        // For an ICMP error the initiator is the flow's responder.
        let target = if flow.src.0 == self.key.initiator { flow.dst } else { flow.src };
        insert_bounded(&mut self.targets, target.0, MAX_TARGETS, &mut self.more_targets);
        insert_bounded(&mut self.ports, target.1, MAX_PORTS, &mut self.more_ports);
        let is_highest = match finding.source {
            FindingSource::Model => {
                self.flows_by_model += 1;
                self.flows_by_model == 1 || finding.score > self.score
            }
            FindingSource::Rule(rule) => {
                self.findings_by_rules += 1;
                if !self.rules.contains(&rule) {
                    self.rules.push(rule);
                }
                self.flows_by_model == 0 && finding.score > self.score
            }
        };
        if is_highest {
            (self.score, self.threshold) = (finding.score, finding.threshold);
        }
        (self.flow, self.packet) = (flow, finding.packet);
        self.touched = now;
        self.changed = true;
    }

    pub(super) fn level_at(&self, now: u64) -> f32 {
        let secs = now.saturating_sub(self.level.1) as f32 * 1e-9;
        self.level.0 * (-secs / DECAY_SECS).exp()
    }

    /// Number of findings in the last `span`.
    pub(super) fn findings_within(&self, now: u64, span: u64) -> usize {
        self.finding_times.iter().filter(|at| now.saturating_sub(**at) <= span).count()
    }
}

/// Appends, and drops the oldest beyond `most`.
fn push_recent(list: &mut Vec<u64>, value: u64, most: usize) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(value);
}

fn insert_bounded<T: PartialEq>(list: &mut Vec<T>, value: T, most: usize, more: &mut bool) {
    if list.contains(&value) {
        return;
    }
    if list.len() < most {
        list.push(value);
    } else {
        *more = true;
    }
}

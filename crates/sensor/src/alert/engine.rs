//! The alert engine: findings and time in, [`Event`]s out.
//!
//! It owns incidents, rules, suppression, drift, and the state that survives a restart. [`AlertEngine`] is a plain state
//! machine; [`SharedEngine`] shares one between the shards of a run and delivers its events to a [`Sink`](super::Sink),
//! outside the lock that guards the engine. [`StateStore`] keeps snapshots in a folder. Time is packet time.

mod shared;
mod state;

use serde::{Deserialize, Serialize};

use super::drift::{DriftMonitor, Outlook, ScoreDrift};
use super::event::{Alert, Event, Stats};
use super::incident::{self, IncidentTracker};
use super::rules::Rules;
use super::settings::Settings;
use crate::detect::{Detector, Finding, Reason, RuleContext};
use crate::feature::sequence::PacketFacts;
use crate::flow::initiator::{HostsSnapshot, Initiators};
use crate::metrics::{Metric, Metrics};
pub use shared::{EngineObserver, EngineOptions, RunReport, SharedEngine};
pub use state::{StateError, StateStore};

const SECOND: i64 = 1_000_000_000;
/// Packet time between two [`Event::Stats`].
const STATS_NANOS: i64 = 10 * SECOND;

/// The state that survives a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    incidents: incident::Snapshot,
    started_nanos: Option<i64>,
    hosts: HostsSnapshot,
    drift: ScoreDrift,
}

/// Conversations that ended since the last tick.
#[derive(Clone, Copy, Debug)]
pub struct EndedFlows<'a> {
    /// Their number.
    pub flows: u64,
    /// Per class of the model, those that came near it.
    pub near: &'a [u32],
}

/// Turns findings into events.
pub struct AlertEngine {
    rules: Rules,
    incidents: IncidentTracker,
    drift: DriftMonitor,
    metrics: Metrics,
    events: Vec<Event>,
    started_nanos: Option<i64>,
    latest_nanos: Option<i64>,
    next_stats: Option<i64>,
}

impl AlertEngine {
    /// An engine for a detector. `model` names it in alerts.
    pub fn new(settings: Settings, detector: &Detector, model: &str) -> AlertEngine {
        let mut incidents = IncidentTracker::new(settings.alerts, settings.suppress, detector.classes());
        incidents.set_model(model, detector.classes(), 0);
        AlertEngine {
            rules: Rules::new(settings.rules),
            incidents,
            drift: DriftMonitor::new(detector),
            metrics: Metrics::default(),
            events: Vec::new(),
            started_nanos: None,
            latest_nanos: None,
            next_stats: None,
        }
    }

    /// Changes settings and detector. Incidents stay open, unless the model's classes differ.
    pub fn set(&mut self, settings: Settings, detector: &Detector, model: &str) {
        self.rules.set(settings.rules);
        self.incidents.set(settings.alerts, settings.suppress);
        self.incidents.set_model(model, detector.classes(), self.latest_nanos.unwrap_or_default());
        self.drift.set(detector);
        self.collect();
    }

    /// A capture starts.
    pub fn capture_started(&mut self, name: Option<&str>) {
        self.events.push(Event::CaptureStarted(name.map(str::to_owned)));
    }

    /// Adds a finding of the model. `reasons` is called once per incident.
    pub fn finding(&mut self, finding: &Finding, reasons: &mut dyn FnMut() -> Vec<Reason>) {
        self.incidents.finding(finding, reasons);
        self.collect();
    }

    /// Evaluates the rules on a packet.
    pub fn facts(&mut self, facts: &PacketFacts, context: &RuleContext<'_>) {
        let AlertEngine { rules, incidents, .. } = self;
        rules.judge(facts, context, |finding| incidents.finding(finding, &mut Vec::new));
        self.collect();
    }

    /// To be called about once per second of packet time. `metrics` are those of capture and detection.
    pub fn tick(&mut self, now_nanos: i64, ended: EndedFlows<'_>, metrics: Metrics) {
        self.metrics = metrics;
        self.rules.start(now_nanos);
        self.started_nanos.get_or_insert(now_nanos);
        let has_incident = self.incidents.counters().open > 0;
        self.drift.update(now_nanos, ended.flows, ended.near, has_incident);
        self.latest_nanos = Some(self.latest_nanos.map_or(now_nanos, |latest| latest.max(now_nanos)));
        self.incidents.tick(now_nanos);
        self.collect();
        let due = *self.next_stats.get_or_insert(now_nanos.saturating_add(STATS_NANOS));
        // A clock that was set back must not stop the events.
        if now_nanos >= due || due.saturating_sub(now_nanos) > 2 * STATS_NANOS {
            self.next_stats = Some(now_nanos.saturating_add(STATS_NANOS));
            let warning = self.drift.warning(now_nanos);
            self.events.extend(warning);
            self.push_stats(now_nanos);
        }
    }

    /// Sets the metrics of capture and detection.
    pub fn set_metrics(&mut self, metrics: Metrics) {
        self.metrics = metrics;
    }

    /// The traffic has ended. Incidents are closed, unless they are to stay open over a restart.
    pub fn finish(&mut self, stay_open: bool) {
        let now_nanos = self.latest_nanos.unwrap_or_default();
        if stay_open {
            self.incidents.settle(now_nanos);
        } else {
            self.incidents.finish(now_nanos);
        }
        self.collect();
        if self.started_nanos.is_some() {
            self.push_stats(now_nanos);
        }
    }

    /// Events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The state to restore after a restart, without the host counts, which detection owns.
    pub fn snapshot(&self, hosts: &Initiators) -> Snapshot {
        Snapshot {
            incidents: self.incidents.snapshot(),
            started_nanos: self.rules.started_nanos(),
            hosts: hosts.snapshot(),
            drift: self.drift.snapshot().clone(),
        }
    }

    /// Restores a snapshot. Returns the number of hosts, and whether incidents were restored: `false` if the model's classes
    /// differ.
    pub fn restore(&mut self, snapshot: Snapshot, hosts: &Initiators) -> (usize, bool) {
        if let Some(started) = snapshot.started_nanos {
            self.rules.start(started);
        }
        self.drift.restore(snapshot.drift);
        let restored_hosts = hosts.restore(&snapshot.hosts);
        (restored_hosts, self.incidents.restore(snapshot.incidents))
    }

    /// Counters of incident tracking.
    pub fn counters(&self) -> incident::Counters {
        self.incidents.counters()
    }

    /// Open incidents, longest idle first.
    pub fn open_incidents(&self) -> impl Iterator<Item = Alert> {
        self.incidents.open_incidents()
    }

    /// False positives to expect; `None` before an hour of traffic.
    pub fn outlook(&self) -> Option<Outlook> {
        self.drift.outlook()
    }

    /// The metrics now.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.metrics.clone();
        self.incidents.counters().set_metrics(&mut metrics);
        self.drift.set_metrics(&mut metrics);
        if let (Some(started), Some(latest)) = (self.started_nanos, self.latest_nanos) {
            metrics.set(Metric::Uptime, (latest.saturating_sub(started).max(0) / SECOND) as u64);
        }
        metrics
    }

    /// The latest packet time, nanoseconds since 1970-01-01 UTC.
    pub fn latest_nanos(&self) -> Option<i64> {
        self.latest_nanos
    }

    fn collect(&mut self) {
        self.events.append(&mut self.incidents.take_events());
    }

    fn push_stats(&mut self, time_nanos: i64) {
        let mut metrics = self.metrics();
        if let Some(started) = self.started_nanos {
            metrics.set(Metric::Uptime, (time_nanos.saturating_sub(started).max(0) / SECOND) as u64);
        }
        self.events.push(Event::Stats(Box::new(Stats { time_nanos, metrics })));
    }
}

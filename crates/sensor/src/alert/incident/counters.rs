//! Counters of incident tracking.

use serde::{Deserialize, Serialize};

use crate::metrics::{Metric, Metrics};

/// Counters of incident tracking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Findings received.
    pub findings: u64,
    /// Alerts raised: incidents opened, updated and closed.
    pub alerts: u64,
    /// Incidents opened.
    pub incidents: u64,
    /// Findings that matched a suppression.
    pub suppressed: u64,
    /// Alerts delayed or omitted because of the limit per minute.
    pub over_rate: u64,
    /// Incidents closed and candidates dropped because the table was full.
    pub evicted: u64,
    /// Incidents open now.
    pub open: u64,
}

impl Counters {
    /// Sets the metrics of incident tracking.
    pub fn set_metrics(&self, metrics: &mut Metrics) {
        for (metric, value) in [
            (Metric::Findings, self.findings),
            (Metric::FindingsSuppressed, self.suppressed),
            (Metric::Incidents, self.incidents),
            (Metric::IncidentsOpen, self.open),
            (Metric::IncidentsEvicted, self.evicted),
            (Metric::Alerts, self.alerts),
            (Metric::AlertsOverRate, self.over_rate),
            (Metric::AlertsSuppressed, self.suppressed + self.over_rate),
        ] {
            metrics.set(metric, value);
        }
    }
}

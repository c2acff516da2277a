//! Incidents of a run.

use anyhow::Result;
use citronella_sensor::metrics::Metric;
use serde_json::{Value, json};

use crate::detect::outputs::Report;
use crate::show::{self, count};

/// Prints the incidents, and how many findings and alerts are not among them.
pub(super) fn print(report: &Report) -> Result<()> {
    if !report.incidents.is_empty() {
        let columns = ["incident", "class", "detected by", "flows", "targets", "score", "first", "last"];
        let mut table = show::table(&columns);
        for alert in &report.incidents {
            let incident = &alert.incident;
            table.add_row([
                incident.key.initiator.to_string(),
                alert.class.clone(),
                incident.detected_by().name().to_owned(),
                count(incident.flows),
                count(incident.targets.len() as u64),
                format!("{:.4}", incident.score),
                show::time(incident.first_nanos),
                show::time(incident.last_nanos),
            ]);
        }
        show::print(&table)?;
    }
    let metric = |metric| report.metrics.get(metric);
    let more = metric(Metric::Incidents).saturating_sub(report.incidents.len() as u64);
    for (number, what) in [
        (more, "more incidents"),
        (metric(Metric::FindingsSuppressed), "findings were suppressed by the configuration"),
        (metric(Metric::AlertsOverRate), "alerts were delayed or omitted: too many a minute"),
        (metric(Metric::IncidentsEvicted), "incidents were evicted: the table was full"),
        (metric(Metric::RecordsShed), "records were dropped: the output did not keep up"),
        (metric(Metric::RecordsLost), "records could not be written"),
    ] {
        if number > 0 {
            show::line(&format!("{} {what}", count(number)))?;
        }
    }
    Ok(())
}

/// The incidents as JSON.
pub(super) fn list(report: &Report) -> Value {
    let seconds = |nanos: i64| nanos as f64 * 1e-9;
    let incidents = report.incidents.iter().map(|alert| {
        let incident = &alert.incident;
        json!({
            "initiator": incident.key.initiator, "class": alert.class, "signature": alert.signature.name,
            "detected_by": incident.detected_by().name(), "flows": incident.flows,
            "targets": incident.targets.len(), "score": incident.score,
            "first_seen": seconds(incident.first_nanos), "last_seen": seconds(incident.last_nanos),
        })
    });
    incidents.collect()
}

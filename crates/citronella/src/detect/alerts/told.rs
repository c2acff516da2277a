//! What alerts came to, for the end.

use std::net::IpAddr;

use anyhow::Result;
use citronella_sensor::alert::incident::Counters;
use serde_json::{Value, json};

use super::super::Found;
use crate::show::{self, count};

/// An incident as the summary shows it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) initiator: IpAddr,
    pub(crate) kind: String,
    pub(crate) found_by: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) flows: u64,
    pub(crate) targets: usize,
    pub(crate) score: f32,
    pub(crate) first_nanos: i64,
    pub(crate) last_nanos: i64,
}

/// What it came to.
pub(crate) struct Told {
    /// Incidents, the first so many.
    pub(crate) incidents: Vec<Line>,
    pub(crate) counters: Counters,
    /// False calls a day to be expected; nothing before an hour of benign traffic was seen.
    pub(crate) suitability: Value,
    /// Records that were written, shed, or could not be written.
    pub(crate) written: u64,
    pub(crate) shed: u64,
    pub(crate) lost: u64,
}

impl Told {
    /// Whether there was an alert.
    pub(crate) fn found(&self) -> Found {
        if self.counters.alerts > 0 { Found::Alerts } else { Found::Nothing }
    }

    /// Prints incidents and what was left out.
    pub(crate) fn print(&self) -> Result<()> {
        if !self.incidents.is_empty() {
            let columns = ["incident", "kind", "found by", "flows", "targets", "score", "first", "last"];
            let mut table = show::table(&columns);
            for line in &self.incidents {
                table.add_row([
                    line.initiator.to_string(),
                    line.kind.clone(),
                    line.found_by.to_owned(),
                    count(line.flows),
                    count(line.targets as u64),
                    format!("{:.4}", line.score),
                    show::time(line.first_nanos),
                    show::time(line.last_nanos),
                ]);
            }
            show::print(&table)?;
        }
        let more = self.counters.incidents.saturating_sub(self.incidents.len() as u64);
        for (number, what) in [
            (more, "more incidents"),
            (self.counters.suppressed, "calls were suppressed by the configuration"),
            (self.counters.over_rate, "alerts waited or were left out: too many a minute"),
            (self.counters.evicted, "incidents made room for others"),
            (self.shed, "records were shed: their sink did not keep up"),
            (self.lost, "records could not be written"),
        ] {
            if number > 0 {
                show::line(&format!("{} {what}", count(number)))?;
            }
        }
        Ok(())
    }

    /// Adds all that to the summary as JSON.
    pub(crate) fn add_to(&self, document: &mut Value) {
        let seconds = |nanos: i64| nanos as f64 * 1e-9;
        let incidents: Vec<Value> = self
            .incidents
            .iter()
            .map(|line| {
                json!({
                    "initiator": line.initiator, "kind": line.kind, "signature": line.signature,
                    "found_by": line.found_by, "flows": line.flows, "targets": line.targets,
                    "score": line.score, "first_seen": seconds(line.first_nanos),
                    "last_seen": seconds(line.last_nanos),
                })
            })
            .collect();
        document["incidents"] = incidents.into();
        document["alerts_told"] = self.counters.alerts.into();
        document["calls_suppressed"] = self.counters.suppressed.into();
        document["alerts_over_rate"] = self.counters.over_rate.into();
        document["false_calls_per_day"] = self.suitability.clone();
        document["records"] = json!({ "written": self.written, "shed": self.shed, "lost": self.lost });
    }
}

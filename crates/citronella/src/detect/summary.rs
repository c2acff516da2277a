//! The summary of a run: flows by class, flagged flows by initiator, incidents, metrics; as tables or JSON.

mod flows;
mod incidents;

use anyhow::{Error, Result};
use citronella_config::SummaryFormat;
use citronella_nn::Precision;
use citronella_sensor::{
    detect::Detector,
    metrics::{Metric, Metrics},
};
pub(super) use flows::FlowSummary;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::{outputs::Report, shards::Results};
use crate::show::{self, count};

/// Everything that is reported at the end of a run.
pub(super) struct Summary {
    precision: Precision,
    results: Results,
    report: Report,
}

impl Summary {
    pub(super) fn new(detector: &Detector, results: Results, report: Report) -> Summary {
        Summary { precision: detector.precision(), results, report }
    }

    /// Prints the summary to stdout.
    pub(super) fn print(&self, format: SummaryFormat) -> Result<()> {
        self.warn_about_drops();
        match format {
            SummaryFormat::Json => show::json(&self.document()),
            SummaryFormat::Text => self.tables(),
            SummaryFormat::Off => Ok(()),
        }
    }

    /// Why a sink has ended the run, and what could not be read.
    pub(super) fn into_errors(self) -> Vec<Error> {
        self.report.fault.into_iter().chain(self.results.errors).collect()
    }

    fn metrics(&self) -> &Metrics {
        &self.report.metrics
    }

    fn warn_about_drops(&self) {
        let (dropped, all) =
            (self.metrics().get(Metric::KernelDrops), self.metrics().get(Metric::KernelPackets));
        if dropped > 0 {
            warn!(
                dropped,
                packets = all,
                "{} of {} packets were dropped because the ring was full; a larger one (--ring-mib) or more threads \
                 (--threads) help",
                count(dropped),
                count(all)
            );
        }
    }

    fn tables(&self) -> Result<()> {
        let mut head = show::pairs();
        let mut line = |name: &str, value: String| {
            head.add_row([name.to_owned(), value]);
        };
        let metric = |metric| self.metrics().get(metric);
        line("packets", count(metric(Metric::Packets)));
        if metric(Metric::PacketsFiltered) > 0 {
            line("packets excluded by the filter", count(metric(Metric::PacketsFiltered)));
        }
        line("packets without TCP, UDP or ICMP", count(metric(Metric::PacketsWithoutFlow)));
        if let Some((first, last)) = self.results.flows.times() {
            line("first packet", show::time(first));
            line("last packet", show::time(last));
        }
        line("flows", count(metric(Metric::Flows)));
        line("flows flagged", count(metric(Metric::FlowsFlagged)));
        for (name, rare) in [
            ("restarts after a panic", Metric::Restarts),
            ("flows without a verdict", Metric::FlowsLost),
            ("flows ended early: the table was full", Metric::FlowsEvicted),
            ("hosts evicted: the table was full", Metric::HostsEvicted),
            ("endpoints evicted: the table was full", Metric::EndpointsEvicted),
        ] {
            if metric(rare) > 0 {
                line(name, count(metric(rare)));
            }
        }
        show::print(&head)?;
        self.results.flows.print()?;
        incidents::print(&self.report)
    }

    /// The summary as JSON: metrics by name, and results that are not metrics.
    fn document(&self) -> Value {
        let seconds = |nanos: i64| nanos as f64 * 1e-9;
        let precision = match self.precision {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        };
        let times = self.results.flows.times();
        let mut document = Map::new();
        document.insert("precision".to_owned(), precision.into());
        document.insert("first_seen".to_owned(), times.map(|(first, _)| seconds(first)).into());
        document.insert("last_seen".to_owned(), times.map(|(_, last)| seconds(last)).into());
        for (description, value) in self.metrics().iter() {
            document.insert(description.name.to_owned(), value.into());
        }
        self.results.flows.add_to(&mut document);
        let errors: Vec<String> = self.results.errors.iter().map(|error| format!("{error:#}")).collect();
        document.insert("problems".to_owned(), errors.into());
        document.insert("incidents".to_owned(), incidents::list(&self.report));
        let outlook = self.report.outlook.map(|outlook| {
            json!({
                "expected": outlook.false_positives_per_day,
                "calibrated": outlook.calibrated_per_day,
                "hours_observed": outlook.hours,
                "conversations_observed": outlook.conversations,
                "too_many": outlook.is_too_many(),
            })
        });
        document.insert("expected_false_positives_per_day".to_owned(), outlook.into());
        Value::Object(document)
    }
}

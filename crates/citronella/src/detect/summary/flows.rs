//! Flows by class, and flagged flows by initiator and class.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use citronella_sensor::{
    capture::Packet,
    detect::{Finding, FlowVerdict, Observer, Reason},
};
use citronella_wire::Frame;
use serde_json::{Map, Value, json};

use crate::show::{self, count};

/// Pairs of initiator and class that are listed; the flows of more are counted together.
const MAX_ROWS: usize = 10_000;

/// Flagged flows of one initiator and class.
#[derive(Clone, Copy)]
struct Row {
    flows: u64,
    first_nanos: i64,
    last_nanos: i64,
    highest_score: f32,
}

/// Counts what one shard reports.
pub(in crate::detect) struct FlowSummary {
    classes: Vec<String>,
    /// Times of the first and the last packet.
    times: Option<(i64, i64)>,
    /// Flows ended by class; the last is "unknown".
    flows: Vec<u64>,
    rows: BTreeMap<(IpAddr, u32), Row>,
    beyond_cap: u64,
}

impl FlowSummary {
    pub(in crate::detect) fn new(classes: &[String]) -> FlowSummary {
        FlowSummary {
            classes: classes.iter().cloned().chain(["unknown".to_owned()]).collect(),
            times: None,
            flows: vec![0; classes.len() + 1],
            rows: BTreeMap::new(),
            beyond_cap: 0,
        }
    }

    /// Adds what another shard has reported.
    pub(in crate::detect) fn merge(&mut self, other: FlowSummary) {
        if let Some((first, last)) = other.times {
            self.add_time(first);
            self.add_time(last);
        }
        self.flows.iter_mut().zip(other.flows).for_each(|(sum, flows)| *sum += flows);
        self.beyond_cap += other.beyond_cap;
        for (key, more) in other.rows {
            let row = self.rows.entry(key).or_insert(Row { flows: 0, ..more });
            row.flows += more.flows;
            row.first_nanos = row.first_nanos.min(more.first_nanos);
            row.last_nanos = row.last_nanos.max(more.last_nanos);
            row.highest_score = row.highest_score.max(more.highest_score);
        }
    }

    /// Times of the first and the last packet, nanoseconds since 1970-01-01 UTC.
    pub(in crate::detect) fn times(&self) -> Option<(i64, i64)> {
        self.times
    }

    #[inline]
    fn add_time(&mut self, nanos: i64) {
        self.times =
            Some(self.times.map_or((nanos, nanos), |(first, last)| (first.min(nanos), last.max(nanos))));
    }

    fn class(&self, class: u32) -> &str {
        self.classes.get(class as usize).map_or("unknown", String::as_str)
    }

    fn by_class(&self) -> impl Iterator<Item = (&str, u64)> {
        let names = self.classes.iter().map(String::as_str);
        names.zip(self.flows.iter().copied()).filter(|(_, flows)| *flows > 0)
    }

    /// Most flows first.
    fn sorted(&self) -> Vec<(IpAddr, &str, Row)> {
        let mut rows: Vec<_> =
            self.rows.iter().map(|((host, class), row)| (*host, self.class(*class), *row)).collect();
        rows.sort_by_key(|(host, class, row)| (Reverse(row.flows), *host, (*class).to_owned()));
        rows
    }

    /// Prints the tables.
    pub(super) fn print(&self) -> Result<()> {
        let mut classes = show::table(&["class", "flows"]);
        for (class, flows) in self.by_class() {
            classes.add_row([class.to_owned(), count(flows)]);
        }
        show::print(&classes)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut table = show::table(&["initiator", "class", "flows", "highest score", "first", "last"]);
        for (host, class, row) in self.sorted() {
            table.add_row([
                host.to_string(),
                class.to_owned(),
                count(row.flows),
                format!("{:.4}", row.highest_score),
                show::time(row.first_nanos),
                show::time(row.last_nanos),
            ]);
        }
        show::print(&table)?;
        if self.beyond_cap > 0 {
            show::line(&format!("and {} flows of other initiators", count(self.beyond_cap)))?;
        }
        Ok(())
    }

    /// Adds `flows_by_class`, `flagged_flows` and `flagged_flows_beyond_cap`.
    pub(super) fn add_to(&self, document: &mut Map<String, Value>) {
        let seconds = |nanos: i64| nanos as f64 * 1e-9;
        let by_class: Map<String, Value> =
            self.by_class().map(|(class, flows)| (class.to_owned(), json!(flows))).collect();
        let flagged: Vec<Value> = self
            .sorted()
            .into_iter()
            .map(|(host, class, row)| {
                json!({
                    "initiator": host, "class": class, "flows": row.flows, "highest_score": row.highest_score,
                    "first_seen": seconds(row.first_nanos), "last_seen": seconds(row.last_nanos),
                })
            })
            .collect();
        document.insert("flows_by_class".to_owned(), by_class.into());
        document.insert("flagged_flows".to_owned(), flagged.into());
        document.insert("flagged_flows_beyond_cap".to_owned(), self.beyond_cap.into());
    }
}

impl Observer for FlowSummary {
    #[inline]
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        self.add_time(packet.time_nanos);
    }

    fn finding(&mut self, finding: &Finding, _: &mut dyn FnMut() -> Vec<Reason>) {
        let key = (finding.flow.src().0, finding.class);
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            self.beyond_cap += 1;
            return;
        }
        let (first_nanos, last_nanos) = (finding.time_nanos, finding.time_nanos);
        let row =
            self.rows.entry(key).or_insert(Row { flows: 0, first_nanos, last_nanos, highest_score: 0.0 });
        row.flows += 1;
        row.first_nanos = row.first_nanos.min(first_nanos);
        row.last_nanos = row.last_nanos.max(last_nanos);
        row.highest_score = row.highest_score.max(finding.score);
    }

    #[inline]
    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        if let Some(flows) = self.flows.get_mut(verdict.class as usize) {
            *flows += 1;
        }
    }
}

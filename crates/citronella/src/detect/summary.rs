//! What detection found, for the end: flows by class, called flows by initiator and class.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;
use citronella_nn::Precision;
use citronella_sensor::{
    alert::Finding,
    capture::CaptureError,
    detect::{Counters, Detector, FlowVerdict},
};
use serde_json::json;

use crate::show::{self, count};

/// Pairs of initiator and class that are told apart; the flows of more are counted together.
const MAX_ROWS: usize = 10_000;

/// What an initiator did of a class.
#[derive(Clone, Copy)]
struct Row {
    flows: u64,
    first_nanos: i64,
    last_nanos: i64,
    highest: f32,
}

pub(crate) struct Summary {
    classes: Vec<String>,
    /// Packets that the filter did not keep.
    pub(crate) left_out: u64,
    first_nanos: Option<i64>,
    last_nanos: Option<i64>,
    /// Flows ended, by class; the last is "unknown".
    flows: Vec<u64>,
    rows: BTreeMap<(IpAddr, u32), Row>,
    beyond_cap: u64,
}

impl Summary {
    pub(crate) fn new(classes: &[String]) -> Summary {
        Summary {
            classes: classes.iter().cloned().chain(["unknown".to_owned()]).collect(),
            left_out: 0,
            first_nanos: None,
            last_nanos: None,
            flows: vec![0; classes.len() + 1],
            rows: BTreeMap::new(),
            beyond_cap: 0,
        }
    }

    #[inline]
    pub(crate) fn packet(&mut self, time_nanos: i64) {
        self.first_nanos = Some(self.first_nanos.map_or(time_nanos, |first| first.min(time_nanos)));
        self.last_nanos = Some(self.last_nanos.map_or(time_nanos, |last| last.max(time_nanos)));
    }

    /// Whether it is the first of its initiator and class.
    pub(crate) fn finding(&mut self, finding: &Finding) -> bool {
        let key = (finding.flow.src().0, finding.class);
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            self.beyond_cap += 1;
            return false;
        }
        let (first_nanos, last_nanos) = (finding.time_nanos, finding.time_nanos);
        let row = self.rows.entry(key).or_insert(Row { flows: 0, first_nanos, last_nanos, highest: 0.0 });
        row.flows += 1;
        row.first_nanos = row.first_nanos.min(first_nanos);
        row.last_nanos = row.last_nanos.max(last_nanos);
        row.highest = row.highest.max(finding.score);
        row.flows == 1
    }

    /// Adds what another shard found.
    pub(crate) fn merge(&mut self, other: Summary) {
        other.first_nanos.into_iter().chain(other.last_nanos).for_each(|nanos| self.packet(nanos));
        self.flows.iter_mut().zip(other.flows).for_each(|(sum, flows)| *sum += flows);
        self.beyond_cap += other.beyond_cap;
        for (key, more) in other.rows {
            let row = self.rows.entry(key).or_insert(Row { flows: 0, ..more });
            row.flows += more.flows;
            row.first_nanos = row.first_nanos.min(more.first_nanos);
            row.last_nanos = row.last_nanos.max(more.last_nanos);
            row.highest = row.highest.max(more.highest);
        }
    }

    pub(crate) fn ended(&mut self, verdict: &FlowVerdict) {
        if let Some(flows) = self.flows.get_mut(verdict.class as usize) {
            *flows += 1;
        }
    }

    fn class(&self, class: u32) -> &str {
        self.classes.get(class as usize).map_or("unknown", String::as_str)
    }

    fn by_class(&self) -> impl Iterator<Item = (&str, u64)> {
        self.classes
            .iter()
            .map(String::as_str)
            .zip(self.flows.iter().copied())
            .filter(|(_, flows)| *flows > 0)
    }

    /// Most flows first.
    fn sorted(&self) -> Vec<(IpAddr, &str, Row)> {
        let mut rows: Vec<_> =
            self.rows.iter().map(|((host, class), row)| (*host, self.class(*class), *row)).collect();
        rows.sort_by_key(|(host, class, row)| (std::cmp::Reverse(row.flows), *host, class.to_owned()));
        rows
    }

    pub(crate) fn print(&self, counters: Counters) -> Result<()> {
        let mut head = show::pairs();
        let mut line = |name: &str, value: String| {
            head.add_row([name.to_owned(), value]);
        };
        line("packets", count(counters.packets));
        if self.left_out > 0 {
            line("packets left out", count(self.left_out));
        }
        line("of those without TCP, UDP or ICMP", count(counters.passed_over));
        if let (Some(first), Some(last)) = (self.first_nanos, self.last_nanos) {
            line("first packet", show::time(first));
            line("last packet", show::time(last));
        }
        line("flows", count(counters.flows));
        line("flows called an attack", count(counters.findings));
        if counters.restarts > 0 {
            line("restarts after a panic", count(counters.restarts));
            line("flows without a verdict", count(counters.lost_flows));
        }
        for (name, lost) in losses(counters).into_iter().filter(|(_, lost)| *lost > 0) {
            line(name, count(lost));
        }
        show::print(&head)?;
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
                format!("{:.4}", row.highest),
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

    pub(crate) fn document(
        &self,
        detector: &Detector,
        counters: Counters,
        faults: &[CaptureError],
    ) -> serde_json::Value {
        let seconds = |nanos: i64| nanos as f64 * 1e-9;
        let alerts: Vec<_> = self
            .sorted()
            .into_iter()
            .map(|(host, class, row)| {
                json!({
                    "initiator": host, "class": class, "flows": row.flows, "highest_score": row.highest,
                    "first_seen": seconds(row.first_nanos), "last_seen": seconds(row.last_nanos),
                })
            })
            .collect();
        let precision = match detector.precision() {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        };
        json!({
            "precision": precision,
            "packets": counters.packets,
            "packets_left_out": self.left_out,
            "packets_passed_over": counters.passed_over,
            "packets_scored": counters.scored,
            "first_seen": self.first_nanos.map(seconds),
            "last_seen": self.last_nanos.map(seconds),
            "flows_begun": counters.begun,
            "flows": counters.flows,
            "flows_called": counters.findings,
            "flows_by_class": self.by_class().map(|(class, flows)| (class.to_owned(), json!(flows)))
                .collect::<serde_json::Map<_, _>>(),
            "alerts": alerts,
            "alerts_beyond_cap_flows": self.beyond_cap,
            "restarts": counters.restarts,
            "lost_flows": counters.lost_flows,
            "evicted_flows": counters.losses.flows,
            "forgotten_hosts": counters.losses.hosts,
            "forgotten_service_ends": counters.losses.endpoints,
            "problems": faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

fn losses(counters: Counters) -> [(&'static str, u64); 3] {
    [
        ("flows ended early: the table was full", counters.losses.flows),
        ("hosts forgotten: the table was full", counters.losses.hosts),
        ("services forgotten: the table was full", counters.losses.endpoints),
    ]
}

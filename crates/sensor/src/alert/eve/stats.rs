//! `stats` records: Suricata's counters where it has one of that kind, the rest in `metadata.flowints`, which its schema
//! leaves open.

use super::record::{Head, Recorder};

/// What was seen and done since the sensor began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// Seconds since the sensor began.
    pub uptime_secs: u64,
    /// Packets looked at.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Packets without a TCP, UDP or ICMP header.
    pub packets_without_flow: u64,
    /// What the kernel had and dropped, of live traffic.
    pub kernel: Option<Kernel>,
    /// Flows that have ended.
    pub flows: u64,
    /// Flows that had to make room.
    pub flows_evicted: u64,
    /// Alerts told.
    pub alerts: u64,
    /// Alerts shed because their sink did not keep up or did not take them.
    pub alerts_shed: u64,
    /// Findings that a suppression fitted, and alerts over the rate.
    pub alerts_suppressed: u64,
    /// What Suricata has no counter for.
    pub more: Vec<(&'static str, u64)>,
}

/// The kernel's counters of live capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Packets that came.
    pub packets: u64,
    /// Of those, dropped because the ring was full.
    pub drops: u64,
}

impl Recorder {
    /// A record of counters.
    pub(super) fn stats(&mut self, stats: &Stats) {
        let time_nanos = stats.time_nanos;
        let head = Head { kind: "stats", time_nanos, packet: None, flow: None, community_id: "" };
        self.any(head, |json, _| {
            json.object("stats", |json| {
                json.number("uptime", stats.uptime_secs);
                if let Some(kernel) = stats.kernel {
                    json.object("capture", |json| {
                        json.number("kernel_packets", kernel.packets);
                        json.number("kernel_drops", kernel.drops);
                    });
                }
                json.object("decoder", |json| {
                    json.number("pkts", stats.packets);
                    json.number("bytes", stats.bytes);
                });
                json.object("flow", |json| {
                    json.number("total", stats.flows);
                    json.object("mgr", |json| json.number("flows_evicted", stats.flows_evicted));
                });
                json.object("detect", |json| {
                    json.number("alert", stats.alerts);
                    json.number("alert_queue_overflow", stats.alerts_shed);
                    json.number("alerts_suppressed", stats.alerts_suppressed);
                });
            });
            json.object("metadata", |json| {
                json.object("flowints", |json| {
                    json.number("packets_without_flow", stats.packets_without_flow);
                    stats.more.iter().for_each(|(name, count)| json.number(name, *count));
                });
            });
        });
    }
}

//! The metrics of the sensor: one table of name, type, unit and meaning.
//!
//! In: the counters of capture, detection, alerts and record output. Out: values by [`Metric`]. EVE `stats` records, the
//! JSON summary of `detect` and the documentation are generated from the table.

use crate::capture::CaptureCounters;
use crate::detect::{Counters, Progress};

/// How a metric behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the sensor runs.
    Counter,
    /// It may fall.
    Gauge,
}

impl Kind {
    /// Its name, as in the Prometheus text format.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// A row of the metrics table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name in the JSON summary, and in `metadata.flowints` of `stats` records.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Unit of the value, in the plural.
    pub unit: &'static str,
    /// Meaning.
    pub help: &'static str,
    /// Suricata's field below `stats` in `stats` records, where it has one, as a path of at most three names.
    pub eve: Option<&'static str>,
}

macro_rules! metrics {
    ($($metric:ident $name:literal $kind:ident $unit:literal $eve:expr, $help:literal;)*) => {
        /// A metric: its position in [`METRICS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        /// The metrics table.
        pub const METRICS: &[Description] = &[
            $(Description { name: $name, kind: Kind::$kind, unit: $unit, help: $help, eve: $eve },)*
        ];

        impl Metric {
            /// All metrics, in the order of [`METRICS`].
            pub const ALL: &[Metric] = &[$(Metric::$metric,)*];
        }
    };
}

metrics! {
    Uptime "uptime" Gauge "seconds" Some("uptime"),
        "Packet time since the sensor's first packet";
    KernelPackets "kernel_packets" Counter "packets" Some("capture.kernel_packets"),
        "Packets that the kernel received for live capture, dropped ones included";
    KernelDrops "kernel_drops" Counter "packets" Some("capture.kernel_drops"),
        "Packets that the kernel dropped because the ring was full";
    RingFull "ring_full" Counter "times" None,
        "Times that the ring of live capture was full";
    PacketsDamaged "packets_damaged" Counter "packets" None,
        "Packets that the kernel announced but did not deliver";
    PacketsFiltered "packets_filtered" Counter "packets" None,
        "Packets that the filter excluded";
    Packets "packets" Counter "packets" Some("decoder.pkts"),
        "Packets read";
    Bytes "bytes" Counter "bytes" Some("decoder.bytes"),
        "Bytes of these packets on the wire";
    PacketsWithoutFlow "packets_without_flow" Counter "packets" None,
        "Packets without a TCP, UDP or ICMP header";
    PacketsScored "packets_scored" Counter "packets" None,
        "Packets scored by the model";
    FlowsStarted "flows_started" Counter "flows" None,
        "Flows started";
    Flows "flows" Counter "flows" Some("flow.total"),
        "Flows ended";
    FlowsFlagged "flows_flagged" Counter "flows" None,
        "Flows that the model flagged as an attack";
    FlowsEvicted "flows_evicted" Counter "flows" Some("flow.mgr.flows_evicted"),
        "Flows ended early because the flow table was full";
    FlowsLost "flows_lost" Counter "flows" None,
        "Flows without a verdict because detection restarted";
    HostsEvicted "hosts_evicted" Counter "hosts" None,
        "Hosts evicted from the host table because it was full";
    EndpointsEvicted "endpoints_evicted" Counter "endpoints" None,
        "Responder endpoints evicted because their table was full";
    DatagramsEvicted "datagrams_evicted" Counter "datagrams" None,
        "Fragmented IP datagrams dropped because their table was full";
    Restarts "restarts" Counter "times" None,
        "Restarts of detection after a panic";
    Findings "findings" Counter "findings" None,
        "Findings of the model and the rules";
    FindingsSuppressed "findings_suppressed" Counter "findings" None,
        "Findings that matched a suppression";
    Incidents "incidents" Counter "incidents" None,
        "Incidents opened";
    IncidentsOpen "incidents_open" Gauge "incidents" None,
        "Incidents open now";
    IncidentsEvicted "incidents_evicted" Counter "incidents" None,
        "Incidents and candidates evicted because the incident table was full";
    Alerts "alerts" Counter "alerts" Some("detect.alert"),
        "Alerts raised: incidents opened, updated and closed";
    AlertsOverRate "alerts_over_rate" Counter "alerts" None,
        "Alerts delayed or omitted because of the limit per minute";
    AlertsSuppressed "alerts_suppressed" Counter "alerts" Some("detect.alerts_suppressed"),
        "Findings suppressed and alerts over the limit per minute";
    AlertsShed "alerts_shed" Counter "alerts" Some("detect.alert_queue_overflow"),
        "Alerts that were not written because the output did not keep up or failed";
    RecordsWritten "records_written" Counter "records" None,
        "EVE records written";
    RecordsShed "records_shed" Counter "records" None,
        "EVE records dropped because the output did not keep up";
    RecordsLost "records_lost" Counter "records" None,
        "EVE records that could not be written";
    FalsePositivesExpected "false_positives_per_day_expected" Gauge "flows" None,
        "Benign conversations per day that are likely to be flagged here; 0 before an hour of traffic";
    FalsePositivesCalibrated "false_positives_per_day_calibrated" Gauge "flows" None,
        "The same for the traffic that the thresholds were chosen on; 0 before an hour of traffic";
    DriftMinutes "drift_minutes_observed" Gauge "minutes" None,
        "Minutes of benign traffic that the expected number is based on; 0 before an hour of traffic";
}

/// A value for each metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    values: [u64; METRICS.len()],
    /// Whether the kernel's counters mean anything.
    is_live: bool,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { values: [0; METRICS.len()], is_live: false }
    }
}

impl Metrics {
    /// The metrics of capture and detection.
    pub fn of_progress(progress: &Progress, is_live: bool) -> Metrics {
        let mut metrics = Metrics { is_live, ..Metrics::default() };
        let Progress { capture, detection } = progress;
        let CaptureCounters { filtered, dropped, damaged, ring_full, .. } = *capture;
        let Counters { evictions, .. } = detection;
        for (metric, value) in [
            (Metric::KernelPackets, capture.received()),
            (Metric::KernelDrops, dropped),
            (Metric::RingFull, ring_full),
            (Metric::PacketsDamaged, damaged),
            (Metric::PacketsFiltered, filtered),
            (Metric::Packets, detection.packets),
            (Metric::Bytes, detection.bytes),
            (Metric::PacketsWithoutFlow, detection.packets_without_flow),
            (Metric::PacketsScored, detection.scored),
            (Metric::FlowsStarted, detection.flows_started),
            (Metric::Flows, detection.flows),
            (Metric::FlowsFlagged, detection.flows_flagged),
            (Metric::FlowsEvicted, evictions.flows),
            (Metric::FlowsLost, detection.lost_flows),
            (Metric::HostsEvicted, evictions.hosts),
            (Metric::EndpointsEvicted, evictions.endpoints),
            (Metric::DatagramsEvicted, evictions.datagrams),
            (Metric::Restarts, detection.restarts),
        ] {
            metrics.set(metric, value);
        }
        metrics
    }

    /// Sets a value.
    pub fn set(&mut self, metric: Metric, value: u64) {
        if let Some(slot) = self.values.get_mut(metric as usize) {
            *slot = value;
        }
    }

    /// The value of a metric.
    pub fn get(&self, metric: Metric) -> u64 {
        self.values.get(metric as usize).copied().unwrap_or_default()
    }

    /// Descriptions and values, in the order of [`METRICS`]; without those of the kernel where packets come from files.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Description, u64)> {
        let is_live = self.is_live;
        METRICS.iter().zip(self.values).zip(Metric::ALL).filter_map(move |((description, value), metric)| {
            let is_of_kernel = matches!(
                metric,
                Metric::KernelPackets | Metric::KernelDrops | Metric::RingFull | Metric::PacketsDamaged
            );
            (is_live || !is_of_kernel).then_some((description, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_eve_fields_are_unique() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        let fields: Vec<_> = METRICS.iter().filter_map(|metric| metric.eve).collect();
        assert_eq!(fields.iter().collect::<BTreeSet<_>>().len(), fields.len());
        assert!(METRICS.iter().all(|metric| !metric.help.is_empty() && !metric.help.ends_with('.')));
        assert_eq!(Metric::ALL.len(), METRICS.len());
    }

    #[test]
    fn every_counter_of_capture_and_detection_has_its_metric() {
        let mut progress = Progress::default();
        let detection = &mut progress.detection;
        (detection.packets, detection.bytes, detection.packets_without_flow) = (1, 2, 3);
        (detection.scored, detection.flows_started, detection.flows) = (4, 5, 6);
        (detection.flows_flagged, detection.restarts, detection.lost_flows) = (7, 8, 9);
        let evictions = &mut detection.evictions;
        (evictions.flows, evictions.hosts, evictions.endpoints, evictions.datagrams) = (10, 11, 12, 13);
        progress.capture =
            CaptureCounters { packets: 14, filtered: 15, dropped: 16, damaged: 17, ring_full: 18 };
        let metrics = Metrics::of_progress(&progress, true);
        let mut values: Vec<u64> =
            metrics.iter().map(|(_, value)| value).filter(|value| *value > 0).collect();
        values.sort_unstable();
        // The kernel's packets are the sum of the delivered, filtered and dropped ones.
        let expected: Vec<u64> = (1..=13).chain(15..=18).chain([14 + 15 + 16]).collect();
        assert_eq!(values, expected);
        let offline = Metrics::of_progress(&progress, false);
        assert!(offline.iter().all(|(description, _)| !description.name.starts_with("kernel")));
    }
}

//! The sink of the alert engine's events.

use std::{io::Write, ops::ControlFlow, sync::Arc};

use citronella_sensor::{
    alert::{Event, Sink, SinkError, Stats},
    metrics::{Metric, Metrics},
};

use crate::encoder::{Encoder, EveOptions};
use crate::output::{QueueCounters, QueueSender};

/// Encodes events as `alert` and `stats` records and queues them.
pub struct EveSink {
    encoder: Encoder<QueueSender>,
    counters: Arc<QueueCounters>,
    /// Whether `alert` records are written.
    writes_alerts: bool,
    /// Lost records at the last report.
    reported: u64,
}

impl EveSink {
    /// A sink that writes to a queue. `interface` is that of live traffic.
    pub fn new(queue: QueueSender, options: EveOptions, interface: Option<&str>) -> EveSink {
        let (counters, writes_alerts) = (queue.counters(), options.alert);
        let mut encoder = Encoder::new(queue, options);
        encoder.set_interface(interface);
        EveSink { encoder, counters, writes_alerts, reported: 0 }
    }

    /// The next record is an alert, of which the queue drops fewer.
    fn mark_alert(&mut self) {
        if self.writes_alerts {
            self.encoder.get_mut().mark_alert();
        }
    }

    /// Writes an alert where records were lost since the last one.
    fn report_losses(&mut self, now_nanos: i64) {
        let (records, alerts) = (self.counters.shed() + self.counters.lost(), self.counters.shed_alerts());
        if records > self.reported {
            self.reported = records;
            self.mark_alert();
            let _ = self.encoder.records_lost(now_nanos, records, alerts);
        }
    }
}

impl Sink for EveSink {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        // The queue counts what it cannot take, so the results add nothing.
        let _ = match event {
            Event::CaptureStarted(name) => {
                self.encoder.begin_capture(name.as_deref());
                return Ok(ControlFlow::Continue(()));
            }
            Event::IncidentOpened(alert) => {
                self.mark_alert();
                self.encoder.incident_opened(alert)
            }
            Event::IncidentUpdated(alert) => {
                self.mark_alert();
                self.encoder.incident_updated(alert)
            }
            Event::IncidentClosed(alert, reason) => {
                self.mark_alert();
                self.encoder.incident_closed(alert, *reason)
            }
            Event::Stats(stats) => {
                let Stats { time_nanos, metrics } = &**stats;
                let mut metrics = metrics.clone();
                self.counters.set_metrics(&mut metrics);
                self.encoder.stats(&Stats { time_nanos: *time_nanos, metrics })
            }
            Event::DriftWarning { .. } => return Ok(ControlFlow::Continue(())),
        };
        Ok(ControlFlow::Continue(()))
    }

    fn tick(&mut self, now_nanos: i64) -> Result<ControlFlow<()>, SinkError> {
        self.report_losses(now_nanos);
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, SinkError> {
        let _ = self.encoder.get_mut().flush();
        Ok(ControlFlow::Continue(()))
    }
}

impl QueueCounters {
    /// Sets the metrics of record output.
    pub fn set_metrics(&self, metrics: &mut Metrics) {
        for (metric, value) in [
            (Metric::AlertsShed, self.shed_alerts()),
            (Metric::RecordsWritten, self.written()),
            (Metric::RecordsShed, self.shed()),
            (Metric::RecordsLost, self.lost()),
        ] {
            metrics.set(metric, value);
        }
    }
}

//! Compares the traffic with the model's thresholds, and warns.

use super::{Outlook, ScoreDrift};
use crate::alert::event::Event;
use crate::detect::Detector;
use crate::feature::sequence::verdict::Settings;
use crate::metrics::{Metric, Metrics};

/// Packet time between two warnings.
const WARNING_NANOS: i64 = 86_400_000_000_000;

/// Drift, and the thresholds that it is compared with.
pub(in crate::alert) struct DriftMonitor {
    drift: ScoreDrift,
    settings: Settings,
    classes: Vec<String>,
    warned_nanos: Option<i64>,
}

impl DriftMonitor {
    pub(in crate::alert) fn new(detector: &Detector) -> DriftMonitor {
        let settings = detector.settings().clone();
        let drift = ScoreDrift::new(&settings);
        DriftMonitor { drift, settings, classes: detector.classes().to_vec(), warned_nanos: None }
    }

    /// Changes the model or its thresholds.
    pub(in crate::alert) fn set(&mut self, detector: &Detector) {
        self.settings = detector.settings().clone();
        self.classes = detector.classes().to_vec();
        self.drift.set(&self.settings);
        self.warned_nanos = None;
    }

    pub(in crate::alert) fn snapshot(&self) -> &ScoreDrift {
        &self.drift
    }

    /// Restores a snapshot of the same model; any other is ignored.
    pub(in crate::alert) fn restore(&mut self, snapshot: ScoreDrift) {
        let _ = self.drift.restore(snapshot);
    }

    /// As [`ScoreDrift::update`].
    pub(in crate::alert) fn update(&mut self, now_nanos: i64, flows: u64, near: &[u32], has_incident: bool) {
        self.drift.update(now_nanos, flows, near, has_incident);
    }

    /// A warning, at most once a day, while there are too many false positives.
    pub(in crate::alert) fn warning(&mut self, now_nanos: i64) -> Option<Event> {
        let is_due =
            self.warned_nanos.is_none_or(|last| now_nanos.saturating_sub(last).abs() >= WARNING_NANOS);
        let outlook = self.outlook().filter(|outlook| is_due && outlook.is_too_many())?;
        self.warned_nanos = Some(now_nanos);
        let class = self.classes.get(outlook.main_class).map_or("unknown", String::as_str).to_owned();
        Some(Event::DriftWarning { outlook, class })
    }

    /// As [`ScoreDrift::outlook`].
    pub(in crate::alert) fn outlook(&self) -> Option<Outlook> {
        self.drift.outlook(&self.settings)
    }

    pub(in crate::alert) fn set_metrics(&self, metrics: &mut Metrics) {
        let Some(outlook) = self.outlook() else { return };
        for (metric, value) in [
            (Metric::FalsePositivesExpected, outlook.false_positives_per_day.round()),
            (Metric::FalsePositivesCalibrated, outlook.calibrated_per_day.round()),
            (Metric::DriftMinutes, outlook.hours * 60.0),
        ] {
            metrics.set(metric, value as u64);
        }
    }
}

//! Whether the model's thresholds suit this network: told in statistics and, where they do not, on stderr.

use citronella_sensor::{
    detect::{Detector, Drift, Outlook},
    feature::sequence::verdict::Settings,
};
use serde_json::{Value, json};
use tracing::warn;

use crate::show::count;

/// Packet time between two warnings.
const EVERY_NANOS: i64 = 86_400_000_000_000;

/// The account of benign scores, and what it is held to.
pub(super) struct Suitability {
    drift: Drift,
    settings: Settings,
    classes: Vec<String>,
    warned_nanos: Option<i64>,
}

impl Suitability {
    pub(super) fn new(detector: &Detector) -> Suitability {
        let settings = detector.settings().clone();
        let drift = Drift::new(&settings);
        Suitability { drift, settings, classes: detector.classes().to_vec(), warned_nanos: None }
    }

    /// Goes on with another model or other thresholds.
    pub(super) fn set(&mut self, detector: &Detector) {
        self.settings = detector.settings().clone();
        self.classes = detector.classes().to_vec();
        self.drift.set(&self.settings);
        self.warned_nanos = None;
    }

    /// What outlives a restart.
    pub(super) fn kept(&self) -> &Drift {
        &self.drift
    }

    /// Goes on with what was kept, if it is of the same model.
    pub(super) fn take_up(&mut self, kept: Drift) {
        let _ = self.drift.take_up(kept);
    }

    pub(super) fn account(&mut self, now_nanos: i64, flows: u64, near: &[u32], has_incident: bool) {
        self.drift.account(now_nanos, flows, near, has_incident);
    }

    /// Warns once a day, while there is reason to.
    pub(super) fn warn(&mut self, now_nanos: i64) {
        let is_due = self.warned_nanos.is_none_or(|last| now_nanos.saturating_sub(last).abs() >= EVERY_NANOS);
        if let Some(outlook) = self.outlook().filter(|outlook| is_due && outlook.is_too_many()) {
            self.warned_nanos = Some(now_nanos);
            warn!("{}", self.warning(&outlook));
        }
    }

    fn warning(&self, outlook: &Outlook) -> String {
        let mostly = self.classes.get(outlook.mostly).map_or("unknown", String::as_str);
        format!(
            "benign conversations score higher here than where the thresholds were chosen: expect some {} a day to be called an attack, most of them {mostly}, not {}; allow fewer (--false-alerts-per-day), suppress who does it, or train on recordings of this network",
            count(outlook.false_calls_per_day.round() as u64),
            count(outlook.calibrated_per_day.round() as u64)
        )
    }

    pub(super) fn outlook(&self) -> Option<Outlook> {
        self.drift.outlook(&self.settings)
    }

    /// For `stats` records.
    pub(super) fn counters(&self) -> Vec<(&'static str, u64)> {
        let Some(outlook) = self.outlook() else { return Vec::new() };
        vec![
            ("false_calls_per_day_expected", outlook.false_calls_per_day.round() as u64),
            ("false_calls_per_day_calibrated", outlook.calibrated_per_day.round() as u64),
            ("false_calls_minutes_seen", (outlook.hours * 60.0) as u64),
        ]
    }

    /// For the summary.
    pub(super) fn document(&self) -> Value {
        self.outlook().map_or(Value::Null, |outlook| {
            json!({
                "expected": outlook.false_calls_per_day,
                "calibrated": outlook.calibrated_per_day,
                "hours_seen": outlook.hours,
                "conversations_seen": outlook.conversations,
                "too_many": outlook.is_too_many(),
            })
        })
    }
}

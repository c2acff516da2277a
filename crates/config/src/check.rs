//! Permitted values of the file and of the command line.

use std::{ops::RangeInclusive, path::Path};

use citronella_sensor::alert::{
    Suppression,
    settings::{AlertSettings, Settings},
    signature::RULES,
};

use crate::{args::DetectArgs, error::ConfigError, file::ConfigFile, suggest::did_you_mean};

/// Number of threads.
pub const THREADS: RangeInclusive<u16> = 1..=256;
/// Bytes captured of a packet.
pub const SNAPLEN: RangeInclusive<u32> = 64..=262_144;
/// MiB of a ring buffer.
pub const RING_MIB: RangeInclusive<u32> = 1..=4_096;
/// MiB of the queue of EVE records.
const QUEUE_MIB: RangeInclusive<usize> = 1..=65_536;
/// Incidents that may be open.
const MAX_INCIDENTS: RangeInclusive<usize> = 1..=1 << 20;
/// MiB at which the EVE file is rotated.
const MAX_ROTATE_MIB: u64 = 1 << 30;

/// Whether a number of false alerts a day, or a replay speed, is permitted: finite, 0 or more.
pub fn is_valid_rate(rate: f64) -> bool {
    rate.is_finite() && rate >= 0.0
}

fn between<T: PartialOrd + std::fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("must be between {} and {}", range.start(), range.end())
}

/// Checks the values of a file.
pub(crate) fn file(path: &Path, file: &ConfigFile) -> Result<(), ConfigError> {
    let ConfigFile { detect, capture, eve, alerts, .. } = file;
    let is_rising = alerts.updates_secs.windows(2).all(|pair| pair[0] < pair[1]);
    let has_empty_suppression = file.suppress.contains(&Suppression::default());
    let at_least = |least: u32| format!("must be {least} or more");
    let checks = [
        (
            detect.false_alerts_per_day.is_none_or(|rate| is_valid_rate(rate.into())),
            "detect.false_alerts_per_day",
            at_least(0),
        ),
        (
            detect.threads.is_none_or(|threads| THREADS.contains(&threads)),
            "detect.threads",
            between(&THREADS),
        ),
        (alerts.flows >= 1, "alerts.flows", at_least(1)),
        (alerts.flows_of.values().all(|flows| *flows >= 1), "alerts.flows_of", at_least(1)),
        (alerts.window_secs >= 1, "alerts.window_secs", at_least(1)),
        ((0.0..=60.0).contains(&alerts.settle_secs), "alerts.settle_secs", between(&(0..=60))),
        ((0.0..=1.0).contains(&alerts.minor_share), "alerts.minor_share", between(&(0..=1))),
        (alerts.quiet_secs >= 1, "alerts.quiet_secs", at_least(1)),
        (
            is_rising && !alerts.updates_secs.contains(&0),
            "alerts.updates_secs",
            "must be in ascending order, starting at 1 or more".to_owned(),
        ),
        (alerts.per_minute >= 1, "alerts.per_minute", at_least(1)),
        (MAX_INCIDENTS.contains(&alerts.max_incidents), "alerts.max_incidents", between(&MAX_INCIDENTS)),
        (SNAPLEN.contains(&capture.snaplen), "capture.snaplen", between(&SNAPLEN)),
        (RING_MIB.contains(&capture.ring_mib), "capture.ring_mib", between(&RING_MIB)),
        (QUEUE_MIB.contains(&eve.queue_mib), "eve.queue_mib", between(&QUEUE_MIB)),
        (eve.rotate_mib <= MAX_ROTATE_MIB, "eve.rotate_mib", format!("must be {MAX_ROTATE_MIB} or less")),
        (
            !has_empty_suppression,
            "suppress",
            "an entry without a key matches nothing; give it one, or delete it".to_owned(),
        ),
    ];
    match checks.into_iter().find(|(is_permitted, ..)| !is_permitted) {
        Some((_, key, problem)) => Err(ConfigError::Value { path: path.to_owned(), key, problem }),
        None => Ok(()),
    }
}

/// Checks what the command line gave, by the same limits.
pub(crate) fn args(args: &DetectArgs) -> Result<(), ConfigError> {
    let rate = "must be a finite number, 0 or more";
    let checks = [
        (args.threads.is_none_or(|threads| THREADS.contains(&threads)), "--threads", between(&THREADS)),
        (args.snaplen.is_none_or(|snaplen| SNAPLEN.contains(&snaplen)), "--snaplen", between(&SNAPLEN)),
        (args.ring_mib.is_none_or(|mib| RING_MIB.contains(&mib)), "--ring-mib", between(&RING_MIB)),
        (args.replay_speed.is_none_or(is_valid_rate), "--replay-speed", rate.to_owned()),
        (
            args.false_alerts_per_day.is_none_or(|per_day| is_valid_rate(per_day.into())),
            "--false-alerts-per-day",
            rate.to_owned(),
        ),
    ];
    match checks.into_iter().find(|(is_permitted, ..)| !is_permitted) {
        Some((_, flag, problem)) => Err(ConfigError::Argument { flag, problem }),
        None => Ok(()),
    }
}

impl ConfigFile {
    /// Checks that `alerts.flows_of` names classes of a model, and `suppress.class` classes or rules. `classes` are the
    /// model's, the benign one first; `path` is the file's, for the error.
    ///
    /// # Errors
    /// A name is neither; the error has the most similar known name.
    pub fn check_class_names(&self, path: &Path, classes: &[String]) -> Result<(), ConfigError> {
        class_names(path, &self.settings(), classes)
    }
}

/// Checks that `alerts.flows_of` names classes of the model, and `suppress.class` classes or rules. `classes` are the
/// model's, the benign one first.
pub(crate) fn class_names(path: &Path, settings: &Settings, classes: &[String]) -> Result<(), ConfigError> {
    let attacks: Vec<&str> = classes.iter().skip(1).map(String::as_str).chain(["unknown"]).collect();
    let attacks_and_rules: Vec<&str> =
        attacks.iter().copied().chain(RULES.iter().map(|rule| rule.key)).collect();
    // Names that have a default are permitted for every model.
    let default = AlertSettings::default();
    let flows_of = settings.alerts.flows_of.keys().filter(|name| !default.flows_of.contains_key(*name));
    let flows_of = flows_of.map(|name| ("alerts.flows_of", name, &attacks));
    let suppress = settings.suppress.iter().filter_map(|entry| entry.class.as_ref());
    let suppress = suppress.map(|name| ("suppress.class", name, &attacks_and_rules));
    match flows_of.chain(suppress).find(|(_, name, known)| !known.contains(&name.as_str())) {
        Some((key, name, known)) => Err(ConfigError::UnknownClass {
            path: path.to_owned(),
            key,
            name: name.clone(),
            known: known.join(", "),
            suggestion: did_you_mean(name, known),
        }),
        None => Ok(()),
    }
}

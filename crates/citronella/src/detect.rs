//! `citronella detect`: the LSTM over every packet of recordings or of live traffic, a verdict on every flow, alerts.
//!
//! A run: resolve command line and configuration into a plan; load the detector; open packet sources and, if they are
//! live, confine the process (`sources`); open outputs (`outputs`); run one loop per source (`shards`); print the summary
//! (`summary`).

mod args;
mod interfaces;
#[cfg(target_os = "linux")]
mod interruptible;
mod outputs;
mod reload;
mod replay;
mod shards;
mod sources;
mod summary;

use std::path::Path;

use anyhow::{Result, ensure};
pub(crate) use args::{Arguments, PrecisionArg};
use citronella_config::{DetectPlan, Input, RuntimePlan};
use citronella_nn::Precision;
use citronella_sensor::detect::{Detector, ModelFile};
use outputs::Outputs;
use reload::Reload;
use sources::Sources;
use summary::Summary;
use tracing::{error, info};

use crate::{embedded, show};

/// The results of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Nothing,
    Alerts,
}

pub(crate) fn run(arguments: Arguments) -> Result<Outcome> {
    if arguments.is_interface_list() {
        return interfaces::list(arguments.json);
    }
    let args = arguments.lower();
    let plan = DetectPlan::load(&args)?;
    let detector = load_detector(&plan.runtime)?;
    let sources = Sources::open(&plan)?;
    let reload = Reload::new(sources.is_live().then_some(args))?;
    let is_live = sources.is_live();
    let config = sources.config(&plan);
    let tables = config.shared();
    let outputs = Outputs::open(&plan, &sources, &detector, &tables.hosts)?;
    if let Some(interfaces) = interface_names(&plan) {
        info!(interfaces, "capturing from {interfaces}");
    }
    let run = shards::Run { detector: &detector, config, tables, outputs: &outputs, reload };
    let results = run.all(sources)?;
    let report = outputs.finish()?;
    let outcome = if report.counters.alerts > 0 { Outcome::Alerts } else { Outcome::Nothing };
    // Live, records may be dropped; that is reported, and no reason to fail.
    let lost = if is_live { 0 } else { report.records_lost };
    let summary = Summary::new(&detector, results, report);
    summary.print(plan.summary)?;
    finish(summary.into_errors(), lost)?;
    Ok(outcome)
}

/// Results are printed all the same, but the command fails if something could not be read or written.
fn finish(errors: Vec<anyhow::Error>, records_lost: u64) -> Result<()> {
    let mut errors = errors.into_iter();
    if let Some(first) = errors.next() {
        errors.for_each(|error| error!("{error:#}"));
        return Err(first);
    }
    ensure!(records_lost == 0, "{} records were not written", show::count(records_lost));
    Ok(())
}

/// Loads the model of the plan, chooses its thresholds and checks the class names of the settings against it.
fn load_detector(plan: &RuntimePlan) -> Result<Detector> {
    let mut detector = load(plan.model.as_deref(), plan.precision)?;
    if let Some(per_day) = plan.false_alerts_per_day {
        let settings = detector.settings().for_false_alerts(per_day);
        detector = detector.with_settings(settings);
    }
    plan.check_class_names(detector.classes())?;
    Ok(detector)
}

/// Name of the model in alerts.
fn model_name(plan: &RuntimePlan) -> String {
    plan.model.as_deref().map_or("sequence (embedded)".to_owned(), |path| path.display().to_string())
}

/// The interfaces of live capture, joined by commas; `None` for recordings.
fn interface_names(plan: &DetectPlan) -> Option<String> {
    match &plan.input {
        Input::Interfaces(interfaces) => Some(interfaces.names.join(",")),
        Input::Recordings(_) => None,
    }
}

/// Loads a model file, or the embedded model.
pub(crate) fn load(file: Option<&Path>, precision: Precision) -> Result<Detector> {
    let detector = match file {
        Some(path) => Detector::new(&path.display().to_string(), &ModelFile::load(path)?)?,
        None => Detector::new(embedded::SEQUENCE_MODEL_NAME, &embedded::sequence_model()?)?,
    };
    Ok(detector.with_precision(precision)?)
}

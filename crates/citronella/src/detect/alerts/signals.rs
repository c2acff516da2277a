//! SIGHUP: the configuration is read again, the file of records opened anew.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::Result;
use citronella_sensor::{alert::settings::Settings, detect::Detector};

use super::super::{Arguments, Rounding, allowed, load};
use crate::config::Configuration;

/// Hears SIGHUP.
#[derive(Clone, Default)]
pub(crate) struct Hangup(Arc<AtomicBool>);

impl Hangup {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(crate) fn listen() -> io::Result<Hangup> {
        let hangup = Hangup::default();
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hangup.0))?;
        Ok(hangup)
    }

    /// Whether one came since this was asked last.
    pub(crate) fn came(&self) -> bool {
        self.0.swap(false, Relaxed)
    }
}

/// What is read again.
#[derive(Clone, Debug)]
pub(crate) struct Reload {
    config: Option<PathBuf>,
    /// Given on the command line: goes before the file's.
    model: Option<PathBuf>,
    precision: Rounding,
    /// As `model`.
    false_alerts_per_day: Option<f32>,
}

/// What was read again.
pub(crate) struct Reloaded {
    pub(crate) settings: Settings,
    pub(crate) detector: Detector,
    pub(crate) model: String,
}

impl Reload {
    /// Of a command line; `model` is the one given there.
    pub(crate) fn new(arguments: &Arguments) -> Reload {
        Reload {
            config: arguments.alerts.config.clone(),
            model: arguments.given_model.clone(),
            precision: arguments.precision,
            false_alerts_per_day: arguments.alerts.false_alerts_per_day,
        }
    }

    /// Reads the configuration and the model.
    ///
    /// # Errors
    /// One of them is bad.
    pub(crate) fn read(&self) -> Result<Reloaded> {
        let mut configuration = match &self.config {
            Some(path) => Configuration::load(path)?,
            None => Configuration::default(),
        };
        configuration.detect.false_alerts_per_day =
            self.false_alerts_per_day.or(configuration.detect.false_alerts_per_day);
        let model = self.model.as_ref().or(configuration.detect.model.as_ref());
        let detector = load(model.map(PathBuf::as_path), self.precision)?;
        let detector = allowed(detector, configuration.detect.false_alerts_per_day);
        if let Some(path) = &self.config {
            configuration.check_names(path, detector.classes())?;
        }
        let model = super::super::name_of_model(model);
        Ok(Reloaded { settings: configuration.settings(), detector, model })
    }
}

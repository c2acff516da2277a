//! SIGHUP: the configuration is read again, the file of records opened anew.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::Result;
use citronella_config::{DetectArgs, RuntimePlan};
use citronella_sensor::{alert::settings::Settings, detect::Detector};

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

/// Reads configuration and model again.
#[derive(Clone, Debug)]
pub(crate) struct Reload(DetectArgs);

/// What was read again.
pub(crate) struct Reloaded {
    pub(crate) settings: Settings,
    pub(crate) detector: Detector,
    pub(crate) model: String,
}

impl Reload {
    /// Of the arguments with which the program was started.
    pub(crate) fn new(args: DetectArgs) -> Reload {
        Reload(args)
    }

    /// Resolves the configuration again and loads the model.
    ///
    /// # Errors
    /// The configuration or the model cannot be used.
    pub(crate) fn read(&self) -> Result<Reloaded> {
        let plan = RuntimePlan::load(&self.0)?;
        let detector = super::super::detector(&plan)?;
        let model = super::super::name_of_model(plan.model.as_deref());
        Ok(Reloaded { settings: plan.settings, detector, model })
    }
}

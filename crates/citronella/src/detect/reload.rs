//! SIGHUP: the record file is reopened, configuration and model are read again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::Result;
use citronella_config::{DetectArgs, RuntimePlan};
use citronella_sensor::{
    alert::engine::SharedEngine,
    detect::{Observer, Progress},
};
use tracing::{error, info};

use super::{load_detector, model_name, outputs::Sinks};

/// The arguments that are resolved again, of live traffic, and the flag that SIGHUP sets.
#[derive(Clone)]
pub(super) struct Reload {
    args: Option<DetectArgs>,
    hangup: Arc<AtomicBool>,
}

impl Reload {
    /// Handles SIGHUP from now on. Without arguments only the record file is reopened.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub(super) fn new(args: Option<DetectArgs>) -> Result<Reload> {
        let hangup = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hangup))?;
        Ok(Reload { args, hangup })
    }

    /// Reads configuration and model again and hands them to the engine.
    fn run(&self, args: &DetectArgs, engine: &SharedEngine<Sinks>) -> Result<()> {
        let plan = RuntimePlan::load(args)?;
        let detector = load_detector(&plan)?;
        engine.reload(plan.settings.clone(), detector, &model_name(&plan));
        Ok(())
    }
}

/// Reloads once a SIGHUP has come. The first shard that notices does it for all.
pub(super) struct ReloadObserver {
    pub(super) reload: Reload,
    pub(super) engine: Arc<SharedEngine<Sinks>>,
    /// Set to reopen the record file.
    pub(super) reopen: Option<Arc<AtomicBool>>,
}

impl Observer for ReloadObserver {
    fn heartbeat(&mut self, _: i64, _: &Progress) {
        if !self.reload.hangup.swap(false, Relaxed) {
            return;
        }
        if let Some(reopen) = &self.reopen {
            reopen.store(true, Relaxed);
        }
        let Some(args) = &self.reload.args else { return };
        match self.reload.run(args, &self.engine) {
            Ok(()) => info!("configuration and model were read again"),
            Err(error) => error!("{error:#}; the previous configuration stays in force"),
        }
    }
}

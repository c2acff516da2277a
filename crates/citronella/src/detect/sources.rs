//! Opening packet sources: recordings, a paced replay, or the rings of interfaces.

use std::{path::Path, time::Duration};

use anyhow::Result;
use citronella_config::{DetectPlan, Input, Interfaces, Recordings};
use citronella_sensor::{
    capture::{Capture, Files, Source},
    detect::{Batching, Config},
};

use super::replay::Paced;

/// Idle time after which a live conversation of one or two packets is reported: those of a scan would otherwise be
/// reported when their flows end.
const IDLE_REPORT: Duration = Duration::from_secs(1);

/// The sources of a run, one for each shard.
pub(super) struct Sources {
    shards: Vec<Box<dyn Source + Send>>,
    batching: Batching,
    is_live: bool,
    captures: usize,
}

impl Sources {
    /// Opens the sources of a plan. With live sources the process is confined afterwards.
    ///
    /// # Errors
    /// A file is not a capture, an interface cannot be opened, or the process cannot be confined as asked.
    pub(super) fn open(plan: &DetectPlan) -> Result<Sources> {
        match &plan.input {
            Input::Recordings(recordings) => Sources::recordings(plan, recordings),
            Input::Interfaces(interfaces) => Sources::interfaces(plan, interfaces),
        }
    }

    fn recordings(plan: &DetectPlan, recordings: &Recordings) -> Result<Sources> {
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        // A file that is not a capture is rejected before anything is written.
        for path in recordings.paths.iter().filter(|path| !is_stdin(path)) {
            Capture::open(path)?;
        }
        let files = Files::new(recordings.paths.clone(), plan.filter.clone());
        let (source, batching): (Box<dyn Source + Send>, _) = match recordings.replay_speed {
            // A pipe may be written to in real time.
            None if recordings.paths.iter().any(|path| is_stdin(path)) => {
                (Box::new(files), Batching::default())
            }
            None => (Box::new(files), Batching::RECORDED),
            Some(speed) => {
                // 5 ms of wall time.
                let wait_nanos = (Batching::default().wait_nanos as f64 * speed) as u64;
                (Box::new(Paced::new(files, speed)), Batching { wait_nanos, ..Batching::default() })
            }
        };
        Ok(Sources { shards: vec![source], batching, is_live: false, captures: recordings.paths.len() })
    }

    #[cfg(target_os = "linux")]
    fn interfaces(plan: &DetectPlan, interfaces: &Interfaces) -> Result<Sources> {
        use anyhow::anyhow;
        use citronella_sensor::capture::live;

        use super::interruptible::Interruptible;
        use crate::sandbox::{self, Account};

        let user = interfaces.user.as_deref().map(str::parse::<Account>).transpose();
        let user = user.map_err(|problem| anyhow!("--user: {problem}"))?;
        let rings = live::open(&interfaces.live_settings(&plan.filter), plan.threads)?;
        // Files that are opened from here on belong to the user who opens them again later.
        if let Some(user) = &user {
            sandbox::become_user(user)?;
        }
        confine(plan, interfaces)?;
        let stop = stop_on_signals()?;
        let shards =
            rings.into_iter().map(|ring| Box::new(Interruptible::new(ring, &stop)) as Box<dyn Source + Send>);
        Ok(Sources { shards: shards.collect(), batching: Batching::default(), is_live: true, captures: 1 })
    }

    #[cfg(not(target_os = "linux"))]
    fn interfaces(_: &DetectPlan, _: &Interfaces) -> Result<Sources> {
        Err(needs_linux())
    }

    /// Whether packets come from interfaces.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether there are several captures, which records then name.
    pub(super) fn has_several_captures(&self) -> bool {
        self.captures > 1
    }

    /// The configuration of one shard. Recordings have one shard, whose network steps are shared between threads; live
    /// capture has one shard per thread.
    pub(super) fn config(&self, plan: &DetectPlan) -> Config {
        let mut config = Config { batching: self.batching, ..Config::default() };
        if self.is_live {
            config.idle_report = Some(IDLE_REPORT);
            config.sequence.flows.max_flows = config.sequence.flows.max_flows.div_ceil(self.shards.len());
        } else {
            config.threads = plan.threads;
        }
        config
    }

    pub(super) fn into_shards(self) -> Vec<Box<dyn Source + Send>> {
        self.shards
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn needs_linux() -> anyhow::Error {
    anyhow::anyhow!(
        "live capture needs Linux; elsewhere pipe a capture in: tcpdump -i INTERFACE -U -w - | citronella detect -r -"
    )
}

/// Confines the process, before its first thread is started.
#[cfg(target_os = "linux")]
fn confine(plan: &DetectPlan, interfaces: &Interfaces) -> Result<()> {
    use anyhow::Context;
    use citronella_config::Sandbox;

    use crate::sandbox::{self, AllowedPaths};

    if let Some(folder) = &plan.state {
        // Access can only be granted to a folder that exists.
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot store state here", folder.display()))?;
    }
    if interfaces.sandbox == Sandbox::Off {
        return Ok(());
    }
    let paths = AllowedPaths {
        read: plan.runtime.model.iter().chain(&plan.runtime.config).cloned().collect(),
        written: plan.output_files().map(Path::to_owned).collect(),
        folders: plan.state.iter().cloned().collect(),
    };
    sandbox::confine(&paths, interfaces.sandbox == Sandbox::Required)?.log();
    // Fail now rather than at the first reload.
    for path in &paths.read {
        std::fs::File::open(path).with_context(|| {
            format!(
                "{}: SIGHUP could not read it again: the user needs permission to read it, and the sandbox grants access \
                 to its folder only, not to the target of a link",
                path.display()
            )
        })?;
    }
    Ok(())
}

/// A flag that SIGINT and SIGTERM set. A second signal ends the process at once.
#[cfg(target_os = "linux")]
fn stop_on_signals() -> Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use std::sync::{Arc, atomic::AtomicBool};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

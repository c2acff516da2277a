//! Running the shards of a run: one loop for each source.

use std::{cell::RefCell, thread};

use anyhow::{Error, Result, anyhow};
use citronella_sensor::{
    capture::{LinkEvent, LinkNotice, Source},
    detect::{Config, Counters, Detector, Observer, Progress as RunProgress, Shard},
    feature::sequence::Shared,
    pipeline,
};
use tracing::{info, warn};

use super::{
    outputs::Outputs,
    reload::{Reload, ReloadObserver},
    sources::Sources,
    summary::FlowSummary,
};
use crate::progress::Progress;

/// A run over some sources.
pub(super) struct Run<'a> {
    pub(super) detector: &'a Detector,
    pub(super) config: Config,
    /// Tables that all shards share.
    pub(super) tables: Shared,
    pub(super) outputs: &'a Outputs,
    pub(super) reload: Option<Reload>,
}

/// Counters and results of the shards.
pub(super) struct Results {
    pub(super) flows: FlowSummary,
    pub(super) counters: Counters,
    /// Read errors.
    pub(super) errors: Vec<Error>,
}

impl Run<'_> {
    /// Runs all sources to their end. The last one runs on this thread.
    ///
    /// # Errors
    /// The network cannot step, or a shard's thread has panicked.
    pub(super) fn all(&self, sources: Sources) -> Result<Results> {
        let is_live = sources.is_live();
        let mut shards = sources.into_shards();
        let own = shards.pop().ok_or_else(|| anyhow!("there is no packet source"))?;
        thread::scope(|scope| {
            let threads = shards.into_iter().map(|source| {
                thread::Builder::new().name("shard".to_owned()).spawn_scoped(scope, || self.one(source, None))
            });
            let threads = threads.collect::<Result<Vec<_>, _>>()?;
            let progress = (!is_live).then(ProgressReporter::start);
            let mut results = self.one(own, progress)?;
            for thread in threads {
                results.merge(thread.join().map_err(|_| anyhow!("a shard's thread panicked"))??);
            }
            Ok(results)
        })
    }

    /// Runs one source to its end.
    fn one(&self, mut source: Box<dyn Source + Send>, progress: Option<ProgressReporter>) -> Result<Results> {
        let mut shard = Shard::with_shared(self.detector, self.config, self.tables.clone())?;
        let mut flows = FlowSummary::new(self.detector.classes());
        let errors = RefCell::new(Vec::new());
        let reload = self.reload.as_ref().map(|reload| ReloadObserver {
            reload: reload.clone(),
            engine: self.outputs.engine().clone(),
            reopen: self.outputs.reopen_flag(),
        });
        let mut observer = ((&mut flows, self.outputs.observer()), (reload, (LinkLog, progress)));
        pipeline::run(&mut source, &mut shard, &mut observer, |error| {
            errors.borrow_mut().push(error.into())
        })?;
        drop(observer);
        Ok(Results { flows, counters: shard.counters(), errors: errors.into_inner() })
    }
}

impl Results {
    fn merge(&mut self, other: Results) {
        self.flows.merge(other.flows);
        self.counters.merge(&other.counters);
        self.errors.extend(other.errors);
    }
}

/// Shows the number of packets on the terminal.
struct ProgressReporter(Progress);

impl ProgressReporter {
    fn start() -> ProgressReporter {
        let progress = Progress::stderr();
        progress.begin_unknown("detect", "packets");
        ProgressReporter(progress)
    }
}

impl Observer for ProgressReporter {
    fn heartbeat(&mut self, _: i64, progress: &RunProgress) {
        self.0.set_position(progress.detection.packets);
    }
}

/// Logs changes of the capture interfaces.
struct LinkLog;

impl Observer for LinkLog {
    fn link_changed(&mut self, notice: &LinkNotice) {
        let interface = &notice.interface;
        match notice.event {
            LinkEvent::Up | LinkEvent::Back => info!(interface, "{notice}"),
            LinkEvent::Down | LinkEvent::Removed | LinkEvent::Lost(_) => warn!(interface, "{notice}"),
        }
    }
}

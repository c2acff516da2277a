//! The outputs of a run: verdicts, EVE records, incidents for the summary, state.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Error, Result, anyhow};
use citronella_config::{DetectPlan, EvePlan};
use citronella_eve::{
    EveOptions, EveSink, SessionRecorder,
    output::{self, QueueSender, RecordWriter, Rotation, Target, WhenFull},
};
use citronella_sensor::{
    alert::{
        Alert, Event, Sink, SinkError,
        drift::Outlook,
        engine::{EngineObserver, EngineOptions, SharedEngine, StateStore},
        incident,
    },
    detect::{Detector, FlowVerdict, Observer, VerdictWriter},
    flow::initiator::Initiators,
    metrics::Metrics,
    output::OutputError,
};
use tracing::{error, warn};

use super::{interface_names, model_name, sources::Sources};
use crate::show::count;

/// Incidents that the summary lists.
const MAX_INCIDENTS: usize = 1_000;

/// The sinks of the alert engine's events.
pub(super) type Sinks = (Option<EveSink>, (AlertLog, IncidentList));

/// All outputs, for all shards.
pub(super) struct Outputs {
    engine: Arc<SharedEngine<Sinks>>,
    eve: Option<EveOutput>,
    verdicts: Option<Verdicts>,
}

/// The record queue with its writer, and the record types.
struct EveOutput {
    queue: Mutex<QueueSender>,
    writer: RecordWriter,
    options: EveOptions,
    interface: Option<String>,
    names_captures: bool,
}

/// The outputs' results at the end of a run.
pub(super) struct Report {
    pub(super) metrics: Metrics,
    pub(super) counters: incident::Counters,
    pub(super) outlook: Option<Outlook>,
    /// Closed incidents, then those that stay open over a restart.
    pub(super) incidents: Vec<Alert>,
    pub(super) records_lost: u64,
    /// Why a sink has ended the run, if one did.
    pub(super) fault: Option<Error>,
}

impl Outputs {
    /// Opens all outputs and restores the state.
    ///
    /// # Errors
    /// A file or folder cannot be written to.
    pub(super) fn open(
        plan: &DetectPlan,
        sources: &Sources,
        detector: &Detector,
        hosts: &Arc<Initiators>,
    ) -> Result<Outputs> {
        let names_captures = sources.has_several_captures();
        let verdicts = match &plan.verdicts {
            Some(to) => Some(Verdicts::create(to.as_path(), detector)?),
            None => None,
        };
        let state = plan.state.as_deref().map(StateStore::open).transpose()?;
        let eve = match &plan.eve {
            Some(eve) => Some(EveOutput::start(plan, eve, sources)?),
            None => None,
        };
        let options = EngineOptions {
            settings: plan.runtime.settings.clone(),
            model: model_name(&plan.runtime),
            state,
            is_live: sources.is_live(),
            names_captures,
        };
        let sinks = (eve.as_ref().map(EveOutput::sink), (AlertLog, IncidentList::default()));
        let engine = SharedEngine::start(options, detector, hosts, sinks);
        Ok(Outputs { engine, eve, verdicts })
    }

    pub(super) fn engine(&self) -> &Arc<SharedEngine<Sinks>> {
        &self.engine
    }

    /// Set to reopen the record file.
    pub(super) fn reopen_flag(&self) -> Option<Arc<std::sync::atomic::AtomicBool>> {
        self.eve.as_ref().map(|eve| eve.writer.reopen_flag())
    }

    /// The observers of another shard.
    pub(super) fn observer(&self) -> (Option<Verdicts>, (Option<SessionRecorder>, EngineObserver<Sinks>)) {
        let sessions = self.eve.as_ref().and_then(EveOutput::session_recorder);
        (self.verdicts.clone(), (sessions, self.engine.observer()))
    }

    /// Closes all outputs. The shards' observers must have been dropped.
    ///
    /// # Errors
    /// The verdicts could not be written.
    pub(super) fn finish(self) -> Result<Report> {
        let report = self.engine.finish().ok_or_else(|| anyhow!("the alert engine was finished twice"))?;
        let (eve_sink, (_, list)) = report.sink;
        // The writer ends with the last sender of the queue.
        drop(eve_sink);
        let mut metrics = report.metrics;
        let mut records_lost = 0;
        if let Some(EveOutput { queue, writer, .. }) = self.eve {
            drop(queue);
            let counters = writer.counters();
            writer.finish();
            counters.set_metrics(&mut metrics);
            records_lost = counters.lost();
        }
        let fault = report.fault.map(|fault| anyhow!(fault));
        if let Some(verdicts) = self.verdicts
            && let Err(error) = verdicts.finish()
        {
            fault.iter().for_each(|fault| error!("{fault:#}"));
            return Err(error);
        }
        let mut incidents = list.closed;
        incidents.extend(report.open.into_iter().take(MAX_INCIDENTS.saturating_sub(incidents.len())));
        let (counters, outlook) = (report.counters, report.outlook);
        Ok(Report { metrics, counters, outlook, incidents, records_lost, fault })
    }
}

impl EveOutput {
    fn start(plan: &DetectPlan, eve: &EvePlan, sources: &Sources) -> Result<EveOutput> {
        let rotation = Rotation { bytes: eve.rotate_bytes, keep: eve.keep };
        let name = eve.destination.to_string();
        let when_full = if sources.is_live() { WhenFull::Drop } else { WhenFull::Block };
        let started = Target::open(eve.destination.as_path(), sources.is_live(), rotation)
            .and_then(|target| output::start(&name, target, eve.queue_bytes, when_full));
        let (queue, writer) = started.with_context(|| format!("{name}: cannot write"))?;
        Ok(EveOutput {
            queue: Mutex::new(queue),
            writer,
            options: eve.options.clone(),
            interface: interface_names(plan),
            names_captures: sources.has_several_captures(),
        })
    }

    fn sender(&self) -> QueueSender {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).new_sender()
    }

    fn sink(&self) -> EveSink {
        EveSink::new(self.sender(), self.options.clone(), self.interface.as_deref())
    }

    fn session_recorder(&self) -> Option<SessionRecorder> {
        SessionRecorder::new(self.sender(), &self.options, self.interface.as_deref(), self.names_captures)
    }
}

/// The file of verdicts, which all shards write to.
#[derive(Clone)]
pub(super) struct Verdicts {
    /// Nothing is written after the first error.
    writer: Arc<Mutex<(Option<VerdictWriter>, Option<OutputError>)>>,
}

impl Verdicts {
    fn create(path: &std::path::Path, detector: &Detector) -> Result<Verdicts> {
        let writer = VerdictWriter::create(path, detector.classes())?;
        Ok(Verdicts { writer: Arc::new(Mutex::new((Some(writer), None))) })
    }

    /// Gives the file its name.
    fn finish(self) -> Result<()> {
        let (writer, error) = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match (writer.take(), error.take()) {
            (_, Some(error)) => Err(error.into()),
            (Some(writer), None) => Ok(writer.finish()?),
            (None, None) => Ok(()),
        }
    }
}

impl Observer for Verdicts {
    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        let (writer, error) = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(writer), None) = (writer, &error) {
            *error = writer.write(verdict).err();
        }
    }
}

/// Logs warnings of the alert engine.
pub(super) struct AlertLog;

impl Sink for AlertLog {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        if let Event::DriftWarning { outlook, class } = event {
            let expected = outlook.false_positives_per_day.round() as u64;
            let calibrated = outlook.calibrated_per_day.round() as u64;
            warn!(
                expected,
                calibrated,
                class,
                "benign conversations score higher here than where the thresholds were chosen: expect some {} false \
                 positives a day, most of them {class}, not {}; allow fewer (--false-alerts-per-day), suppress the \
                 hosts that cause them, or train on recordings of this network",
                count(expected),
                count(calibrated)
            );
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Collects closed incidents for the summary.
#[derive(Default)]
pub(super) struct IncidentList {
    closed: Vec<Alert>,
}

impl Sink for IncidentList {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        if let Event::IncidentClosed(alert, _) = event
            && self.closed.len() < MAX_INCIDENTS
        {
            self.closed.push((**alert).clone());
        }
        Ok(ControlFlow::Continue(()))
    }
}

//! One alert engine for all shards of a run.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::{AlertEngine, EndedFlows, StateStore};
use crate::alert::drift::Outlook;
use crate::alert::event::{Event, Sink, SinkError};
use crate::alert::incident;
use crate::alert::settings::Settings;
use crate::detect::{Control, Detector, Finding, FlowVerdict, Observer, Progress, Reason, RuleContext};
use crate::feature::sequence::{PacketFacts, verdict::MAX_CLASSES};
use crate::flow::initiator::Initiators;
use crate::metrics::Metrics;

/// How a [`SharedEngine`] runs.
pub struct EngineOptions {
    /// Settings of alerts and rules.
    pub settings: Settings,
    /// Name of the model in alerts.
    pub model: String,
    /// Where the state is stored over a restart.
    pub state: Option<StateStore>,
    /// Packets come from interfaces: the kernel's counters are metrics.
    pub is_live: bool,
    /// There are several captures: events say which one they belong to.
    pub names_captures: bool,
}

/// An engine behind a lock, and the sink of its events.
///
/// Lock order: sink, engine, shards, state. Events are taken from the engine and delivered with only the sink locked, so
/// that encoding and writing them does not hold up the shards' findings, and their order is kept.
pub struct SharedEngine<S> {
    engine: Mutex<AlertEngine>,
    sink: Mutex<Option<S>>,
    hosts: Arc<Initiators>,
    state: Mutex<Option<StateStore>>,
    keeps_state: bool,
    is_live: bool,
    names_captures: bool,
    /// The latest progress of each shard.
    shards: Mutex<Vec<Progress>>,
    /// The detector loaded last, and the number of reloads.
    detector: Mutex<Option<Detector>>,
    generation: AtomicU64,
    has_stopped: AtomicBool,
    fault: Mutex<Option<SinkError>>,
}

/// The result of a run.
pub struct RunReport<S> {
    /// The sink, after the last event.
    pub sink: S,
    /// The metrics at the end.
    pub metrics: Metrics,
    /// Counters of incident tracking.
    pub counters: incident::Counters,
    /// False positives to expect; `None` before an hour of traffic.
    pub outlook: Option<Outlook>,
    /// Incidents that stay open over a restart.
    pub open: Vec<crate::alert::Alert>,
    /// Why the sink ended the run, if it did.
    pub fault: Option<SinkError>,
}

impl<S: Sink> SharedEngine<S> {
    /// Starts an engine and restores its state.
    pub fn start(options: EngineOptions, detector: &Detector, hosts: &Arc<Initiators>, sink: S) -> Arc<Self> {
        let EngineOptions { settings, model, state, is_live, names_captures } = options;
        let mut engine = AlertEngine::new(settings, detector, &model);
        if let Some(state) = &state {
            state.restore(&mut engine, hosts);
        }
        Arc::new(SharedEngine {
            engine: Mutex::new(engine),
            sink: Mutex::new(Some(sink)),
            hosts: Arc::clone(hosts),
            keeps_state: state.is_some(),
            state: Mutex::new(state),
            is_live,
            names_captures,
            shards: Mutex::new(Vec::new()),
            detector: Mutex::new(None),
            generation: AtomicU64::new(0),
            has_stopped: AtomicBool::new(false),
            fault: Mutex::new(None),
        })
    }

    /// The observer of another shard.
    pub fn observer(self: &Arc<Self>) -> EngineObserver<S> {
        let mut shards = lock(&self.shards);
        shards.push(Progress::default());
        EngineObserver {
            shared: Arc::clone(self),
            shard: shards.len() - 1,
            flows: 0,
            near: [0; MAX_CLASSES],
            generation: self.generation.load(Relaxed),
        }
    }

    /// Changes settings, detector and the name of the model while the run goes on.
    pub fn reload(&self, settings: Settings, detector: Detector, model: &str) {
        lock(&self.engine).set(settings, &detector, model);
        self.deliver(None);
        *lock(&self.detector) = Some(detector);
        self.generation.fetch_add(1, Relaxed);
    }

    /// Whether the sink has ended the run.
    pub fn has_stopped(&self) -> bool {
        self.has_stopped.load(Relaxed)
    }

    /// Ends the run: closes incidents, or writes the state; delivers the last events and returns the sink. `None` where
    /// it was called before.
    pub fn finish(&self) -> Option<RunReport<S>> {
        let mut engine = lock(&self.engine);
        engine.set_metrics(self.progress());
        engine.finish(self.keeps_state);
        let open = if self.keeps_state { engine.open_incidents().collect() } else { Vec::new() };
        if let Some(state) = lock(&self.state).take() {
            state.write(&engine.snapshot(&self.hosts));
        }
        let (metrics, counters, outlook) = (engine.metrics(), engine.counters(), engine.outlook());
        let latest_nanos = engine.latest_nanos();
        drop(engine);
        self.deliver(latest_nanos);
        let sink = lock(&self.sink).take()?;
        let fault = lock(&self.fault).take();
        Some(RunReport { sink, metrics, counters, outlook, open, fault })
    }

    /// Runs `work` on the engine, then delivers its events.
    fn with_engine(&self, work: impl FnOnce(&mut AlertEngine)) {
        let mut engine = lock(&self.engine);
        work(&mut engine);
        let is_quiet = engine.events.is_empty();
        drop(engine);
        if !is_quiet {
            self.deliver(None);
        }
    }

    /// Delivers the engine's events, and ticks the sink where a time is given.
    fn deliver(&self, tick_nanos: Option<i64>) {
        let mut sink = lock(&self.sink);
        let Some(sink) = sink.as_mut() else { return };
        let events = lock(&self.engine).take_events();
        if lock(&self.fault).is_some() {
            return;
        }
        match deliver_to(sink, &events, tick_nanos) {
            Ok(ControlFlow::Continue(())) => return,
            Ok(ControlFlow::Break(())) => {}
            Err(error) => *lock(&self.fault) = Some(error),
        }
        self.has_stopped.store(true, Relaxed);
    }

    /// The metrics of capture and detection, over all shards.
    fn progress(&self) -> Metrics {
        let mut all = Progress::default();
        for progress in lock(&self.shards).iter() {
            all.detection.merge(&progress.detection);
            all.capture += progress.capture;
        }
        Metrics::of_progress(&all, self.is_live)
    }

    fn heartbeat(&self, now_nanos: i64, shard: usize, progress: &Progress, ended: EndedFlows<'_>) {
        // The engine is locked first: otherwise another shard could merge later and set its metrics earlier.
        let mut engine = lock(&self.engine);
        if let Some(slot) = lock(&self.shards).get_mut(shard) {
            *slot = *progress;
        }
        engine.tick(now_nanos, ended, self.progress());
        if let Some(state) = lock(&self.state).as_mut()
            && state.is_due(now_nanos)
        {
            state.write_in_background(engine.snapshot(&self.hosts));
        }
        drop(engine);
        self.deliver(Some(now_nanos));
    }
}

/// Delivers events, and a tick where a time is given. A sink that breaks still gets the events that follow; one that
/// fails gets none.
fn deliver_to(
    sink: &mut impl Sink,
    events: &[Event],
    tick_nanos: Option<i64>,
) -> Result<ControlFlow<()>, SinkError> {
    let mut flow = ControlFlow::Continue(());
    let mut note = |answer: ControlFlow<()>| {
        if answer.is_break() {
            flow = answer;
        }
    };
    for event in events {
        note(sink.event(event)?);
    }
    if let Some(now_nanos) = tick_nanos {
        note(sink.tick(now_nanos)?);
    }
    note(sink.flush()?);
    Ok(flow)
}

/// A poisoned lock is used: a thread that panicked has lost one event at worst.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes one shard's detections to the shared engine.
pub struct EngineObserver<S> {
    shared: Arc<SharedEngine<S>>,
    shard: usize,
    /// Flows that have ended since the last heartbeat, and per class those that came near it.
    flows: u64,
    near: [u32; MAX_CLASSES],
    generation: u64,
}

impl<S: Sink> Observer for EngineObserver<S> {
    fn capture_started(&mut self, name: &str) {
        let name = self.shared.names_captures.then_some(name);
        self.shared.with_engine(|engine| engine.capture_started(name));
    }

    fn finding(&mut self, finding: &Finding, reasons: &mut dyn FnMut() -> Vec<Reason>) {
        self.shared.with_engine(|engine| engine.finding(finding, reasons));
    }

    fn facts(&mut self, facts: &PacketFacts, context: &RuleContext<'_>) {
        self.shared.with_engine(|engine| engine.facts(facts, context));
    }

    #[inline]
    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        self.flows += 1;
        if verdict.near != 0 {
            for (class, count) in self.near.iter_mut().enumerate() {
                *count += u32::from(verdict.near >> class & 1);
            }
        }
    }

    fn heartbeat(&mut self, now_nanos: i64, progress: &Progress) {
        let (flows, near) = (std::mem::take(&mut self.flows), std::mem::take(&mut self.near));
        self.shared.heartbeat(now_nanos, self.shard, progress, EndedFlows { flows, near: &near });
    }

    #[inline]
    fn control(&mut self) -> Control {
        if self.shared.has_stopped() {
            return Control::Stop;
        }
        let generation = self.shared.generation.load(Relaxed);
        if generation == self.generation {
            return Control::Continue;
        }
        self.generation = generation;
        match &*lock(&self.shared.detector) {
            Some(detector) => Control::Reload(Box::new(detector.clone())),
            None => Control::Continue,
        }
    }
}

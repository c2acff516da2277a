//! What detection tells: findings become incidents, incidents and statistics become EVE records.
//!
//! [`Alerting`] is one for all shards, behind a lock that is taken for findings and once a second; a [`ShardAlerts`] is
//! a shard's own and hears it. Time is packet time.

mod drift;
mod queue;
mod shard;
mod signals;
mod state;
mod target;
mod told;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result};
use citronella_config::EvePlan;
use citronella_sensor::{
    alert::{
        Alert, Incidents, Stage,
        eve::{EveOptions, EveWriter, Kernel, Stats},
        rules::Rules,
        settings::Settings,
    },
    detect::Detector,
    flow::initiator::Initiators,
};

use crate::show::complain;
use drift::Suitability;
use queue::{Entry, Tally, Writer};
pub(crate) use shard::ShardAlerts;
pub(crate) use signals::Reload;
use signals::{Hangup, Reloaded};
use state::StateFolder;
use target::{Rotation, Target};
use told::{Line, Told};

const SECOND: i64 = 1_000_000_000;
/// Packet time between two statistics.
const STATS_NANOS: i64 = 10 * SECOND;

/// What is to be told, and how.
pub(crate) struct AlertOptions {
    pub(crate) settings: Settings,
    pub(crate) eve: Option<EvePlan>,
    /// Nothing may be lost: detection waits for the records to be written.
    pub(crate) offline: bool,
    /// What stands for the model in alerts.
    pub(crate) model: String,
    pub(crate) interface: Option<String>,
    pub(crate) state: Option<PathBuf>,
    /// What SIGHUP has read again, of live detection.
    pub(crate) reload: Option<Reload>,
}

/// Incidents that the summary lists.
const MAX_LINES: usize = 1_000;

/// For all shards.
pub(crate) struct Alerting {
    common: Mutex<Common>,
    sessions: bool,
    eve: EveOptions,
    interface: Option<String>,
    several: bool,
    entry: Mutex<Option<Entry>>,
    writer: Mutex<Option<Writer>>,
    tally: Option<Arc<Tally>>,
    reopen: Option<Arc<AtomicBool>>,
    hangup: Hangup,
    reload: Option<Reload>,
    /// The model that was read again, and how often one was.
    detector: Mutex<Option<Detector>>,
    generation: AtomicU64,
}

struct Common {
    rules: Rules,
    incidents: Incidents,
    eve: Option<EveWriter<Entry>>,
    model: String,
    lines: Vec<Line>,
    stats: Stats,
    began_nanos: Option<i64>,
    latest_nanos: Option<i64>,
    next_stats: Option<i64>,
    shed_told: u64,
    state: Option<StateFolder>,
    hosts: Arc<Initiators>,
    suitability: Suitability,
}

impl Alerting {
    /// Begins: opens the sink, takes up what was kept. `several` captures are named in the records.
    pub(crate) fn begin(
        options: AlertOptions,
        detector: &Detector,
        hosts: &Arc<Initiators>,
        several: bool,
    ) -> Result<Arc<Alerting>> {
        let AlertOptions { settings, eve, offline, model, interface, state, reload } = options;
        let mut incidents = Incidents::new(settings.alerts, settings.suppress, detector.classes());
        let mut rules = Rules::new(settings.rules);
        let mut suitability = Suitability::new(detector);
        let state = state.map(StateFolder::open).transpose()?;
        if let Some(state) = &state {
            state.take_up(&mut incidents, &mut rules, hosts, &mut suitability);
        }
        let what = eve.as_ref().map(|eve| eve.options.clone()).unwrap_or_default();
        let (mut entry, mut writer) = (None, None);
        if let Some(eve) = &eve {
            let rotation = Rotation { bytes: eve.rotate_bytes, keep: eve.keep };
            let name = eve.destination.to_string();
            let begun = Target::open(eve.destination.as_path(), !offline, rotation)
                .and_then(|target| queue::begin(&name, target, eve.queue_bytes, offline));
            let (way, thread) = begun.with_context(|| format!("{name}: cannot write"))?;
            (entry, writer) = (Some(way), Some(thread));
        }
        let mut records = entry.as_ref().map(|entry| EveWriter::new(entry.another(), what.clone()));
        if let Some(records) = &mut records {
            records.set_interface(interface.as_deref());
        }
        let tally = writer.as_ref().map(Writer::tally);
        let reopen = writer.as_ref().map(Writer::reopen);
        Ok(Arc::new(Alerting {
            common: Mutex::new(Common {
                rules,
                incidents,
                eve: records,
                model,
                lines: Vec::new(),
                stats: Stats::default(),
                began_nanos: None,
                latest_nanos: None,
                next_stats: None,
                shed_told: 0,
                state,
                hosts: Arc::clone(hosts),
                suitability,
            }),
            sessions: entry.is_some() && (what.mqtt || what.anomaly || what.tls || what.flow),
            eve: what,
            interface,
            several,
            entry: Mutex::new(entry),
            writer: Mutex::new(writer),
            tally,
            reopen,
            hangup: Hangup::listen()?,
            reload,
            detector: Mutex::new(None),
            generation: AtomicU64::new(0),
        }))
    }

    /// The file of records is opened anew, for somebody may have moved it away; what can be set is read again.
    fn hung_up(&self) {
        if let Some(reopen) = &self.reopen {
            reopen.store(true, Relaxed);
        }
        let Some(reload) = &self.reload else { return };
        match reload.read() {
            Ok(Reloaded { settings, detector, model }) => {
                let mut common = lock(&self.common);
                let now = common.latest_nanos.unwrap_or_default();
                common.rules.set(settings.rules);
                common.incidents.set(settings.alerts, settings.suppress);
                common.with_incidents(|incidents, hear| incidents.set_classes(detector.classes(), now, hear));
                common.model = model;
                common.suitability.set(&detector);
                drop(common);
                *lock(&self.detector) = Some(detector);
                self.generation.fetch_add(1, Relaxed);
                complain("configuration and model are read again");
            }
            Err(error) => complain(&format!("citronella: {error:#}; what was read before stays")),
        }
    }

    /// What the kernel had and dropped, of live traffic.
    pub(crate) fn kernel(&self, kernel: Kernel) {
        lock(&self.common).stats.kernel = Some(kernel);
    }

    /// Ends all incidents, writes the last statistics; the shards' own have to be gone.
    pub(crate) fn finish(&self) -> Told {
        let mut common = lock(&self.common);
        let now = common.latest_nanos.unwrap_or_default();
        if let Some(state) = common.state.take() {
            // What is open goes on after a restart.
            common.with_incidents(|incidents, hear| incidents.settle(now, hear));
            common.list_open();
            state.keep(&common.incidents, &common.rules, &common.hosts, &common.suitability);
        } else {
            common.with_incidents(|incidents, hear| incidents.finish(now, hear));
        }
        common.tell_shed(self.tally.as_deref());
        if common.began_nanos.is_some() {
            common.tell_stats(now, self.tally.as_deref());
        }
        // The ways into the queue end with their owners; then the writer does.
        common.eve = None;
        *lock(&self.entry) = None;
        if let Some(writer) = lock(&self.writer).take() {
            writer.finish();
        }
        let count = |of: fn(&Tally) -> u64| self.tally.as_deref().map_or(0, of);
        Told {
            incidents: std::mem::take(&mut common.lines),
            counters: common.incidents.counters(),
            suitability: common.suitability.document(),
            written: count(Tally::written),
            shed: count(Tally::shed),
            lost: count(Tally::lost),
        }
    }

    fn common(&self) -> MutexGuard<'_, Common> {
        lock(&self.common)
    }
}

/// What a thread that panicked left undone is at worst a record too few.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Common {
    fn with_incidents(&mut self, work: impl FnOnce(&mut Incidents, &mut dyn FnMut(Alert<'_>))) {
        let Common { incidents, eve, model, lines, .. } = self;
        let mut told = false;
        work(incidents, &mut |alert| {
            told = true;
            if let Some(eve) = eve {
                eve.get_mut().is_alert();
                // The queue takes what it is given; it counts itself.
                let _ = eve.alert(&alert, Some(model));
            }
            if matches!(alert.stage, Stage::End(_)) && lines.len() < MAX_LINES {
                lines.push(line(&alert));
            }
        });
        if told {
            self.flush();
        }
    }

    /// Incidents that go on after a restart, for the summary.
    fn list_open(&mut self) {
        let Common { incidents, lines, .. } = self;
        incidents.each_open(|alert| {
            if lines.len() < MAX_LINES {
                lines.push(line(&alert));
            }
        });
    }

    fn flush(&mut self) {
        if let Some(eve) = &mut self.eve {
            let _ = io::Write::flush(eve.get_mut());
        }
    }

    fn tick(&mut self, now: i64, tally: Option<&Tally>) {
        self.latest_nanos = Some(self.latest_nanos.map_or(now, |latest| latest.max(now)));
        self.with_incidents(|incidents, hear| incidents.tick(now, hear));
        self.tell_shed(tally);
        let Common { state, incidents, rules, hosts, suitability, .. } = self;
        if let Some(state) = state {
            state.tick(now, incidents, rules, hosts, suitability);
        }
        let due = *self.next_stats.get_or_insert(now.saturating_add(STATS_NANOS));
        // A clock that was set back must not silence them.
        if now >= due || due.saturating_sub(now) > 2 * STATS_NANOS {
            self.next_stats = Some(now.saturating_add(STATS_NANOS));
            self.suitability.warn(now);
            self.tell_stats(now, tally);
        }
    }

    fn tell_shed(&mut self, tally: Option<&Tally>) {
        let Some(tally) = tally else { return };
        let (all, alerts) = (tally.shed() + tally.lost(), tally.shed_alerts());
        if all > self.shed_told
            && let Some(eve) = &mut self.eve
        {
            eve.get_mut().is_alert();
            let _ = eve.shed(self.latest_nanos.unwrap_or_default(), all, alerts);
            self.shed_told = all;
            self.flush();
        }
    }

    fn tell_stats(&mut self, now: i64, tally: Option<&Tally>) {
        let Common { stats, incidents, eve, began_nanos, suitability, .. } = self;
        let Some(eve) = eve else { return };
        let counters = incidents.counters();
        stats.time_nanos = now;
        stats.uptime_secs = (now.saturating_sub(began_nanos.unwrap_or(now)).max(0) / SECOND) as u64;
        stats.alerts = counters.alerts;
        stats.alerts_suppressed = counters.suppressed + counters.over_rate;
        let count = |of: fn(&Tally) -> u64| tally.map_or(0, of);
        stats.alerts_shed = count(Tally::shed_alerts);
        stats.more = vec![
            ("findings", counters.findings),
            ("incidents", counters.incidents),
            ("incidents_open", counters.open),
            ("incidents_evicted", counters.evicted),
            ("records_written", count(Tally::written)),
            ("records_shed", count(Tally::shed)),
            ("records_lost", count(Tally::lost)),
        ];
        stats.more.extend(suitability.counters());
        let _ = eve.stats(stats);
        self.flush();
    }
}

fn line(alert: &Alert<'_>) -> Line {
    let incident = alert.incident;
    Line {
        initiator: incident.key.initiator,
        kind: alert.kind.to_owned(),
        found_by: incident.found().name(),
        signature: alert.signature.name,
        flows: incident.flows,
        targets: incident.targets.len(),
        score: incident.score,
        first_nanos: incident.first_nanos,
        last_nanos: incident.last_nanos,
    }
}

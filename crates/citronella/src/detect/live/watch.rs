//! A thread for each shard, from its rings to its verdicts; what they hear comes together in one place.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use citronella_config::{DetectArgs, DetectPlan, Interfaces, Sandbox, SummaryFormat};
use citronella_sensor::{
    alert::eve::Kernel,
    capture::live::{self, LiveCounters, LiveShard},
    detect::{Config, Counters, Shard},
};

use super::super::{
    Found,
    alerts::{self, AlertOptions, Alerting},
    detector,
    listener::{Listener, Verdicts},
    name_of_model,
    summary::Summary,
};
use crate::{
    sandbox::{self, Places},
    show,
};

/// How long a thread sleeps when nothing passes: after that it looks whether it should end. Packets wake it.
const WAIT: Duration = Duration::from_millis(100);

/// How often a thread tells what its rings have counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// After so long a conversation of one or two packets is told of: a scan's would else wait for their flows' ends.
const SILENCE: Duration = Duration::from_secs(1);

pub(crate) fn watch(plan: &DetectPlan, interfaces: &Interfaces, args: DetectArgs) -> Result<Found> {
    let detector = detector(&plan.runtime)?;
    let settings = interfaces.live_settings(&plan.filter);
    let user = interfaces.user.as_deref().map(str::parse::<sandbox::Account>).transpose();
    let user = user.map_err(|problem| anyhow!("--user: {problem}"))?;
    let lives = live::open(&settings, plan.threads)?;
    // From here on what is opened is opened by the user who is to open it again.
    if let Some(user) = &user {
        sandbox::become_user(user)?;
    }
    // Before any thread is begun: the writer of records, the shards.
    if let Some(folder) = &plan.state {
        // What is not there cannot be allowed.
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot keep state here", folder.display()))?;
    }
    if interfaces.sandbox != Sandbox::Off {
        let places = Places {
            read: plan.runtime.model.iter().chain(&plan.runtime.config).cloned().collect(),
            written: plan.output_files().map(Path::to_owned).collect(),
            folders: plan.state.iter().cloned().collect(),
        };
        show::complain(&sandbox::confine(&places, interfaces.sandbox == Sandbox::Required)?.to_string());
        // Better to hear of it now than when it is to be read again.
        for path in &places.read {
            std::fs::File::open(path).with_context(|| {
                format!(
                    "{}: SIGHUP could not read it again: the user needs the right to read it, and the sandbox leaves what is in its folder, not what a link there leads to",
                    path.display()
                )
            })?;
        }
    }
    let mut config = Config { silence: Some(SILENCE), ..Config::default() };
    config.sequence.flows.max_flows = config.sequence.flows.max_flows.div_ceil(lives.len());
    let shared = config.shared();
    let shards: Result<Vec<_>, _> =
        lives.iter().map(|_| Shard::with_shared(&detector, config, shared.clone())).collect();
    let verdicts = match &plan.verdicts {
        Some(to) => Some(Verdicts::create(to.as_path(), &detector)?),
        None => None,
    };
    let captured = Arc::new(Mutex::new(vec![LiveCounters::default(); lives.len()]));
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal does not wait for the first to be obeyed.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // Its thread is begun within the sandbox.
    let alerting = Alerting::begin(
        AlertOptions {
            settings: plan.runtime.settings.clone(),
            eve: plan.eve.clone(),
            offline: false,
            model: name_of_model(plan.runtime.model.as_deref()),
            interface: Some(settings.interfaces.join(",")),
            state: plan.state.clone(),
            reload: Some(alerts::Reload::new(args)),
        },
        &detector,
        &shared.hosts,
        false,
    )?;
    show::complain(&format!("capturing from {}", settings.interfaces.join(", ")));
    let mut threads = Vec::new();
    for (at, (live, shard)) in lives.into_iter().zip(shards?).enumerate() {
        let ear = Listener {
            verdicts: verdicts.clone(),
            summary: Summary::new(detector.classes()),
            alerts: alerting.shard(),
        };
        let mut watcher = Watcher {
            at,
            live,
            shard,
            ear,
            captured: Arc::clone(&captured),
            alerting: Arc::clone(&alerting),
            counted: Instant::now(),
            stop: Arc::clone(&stop),
        };
        let run = move || {
            watcher.run().map(|()| {
                let counters = (watcher.shard.counters(), watcher.live.counters());
                watcher.ear.alerts.finish();
                (watcher.ear.summary, counters)
            })
        };
        threads.push(thread::Builder::new().name("shard".to_owned()).spawn(run)?);
    }
    let mut counters = Counters::default();
    let mut captured = LiveCounters::default();
    let mut summary = Summary::new(detector.classes());
    for thread in threads {
        let (own, (shard, live)) = thread.join().map_err(|_| anyhow!("a shard's thread panicked"))??;
        summary.merge(own);
        counters.merge(&shard);
        captured += live;
    }
    summary.left_out = captured.left_out;
    alerting.kernel(kernel(&captured));
    let told = alerting.finish();
    if let Some(verdicts) = verdicts {
        verdicts.finish()?;
    }
    if captured.dropped > 0 {
        let (dropped, all) = (captured.dropped, captured.dropped + captured.packets + captured.left_out);
        show::complain(&format!(
            "{} of {} packets were dropped because the ring was full; a larger one (--ring-mib) or more threads (--threads) help",
            show::count(dropped),
            show::count(all)
        ));
    }
    if plan.summary == SummaryFormat::Json {
        let mut document = summary.document(&detector, counters, &[]);
        document["capture"] = serde_json::json!({
            "packets": captured.packets, "dropped": captured.dropped, "left_out": captured.left_out,
            "damaged": captured.damaged, "ring_full": captured.freezes,
        });
        told.add_to(&mut document);
        show::json(&document)?;
    } else if plan.summary == SummaryFormat::Text {
        summary.print(counters)?;
        told.print()?;
    }
    Ok(told.found())
}

fn kernel(captured: &LiveCounters) -> Kernel {
    Kernel { packets: captured.packets + captured.left_out + captured.dropped, drops: captured.dropped }
}

/// One thread's work.
struct Watcher {
    /// Its number.
    at: usize,
    live: LiveShard,
    shard: Shard,
    ear: Listener,
    /// What each shard's rings have counted.
    captured: Arc<Mutex<Vec<LiveCounters>>>,
    alerting: Arc<Alerting>,
    /// When the rings' counters were told last.
    counted: Instant,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    fn run(&mut self) -> Result<()> {
        let done = self.until_stopped();
        // One thread's fault ends all.
        self.stop.store(true, Ordering::Relaxed);
        done.and(Ok(self.shard.finish(&mut self.ear)?))
    }

    fn until_stopped(&mut self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            if self.counted.elapsed() >= COUNT_EVERY {
                self.tell_counters();
            }
            let Watcher { live, shard, ear, .. } = self;
            let mut fault = None;
            let polled = live.poll(WAIT, |packet| {
                if fault.is_none() {
                    fault = shard.packet(&packet, ear).err();
                }
            })?;
            if let Some(detector) = ear.alerts.new_detector() {
                shard.reload(&detector, ear)?;
            }
            live.notices().iter().for_each(|notice| show::complain(&notice.to_string()));
            match (fault, polled.idle_at_nanos) {
                (Some(fault), _) => return Err(fault.into()),
                (None, Some(now)) => shard.tick(now, ear)?,
                // The ring is read empty: who waits for company waits in vain.
                (None, None) => shard.flush(ear)?,
            }
        }
        Ok(())
    }

    /// For the statistics, which come while capture goes on.
    fn tell_counters(&mut self) {
        self.counted = Instant::now();
        let mut captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = captured.get_mut(self.at) {
            *place = self.live.counters();
        }
        let mut sum = LiveCounters::default();
        captured.iter().for_each(|one| sum += *one);
        drop(captured);
        self.alerting.kernel(kernel(&sum));
    }
}

//! `citronella detect -r CAPTURE... | -i INTERFACE...`: the LSTM over every packet, a verdict on every flow.

mod alerts;
mod args;
mod listener;
mod live;
mod replay;
mod summary;

use std::{cell::Cell, path::Path, sync::Arc};

use alerts::{AlertOptions, Alerting};
use anyhow::{Result, ensure};
pub(crate) use args::{Arguments, PrecisionArg};
use citronella_config::{DetectPlan, Input, Recordings, RuntimePlan, SummaryFormat};
use citronella_nn::Precision;
use citronella_sensor::{
    capture::{Capture, CaptureError},
    detect::{Batching, Config, Counters, Detector, ModelFile, Shard},
    feature::sequence::Shared,
    pipeline::{self, Files, Next, Source},
};
use listener::{Listener, Verdicts};
use summary::Summary;

use crate::{embedded, progress::Progress, show};

/// What detection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Alerts,
}

pub(crate) fn run(arguments: Arguments) -> Result<Found> {
    if arguments.is_interface_list() {
        return live::list(arguments.json);
    }
    let args = arguments.lower();
    let plan = DetectPlan::load(&args)?;
    match &plan.input {
        Input::Recordings(recordings) => read(&plan, recordings),
        Input::Interfaces(interfaces) => live::run(&plan, interfaces, args),
    }
}

fn read(plan: &DetectPlan, recordings: &Recordings) -> Result<Found> {
    let detector = detector(&plan.runtime)?;
    // What is no capture is refused before anything is written.
    for path in recordings.paths.iter().filter(|path| path.as_os_str() != "-") {
        Capture::open(path)?;
    }
    let verdicts = match &plan.verdicts {
        Some(to) => Some(Verdicts::create(to.as_path(), &detector)?),
        None => None,
    };
    let shared = Config::default().shared();
    let alerting = Alerting::begin(
        AlertOptions {
            settings: plan.runtime.settings.clone(),
            eve: plan.eve.clone(),
            offline: true,
            model: name_of_model(plan.runtime.model.as_deref()),
            interface: None,
            state: plan.state.clone(),
            reload: None,
        },
        &detector,
        &shared.hosts,
        recordings.paths.len() > 1,
    )?;
    let progress = Progress::stderr();
    progress.begin_unknown("detect", "packets");
    let mut faults = Vec::new();
    let told_to = ToldTo { detector: &detector, verdicts: verdicts.as_ref(), alerting: &alerting, shared };
    let left_out = Cell::new(0);
    let files = Files::new(recordings.paths.clone(), plan.filter.clone());
    let files = Watched { files, packets: 0, left_out: &left_out, progress: &progress };
    let (mut summary, counters) = detect(plan.threads, recordings, files, &told_to, &mut faults)?;
    summary.left_out = left_out.get();
    progress.end();
    let told = alerting.finish();
    if let Some(verdicts) = verdicts {
        verdicts.finish()?;
    }
    match plan.summary {
        SummaryFormat::Json => {
            let mut document = summary.document(&detector, counters, &faults);
            told.add_to(&mut document);
            show::json(&document)?;
        }
        SummaryFormat::Text => {
            summary.print(counters)?;
            told.print()?;
        }
        SummaryFormat::Off => {}
    }
    let mut faults = faults.into_iter();
    if let Some(first) = faults.next() {
        faults.for_each(|fault| show::complain(&format!("citronella: {fault}")));
        return Err(first.into());
    }
    ensure!(told.lost == 0, "{} records were not written", show::count(told.lost));
    Ok(told.found())
}

/// Whom detection tells what.
struct ToldTo<'a> {
    detector: &'a Detector,
    verdicts: Option<&'a Verdicts>,
    alerting: &'a Arc<Alerting>,
    /// What the shards know together.
    shared: Shared,
}

fn detect(
    threads: usize,
    recordings: &Recordings,
    files: Watched<'_>,
    to: &ToldTo<'_>,
    faults: &mut Vec<CaptureError>,
) -> Result<(Summary, Counters)> {
    match recordings.replay_speed {
        // Somebody may be writing into the pipe as it happens.
        None if recordings.paths.iter().any(|path| path.as_os_str() == "-") => {
            walk(threads, files, Batching::default(), to, faults)
        }
        None => walk(threads, files, Batching::RECORDED, to, faults),
        Some(speed) => {
            // 5 ms by the wall.
            let wait_nanos = (Batching::default().wait_nanos as f64 * speed) as u64;
            let batching = Batching { wait_nanos, ..Batching::default() };
            walk(threads, replay::Paced::new(files, speed), batching, to, faults)
        }
    }
}

fn walk(
    threads: usize,
    mut packets: impl Source,
    batching: Batching,
    to: &ToldTo<'_>,
    faults: &mut Vec<CaptureError>,
) -> Result<(Summary, Counters)> {
    let config = Config { batching, threads, ..Config::default() };
    let ToldTo { detector, verdicts, alerting, shared } = to;
    let mut sink = Listener {
        verdicts: verdicts.cloned(),
        summary: Summary::new(detector.classes()),
        alerts: alerting.shard(),
    };
    let mut shard = Shard::with_shared(detector, config, shared.clone())?;
    pipeline::run(&mut packets, &mut shard, &mut sink, |fault| faults.push(fault))?;
    sink.alerts.finish();
    Ok((sink.summary, shard.counters()))
}

/// Loads the model of the plan, chooses its thresholds and checks the class names of the settings against it.
fn detector(plan: &RuntimePlan) -> Result<Detector> {
    let mut detector = load(plan.model.as_deref(), plan.precision)?;
    if let Some(per_day) = plan.false_alerts_per_day {
        let settings = detector.settings().for_false_alerts(per_day);
        detector = detector.with_settings(settings);
    }
    plan.check_class_names(detector.classes())?;
    Ok(detector)
}

/// Name of the model in alerts.
fn name_of_model(file: Option<&Path>) -> String {
    file.map_or("sequence (in the program)".to_owned(), |path| path.display().to_string())
}

/// Loads a model file, or the embedded model.
pub(crate) fn load(file: Option<&Path>, precision: Precision) -> Result<Detector> {
    let detector = match file {
        Some(path) => Detector::new(&path.display().to_string(), &ModelFile::load(path)?)?,
        None => Detector::new(embedded::SEQUENCE_MODEL_NAME, &embedded::sequence_model()?)?,
    };
    Ok(detector.with_precision(precision)?)
}

/// Files whose packets are counted on the terminal.
struct Watched<'a> {
    files: Files,
    packets: u64,
    /// Those that the filter does not keep.
    left_out: &'a Cell<u64>,
    progress: &'a Progress,
}

impl Source for Watched<'_> {
    #[inline]
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        self.packets += 1;
        if self.packets.is_multiple_of(1 << 16) {
            self.progress.at(self.packets);
        }
        let next = self.files.next();
        if let Ok(Next::Quiet(_)) = next {
            self.left_out.set(self.left_out.get() + 1);
        }
        next
    }
}

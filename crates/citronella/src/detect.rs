//! `citronella detect -r CAPTURE... | -i INTERFACE...`: the LSTM over every packet, a verdict on every flow.

mod alerts;
mod listener;
mod live;
mod replay;
mod summary;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use alerts::EveChoice;
use alerts::{AlertOptions, Alerting};
use anyhow::{Result, bail, ensure};
use citronella_nn::Precision;
use citronella_sensor::{
    capture::{Capture, CaptureError},
    detect::{Batching, Config, Counters, Detector, ModelFile, Shard},
    feature::sequence::Shared,
    pipeline::{self, Files, Next, Source},
};
use clap::{ArgMatches, parser::ValueSource};
use listener::{Listener, Verdicts};
use summary::Summary;
use tracing::error;

use crate::{config::Configuration, embedded, only::Only, progress::Progress, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Recorded traffic: pcap or pcapng files, plain, .gz or .zst, read as one stream in this order; - is stdin
    #[arg(short, long, num_args = 1.., value_name = "CAPTURE", required_unless_present_any = ["interface", "list_interfaces", "config"])]
    read: Vec<PathBuf>,
    #[command(flatten)]
    live: live::Live,
    #[command(flatten)]
    only: Only,
    /// A model of the preset `sequence`, as `train` wrote it; else the one in the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// As it was on the command line.
    #[arg(skip)]
    given_model: Option<PathBuf>,
    /// Threads. Of recordings one reads and keeps the flows, all compute, and what is told is the same for any number (of
    /// stdin and with --replay-speed there is but one). Of interfaces each has its share of the hosts
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads)]
    threads: usize,
    /// Replay the recording at X times the pace at which it was recorded; else as fast as possible
    #[arg(long, value_name = "X", value_parser = speed, requires = "read")]
    replay_speed: Option<f64>,
    /// How the LSTM computes: bf16 needs a CPU with AVX-512 BF16, is faster, and scores differ in the third decimal
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: Rounding,
    #[command(flatten)]
    alerts: alerts::AlertArguments,
    /// Write a row for each flow when it ends; - is stdout, in place of the summary
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Print the summary as one JSON document
    #[arg(long)]
    json: bool,
    /// Exit with 1 if there is an alert
    #[arg(long)]
    pub(crate) fail_on_alert: bool,
}

/// How the LSTM computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Rounding {
    F32,
    Bf16,
}

impl Rounding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rounding::F32 => "f32",
            Rounding::Bf16 => "bf16",
        }
    }
}

impl From<Rounding> for Precision {
    fn from(rounding: Rounding) -> Precision {
        match rounding {
            Rounding::F32 => Precision::F32,
            Rounding::Bf16 => Precision::Bf16,
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if f64::is_finite(speed) && speed >= 0.0 => Ok(speed),
        _ => Err("expected a number such as 1, 10 or 0.5; 0 is as fast as possible".to_owned()),
    }
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=256) => Ok(threads),
        _ => Err("expected a number from 1 to 256".to_owned()),
    }
}

/// What detection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Alerts,
}

pub(crate) fn run(arguments: &mut Arguments, matches: &ArgMatches) -> Result<Found> {
    let configuration = configure(arguments, matches)?;
    let arguments = &*arguments;
    let verdicts = arguments.verdicts.as_deref() == Some(Path::new("-"));
    let to_stdout = [
        (verdicts, "--verdicts -", "--verdicts"),
        (configuration.eve.is_stdout(), "--eve -", "--eve"),
        (arguments.json, "--json", ""),
    ];
    let mut asked = to_stdout.iter().filter(|(asked, ..)| *asked);
    if let (Some((_, first, name)), Some((_, second, _))) = (asked.next(), asked.next()) {
        bail!("{first} and {second} both write to stdout; give {name} a file, or leave one of them out");
    }
    let to_stdout = verdicts || configuration.eve.is_stdout();
    if arguments.live.is_meant() {
        return live::run(arguments, &configuration);
    }
    let detector = load(arguments.model.as_deref(), arguments.precision)?;
    let detector = allowed(detector, configuration.detect.false_alerts_per_day);
    configuration.check_names(arguments.alerts.name(), detector.classes())?;
    // What is no capture is refused before anything is written.
    for path in arguments.read.iter().filter(|path| path.as_os_str() != "-") {
        Capture::open(path)?;
    }
    let filter = arguments.only.filter()?;
    let verdicts = match &arguments.verdicts {
        Some(path) => Some(Verdicts::create(path, &detector)?),
        None => None,
    };
    let shared = Config::default().shared();
    let alerting = Alerting::begin(
        AlertOptions {
            settings: configuration.settings(),
            eve: configuration.eve.clone(),
            offline: true,
            model: name_of_model(arguments.model.as_ref()),
            interface: None,
            state: configuration.state.folder.clone(),
            reload: None,
        },
        &detector,
        &shared.hosts,
        arguments.read.len() > 1,
    )?;
    let progress = Progress::stderr();
    progress.begin_unknown("detect", "packets");
    let mut faults = Vec::new();
    let told_to = ToldTo { detector: &detector, verdicts: verdicts.as_ref(), alerting: &alerting, shared };
    let left_out = Cell::new(0);
    let files = Files::new(arguments.read.clone(), filter);
    let files = Watched { files, packets: 0, left_out: &left_out, progress: &progress };
    let (mut summary, counters) = detect(arguments, files, &told_to, &mut faults)?;
    summary.left_out = left_out.get();
    progress.end();
    let told = alerting.finish();
    if let Some(verdicts) = verdicts {
        verdicts.finish()?;
    }
    if arguments.json {
        let mut document = summary.document(&detector, counters, &faults);
        told.add_to(&mut document);
        show::json(&document)?;
    } else if !to_stdout {
        summary.print(counters)?;
        told.print()?;
    }
    let mut faults = faults.into_iter();
    if let Some(first) = faults.next() {
        faults.for_each(|fault| error!("{fault}"));
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
    arguments: &Arguments,
    files: Watched<'_>,
    to: &ToldTo<'_>,
    faults: &mut Vec<CaptureError>,
) -> Result<(Summary, Counters)> {
    match arguments.replay_speed.filter(|speed| *speed > 0.0) {
        // Somebody may be writing into the pipe as it happens.
        None if arguments.read.iter().any(|path| path.as_os_str() == "-") => {
            walk(arguments, files, Batching::default(), to, faults)
        }
        None => walk(arguments, files, Batching::RECORDED, to, faults),
        Some(speed) => {
            // 5 ms by the wall.
            let wait_nanos = (Batching::default().wait_nanos as f64 * speed) as u64;
            let batching = Batching { wait_nanos, ..Batching::default() };
            walk(arguments, replay::Paced::new(files, speed), batching, to, faults)
        }
    }
}

fn walk(
    arguments: &Arguments,
    mut packets: impl Source,
    batching: Batching,
    to: &ToldTo<'_>,
    faults: &mut Vec<CaptureError>,
) -> Result<(Summary, Counters)> {
    let config = Config { batching, threads: arguments.threads, ..Config::default() };
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

/// What the file of `--config` says, if there is one; what the command line says goes before it.
fn configure(arguments: &mut Arguments, matches: &ArgMatches) -> Result<Configuration> {
    let of_detect = matches.subcommand_matches("detect");
    let given =
        |name: &str| of_detect.is_some_and(|of| of.value_source(name) == Some(ValueSource::CommandLine));
    let mut configuration = match &arguments.alerts.config {
        Some(path) => Configuration::load(path)?,
        None => Configuration::default(),
    };
    arguments.given_model.clone_from(&arguments.model);
    if !given("model") {
        arguments.model.clone_from(&configuration.detect.model);
    }
    if let (false, Some(threads)) = (given("threads"), configuration.detect.threads) {
        arguments.threads = threads.into();
    }
    if arguments.only.port.is_empty() {
        arguments.only.port.clone_from(&configuration.capture.ports);
    }
    if arguments.only.net.is_empty() {
        arguments.only.net.clone_from(&configuration.capture.networks);
    }
    if let (None, Some(path)) = (&arguments.only.filter, &arguments.alerts.config) {
        configuration.check_filter(path)?;
        arguments.only.filter.clone_from(&configuration.capture.filter);
    }
    if arguments.read.is_empty() {
        arguments.live.configure(&configuration.capture, &given);
        ensure!(
            arguments.live.is_meant(),
            "nothing to read: give -r CAPTURE, -i INTERFACE, or interfaces in the configuration"
        );
    }
    arguments.alerts.go_before(&mut configuration);
    Ok(configuration)
}

/// The same with thresholds for so many false alerts a day, where somebody asks for that.
fn allowed(detector: Detector, false_alerts_per_day: Option<f32>) -> Detector {
    let Some(per_day) = false_alerts_per_day else { return detector };
    let settings = detector.settings().for_false_alerts(per_day);
    detector.with_settings(settings)
}

/// What stands for a model in alerts.
fn name_of_model(file: Option<&PathBuf>) -> String {
    file.map_or("sequence (in the program)".to_owned(), |path| path.display().to_string())
}

/// The model that was asked for, or the one in the program.
pub(crate) fn load(file: Option<&Path>, precision: Rounding) -> Result<Detector> {
    let detector = match file {
        Some(path) => Detector::new(&path.display().to_string(), &ModelFile::load(path)?)?,
        None => Detector::new(embedded::SEQUENCE_MODEL_NAME, &embedded::sequence_model()?)?,
    };
    Ok(detector.with_precision(precision.into())?)
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
            self.progress.set_position(self.packets);
        }
        let next = self.files.next();
        if let Ok(Next::Quiet(_)) = next {
            self.left_out.set(self.left_out.get() + 1);
        }
        next
    }
}

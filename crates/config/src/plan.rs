//! The plan of a detection run: one value for every choice, checked, never changed afterwards.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use citronella_eve::EveOptions;
use citronella_nn::Precision;
#[cfg(target_os = "linux")]
use citronella_sensor::capture::live::LiveSettings;
use citronella_sensor::{alert::settings::Settings, capture::filter::Filter};

use crate::{
    args::{DetectArgs, Sandbox},
    check,
    error::ConfigError,
    eve::EveSection,
    file::ConfigFile,
};

/// What a detection run does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DetectPlan {
    /// Where packets come from.
    pub input: Input,
    /// Which packets are processed.
    pub filter: Filter,
    /// Number of threads.
    pub threads: usize,
    /// Model, alerts, rules and suppression; can be resolved again while the sensor runs.
    pub runtime: RuntimePlan,
    /// EVE output.
    pub eve: Option<EvePlan>,
    /// Folder in which state is stored across restarts.
    pub state: Option<PathBuf>,
    /// Output of one row for each flow.
    pub verdicts: Option<Destination>,
    /// Summary on stdout.
    pub summary: SummaryFormat,
}

/// Where packets come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Capture files or stdin.
    Recordings(Recordings),
    /// Network interfaces.
    Interfaces(Interfaces),
}

/// Captures, read as one stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recordings {
    /// Files in the order in which they are read; `-` is stdin.
    pub paths: Vec<PathBuf>,
    /// Multiple of the recorded pace, above 0; `None` is as fast as possible.
    pub replay_speed: Option<f64>,
}

/// Live capture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interfaces {
    /// Interface names, at least one; `any` is all of them.
    pub names: Vec<String>,
    /// Bytes captured of a packet.
    pub snap_bytes: u32,
    /// Bytes of the ring buffer of one thread and interface.
    pub ring_bytes: usize,
    /// Whether packets for other hosts are captured.
    pub promiscuous: bool,
    /// Whether packets that this host sends are left out.
    pub ignore_outgoing: bool,
    /// User to become (`NAME` or `NAME:GROUP`) once the interfaces are open.
    pub user: Option<String>,
    /// How strictly the process confines itself.
    pub sandbox: Sandbox,
}

impl Interfaces {
    /// The settings with which the sensor opens the interfaces.
    #[cfg(target_os = "linux")]
    pub fn live_settings(&self, filter: &Filter) -> LiveSettings {
        LiveSettings {
            interfaces: self.names.clone(),
            filter: filter.clone(),
            snap_bytes: self.snap_bytes,
            ring_bytes: self.ring_bytes,
            promiscuous: self.promiscuous,
            ignore_outgoing: self.ignore_outgoing,
            ..LiveSettings::default()
        }
    }
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, `-` on the command line.
    Stdout,
    /// A file, pipe or device.
    File(PathBuf),
}

impl Destination {
    fn new(path: &Path) -> Destination {
        if path.as_os_str() == "-" { Destination::Stdout } else { Destination::File(path.to_owned()) }
    }

    /// Whether it is stdout.
    pub fn is_stdout(&self) -> bool {
        *self == Destination::Stdout
    }

    /// The path, unless it is stdout.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Destination::Stdout => None,
            Destination::File(path) => Some(path),
        }
    }

    /// The path, `-` for stdout.
    pub fn as_path(&self) -> &Path {
        self.file().unwrap_or(Path::new("-"))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Stdout => f.write_str("stdout"),
            Destination::File(path) => path.display().fmt(f),
        }
    }
}

/// EVE output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvePlan {
    /// Where records are written.
    pub destination: Destination,
    /// Which records are written, and their contents.
    pub options: EveOptions,
    /// Size in bytes at which the file is rotated; 0: never.
    pub rotate_bytes: u64,
    /// Number of rotated files that are retained.
    pub keep: u32,
    /// Capacity in bytes of the queue between detection and the writer.
    pub queue_bytes: usize,
}

/// The summary at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryFormat {
    /// Tables.
    Text,
    /// One JSON document.
    Json,
    /// None: another output goes to stdout.
    Off,
}

/// The part of the plan that SIGHUP resolves again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RuntimePlan {
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// Model file; `None` is the embedded model.
    pub model: Option<PathBuf>,
    /// Precision of the network.
    pub precision: Precision,
    /// False positives a day for which the model's thresholds are chosen; `None` leaves those of the model file.
    pub false_alerts_per_day: Option<f32>,
    /// Alerts, rules and suppression.
    pub settings: Settings,
}

impl RuntimePlan {
    /// Reads the configuration file, if there is one, and resolves it with the arguments. The packet filter is not
    /// compiled: it stays as it was at the start, and the sandbox does not permit looking up names.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
    pub fn load(args: &DetectArgs) -> Result<RuntimePlan, ConfigError> {
        Ok(RuntimePlan::resolve(args, &load_file(args)?))
    }

    fn resolve(args: &DetectArgs, file: &ConfigFile) -> RuntimePlan {
        RuntimePlan {
            config: args.config.clone(),
            model: args.model.as_ref().or(file.detect.model.as_ref()).cloned(),
            precision: args.precision.unwrap_or_default(),
            false_alerts_per_day: args.false_alerts_per_day.or(file.detect.false_alerts_per_day),
            settings: file.settings(),
        }
    }

    /// Checks that the class names in the settings are `classes` of the model (the benign one first) or rules.
    ///
    /// # Errors
    /// A name is neither; the error has the most similar known name.
    pub fn check_class_names(&self, classes: &[String]) -> Result<(), ConfigError> {
        check::class_names(config_name(self.config.as_deref()), &self.settings, classes)
    }
}

impl DetectPlan {
    /// Reads the configuration file, if there is one, and resolves it with the arguments.
    ///
    /// # Errors
    /// As of [`ConfigFile::load`] and [`DetectPlan::resolve`].
    pub fn load(args: &DetectArgs) -> Result<DetectPlan, ConfigError> {
        DetectPlan::resolve(args, &load_file(args)?)
    }

    /// Resolves arguments and file. Arguments take precedence over the file, value by value; lists replace lists.
    ///
    /// # Errors
    /// An argument is out of range, there is nothing to read, two outputs go to stdout, or the filter is wrong.
    pub fn resolve(args: &DetectArgs, file: &ConfigFile) -> Result<DetectPlan, ConfigError> {
        check::args(args)?;
        let filter = resolve_filter(args, file)?;
        let eve = resolve_eve(args, &file.eve);
        let verdicts = args.verdicts.as_deref().map(Destination::new);
        Ok(DetectPlan {
            input: resolve_input(args, file)?,
            summary: resolve_summary(args.json, verdicts.as_ref(), eve.as_ref())?,
            filter,
            threads: args.threads.or(file.detect.threads).unwrap_or(1).into(),
            runtime: RuntimePlan::resolve(args, file),
            eve,
            state: args.state.as_ref().or(file.state.folder.as_ref()).cloned(),
            verdicts,
        })
    }

    /// The files to which records are appended: verdicts, EVE records.
    pub fn output_files(&self) -> impl Iterator<Item = &Path> {
        let eve = self.eve.as_ref().map(|eve| &eve.destination);
        self.verdicts.iter().chain(eve).filter_map(Destination::file)
    }
}

fn load_file(args: &DetectArgs) -> Result<ConfigFile, ConfigError> {
    args.config.as_deref().map_or_else(|| Ok(ConfigFile::default()), ConfigFile::load)
}

/// The name of the configuration in messages.
fn config_name(path: Option<&Path>) -> &Path {
    path.unwrap_or(Path::new("configuration"))
}

/// Interfaces of the file apply only if the command line gives no source.
fn resolve_input(args: &DetectArgs, file: &ConfigFile) -> Result<Input, ConfigError> {
    let capture = &file.capture;
    if !args.recordings.is_empty() {
        if !args.interfaces.is_empty() {
            return Err(ConfigError::TwoSources);
        }
        let replay_speed = args.replay_speed.filter(|speed| *speed > 0.0);
        return Ok(Input::Recordings(Recordings { paths: args.recordings.clone(), replay_speed }));
    }
    let names = given_or(&args.interfaces, &capture.interfaces);
    if names.is_empty() {
        return Err(ConfigError::NoSource);
    }
    Ok(Input::Interfaces(Interfaces {
        names,
        snap_bytes: args.snaplen.unwrap_or(capture.snaplen),
        ring_bytes: (args.ring_mib.unwrap_or(capture.ring_mib) as usize) << 20,
        promiscuous: capture.promiscuous && !args.no_promiscuous,
        ignore_outgoing: capture.ignore_outgoing || args.ignore_outgoing,
        user: args.user.clone(),
        sandbox: args.sandbox.unwrap_or_default(),
    }))
}

fn resolve_filter(args: &DetectArgs, file: &ConfigFile) -> Result<Filter, ConfigError> {
    let (given, capture) = (&args.filter, &file.capture);
    let networks: Vec<_> = capture.networks.iter().map(|network| network.0).collect();
    let mut filter = Filter {
        ports: given_or(&given.ports, &capture.ports),
        networks: given_or(&given.networks, &networks),
        expression: given.compile()?,
    };
    if filter.expression.is_none() {
        filter.expression = file.compile_filter(config_name(args.config.as_deref()))?;
    }
    Ok(filter)
}

fn resolve_eve(args: &DetectArgs, section: &EveSection) -> Option<EvePlan> {
    let destination = Destination::new(args.eve.as_ref().or(section.file.as_ref())?);
    let types = given_or(&args.eve_types, &section.types);
    let log_passwords = section.log_passwords || args.log_passwords;
    Some(EvePlan {
        destination,
        options: EveSection { types, log_passwords, ..section.clone() }.options(),
        rotate_bytes: section.rotate_mib << 20,
        keep: section.keep,
        queue_bytes: section.queue_mib << 20,
    })
}

/// At most one output goes to stdout: the summary, unless another output does.
fn resolve_summary(
    json: bool,
    verdicts: Option<&Destination>,
    eve: Option<&EvePlan>,
) -> Result<SummaryFormat, ConfigError> {
    let outputs = [
        (verdicts.is_some_and(Destination::is_stdout), "--verdicts -", "--verdicts", SummaryFormat::Off),
        (eve.is_some_and(|eve| eve.destination.is_stdout()), "--eve -", "--eve", SummaryFormat::Off),
        (json, "--json", "", SummaryFormat::Json),
    ];
    let mut on_stdout = outputs.into_iter().filter(|(is_on_stdout, ..)| *is_on_stdout);
    match (on_stdout.next(), on_stdout.next()) {
        (Some((_, first, flag, _)), Some((_, second, ..))) => {
            Err(ConfigError::StdoutTwice { first, second, flag })
        }
        (Some((.., summary)), None) => Ok(summary),
        (None, _) => Ok(SummaryFormat::Text),
    }
}

/// The list of the command line, or that of the file where none was given.
fn given_or<T: Clone>(given: &[T], file: &[T]) -> Vec<T> {
    if given.is_empty() { file.to_vec() } else { given.to_vec() }
}

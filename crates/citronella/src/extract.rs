//! `citronella extract --level packet DATA...`: feature rows, as CSV or Parquet.

mod rows;

use std::{
    ffi::OsStr,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use citronella_learn::dataset::Manifest;
use citronella_sensor::feature::{Format, packet::Attacker, schema::Level};
use tracing::warn;

use self::rows::write;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What a row represents
    #[arg(long, value_enum)]
    level: LevelName,
    /// Output: FILE.csv, FILE.parquet, FOLDER/ (one file per scenario, in MQTT-IoT-IDS2020's layout), or - for stdout
    #[arg(short, long, default_value = "-")]
    output: PathBuf,
    /// Flow levels: add the columns that the data set's scripts compute but its files lack (mean_offset, ...)
    #[arg(long)]
    extra_columns: bool,
    /// Output format; default: by the output's name
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Attacker's address in captures without a manifest; fills is_attack
    #[arg(long, value_name = "ADDRESS")]
    attacker: Option<IpAddr>,
    /// Append the manifest's scenario to each row, so that one file of several captures can be trained on
    #[arg(long)]
    scenario_column: bool,
    /// Extract the complete packets of a truncated capture, with a warning, instead of an error
    #[arg(long)]
    accept_cut: bool,
    /// Threads; default: one per core. The rows and their order do not depend on it
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Captures (.pcap, .pcapng, plain, .gz or .zst; - is stdin), a manifest.csv, or a folder with one
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LevelName {
    /// A row per TCP segment or UDP datagram
    Packet,
    /// A row per direction of a TCP or UDP 5-tuple over the whole capture
    Uniflow,
    /// A row per TCP or UDP 5-tuple over the whole capture, both directions
    Biflow,
    /// A row per packet of a flow: the input vector of the sequence detector, without labels
    Sequence,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatName {
    Csv,
    Parquet,
}

/// One capture, with its labels.
struct Job {
    path: PathBuf,
    attacker: Attacker,
    /// The manifest's scenario, or the file's name.
    scenario: String,
    /// The manifest and the line of its entry, if there is one.
    manifest: Option<(PathBuf, u64)>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let jobs = jobs(arguments)?;
    let level = match arguments.level {
        LevelName::Packet => Level::Packet,
        LevelName::Uniflow if arguments.extra_columns => Level::UniflowExtended,
        LevelName::Uniflow => Level::Uniflow,
        LevelName::Biflow if arguments.extra_columns => Level::BiflowExtended,
        LevelName::Biflow => Level::Biflow,
        LevelName::Sequence => Level::Sequence,
    };
    let format = match arguments.format {
        Some(FormatName::Csv) => Format::Csv,
        Some(FormatName::Parquet) => Format::Parquet,
        None => Format::of(&arguments.output),
    };
    let folder = is_folder(&arguments.output);
    ensure!(
        !(folder && arguments.scenario_column),
        "{}: a folder has one file per scenario; --scenario-column is for a single file",
        arguments.output.display()
    );
    if folder || arguments.scenario_column {
        jobs.iter().try_for_each(|job| check_scenario(job, arguments.scenario_column))?;
    }
    if folder {
        return into_folder(arguments, &jobs, level, format);
    }
    let names = jobs.iter().map(|job| job.path.display().to_string()).collect::<Vec<_>>().join(", ");
    write(arguments, &jobs, &arguments.output, level, format).and_then(|rows| {
        ensure!(
            rows > 0,
            "{names}: no packet makes a row of this level (TCP or UDP over IP); `citronella inspect` shows the protocols"
        );
        Ok(())
    })
}

/// Writes one file per scenario, under `packet_features/`, in the data set's layout, which `train` and `evaluate` read.
fn into_folder(arguments: &Arguments, jobs: &[Job], level: Level, format: Format) -> Result<()> {
    let base = match level {
        Level::Uniflow | Level::UniflowExtended => "uniflow",
        Level::Biflow | Level::BiflowExtended => "biflow",
        _ => level.name(),
    };
    let folder = arguments.output.join(format!("{base}_features"));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    let extension = if format == Format::Parquet { "parquet" } else { "csv" };
    let mut scenarios: Vec<&str> = Vec::new();
    for job in jobs {
        if !scenarios.contains(&job.scenario.as_str()) {
            scenarios.push(&job.scenario);
        }
    }
    let mut rows = 0;
    for scenario in scenarios {
        let of_scenario: Vec<&Job> = jobs.iter().filter(|job| job.scenario == scenario).collect();
        let prefix = if level == Level::Packet { String::new() } else { format!("{base}_") };
        let file = folder.join(format!("{prefix}{scenario}.{extension}"));
        let written = write(arguments, of_scenario, &file, level, format)?;
        if written == 0 {
            warn!(scenario, "{scenario}: no packet makes a row of this level, so no file was written");
        }
        rows += written;
    }
    ensure!(
        rows > 0,
        "{}: no capture has a packet that makes a row of this level (TCP or UDP over IP); `citronella inspect` shows the protocols",
        folder.display()
    );
    Ok(())
}

/// Checks that a scenario can be used as a file name and as a cell without quotes.
fn check_scenario(job: &Job, column: bool) -> Result<()> {
    let Some((manifest, line)) = &job.manifest else {
        let name = job.path.display();
        ensure!(!column, "{name}: --scenario-column needs a manifest that names the scenario");
        return Ok(());
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | ' ');
    ensure!(
        job.scenario.chars().all(plain) && !job.scenario.starts_with('.'),
        "{}, line {line}, column scenario: {:?} cannot be a file name or a cell; use letters, digits, spaces and _ - . +",
        manifest.display(),
        job.scenario
    );
    Ok(())
}

fn jobs(arguments: &Arguments) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for path in &arguments.data {
        let manifest = if path.is_dir() { path.join("manifest.csv") } else { path.clone() };
        if path.is_dir() && !manifest.is_file() {
            bail!(
                "{}: a folder without a manifest.csv; name its captures, or write a manifest (columns scenario, file, attacker, broker, begin, end)",
                path.display()
            );
        }
        if manifest.extension() == Some(OsStr::new("csv")) {
            let folder = manifest.parent().unwrap_or(Path::new("."));
            for entry in Manifest::open(&manifest)?.entries {
                let capture = folder.join(&entry.file);
                ensure!(
                    capture.is_file(),
                    "{}, line {}: {} is missing from the manifest's folder",
                    manifest.display(),
                    entry.line,
                    entry.file
                );
                let described = Some((manifest.clone(), entry.line));
                jobs.push(Job {
                    path: capture,
                    attacker: entry.attacker,
                    scenario: entry.scenario,
                    manifest: described,
                });
            }
        } else {
            let attacker = arguments.attacker.map_or(Attacker::Unknown, Attacker::One);
            let name = path.file_name().filter(|name| *name != "-").unwrap_or(OsStr::new("stdin"));
            let scenario = name.to_string_lossy().split('.').next().unwrap_or("capture").to_owned();
            jobs.push(Job { path: path.clone(), attacker, scenario, manifest: None });
        }
    }
    Ok(jobs)
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=256) => Ok(threads),
        _ => Err("expected a number from 1 to 256".to_owned()),
    }
}

/// Whether the output is a name that ends in a slash, or an existing folder.
fn is_folder(output: &Path) -> bool {
    output.is_dir() || output.to_string_lossy().ends_with('/')
}

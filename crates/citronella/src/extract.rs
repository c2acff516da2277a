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
    /// What a row stands for
    #[arg(long, value_enum)]
    level: LevelName,
    /// Where to: FILE.csv, FILE.parquet, FOLDER/ (one file a scenario, laid out as MQTT-IoT-IDS2020), or - for stdout
    #[arg(short, long, default_value = "-")]
    output: PathBuf,
    /// Flow levels: also the columns that the data set's scripts compute but its files lack (mean_offset, ...)
    #[arg(long)]
    extra_columns: bool,
    /// Overrides what the output's name says
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Attacker's address in captures that no manifest describes: fills is_attack
    #[arg(long, value_name = "ADDRESS")]
    attacker: Option<IpAddr>,
    /// End each row with the manifest's scenario, so that one file of several captures can be trained on
    #[arg(long)]
    scenario_column: bool,
    /// Take the whole packets of a capture that is cut short, with a warning, instead of refusing it
    #[arg(long)]
    accept_cut: bool,
    /// Threads; else one a core. The rows and their order are the same with any number
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
    /// A row per packet of a conversation: the numbers that the sequence detector walks over, without labels
    Sequence,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatName {
    Csv,
    Parquet,
}

/// One capture, and what is known of it.
struct Job {
    path: PathBuf,
    attacker: Attacker,
    /// The manifest's word for it, or the file's name.
    scenario: String,
    /// Where the manifest says so, or that there is none.
    described: Option<(PathBuf, u64)>,
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
        "{}: a folder has one file a scenario; --scenario-column is for a single file",
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
            "{names}: nothing in it makes a row of this level (TCP or UDP over IP); `citronella inspect` shows what is there"
        );
        Ok(())
    })
}

/// One file a scenario, under `packet_features/`, as the data set is published; `train` and `evaluate` take the folder.
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
            warn!(scenario, "{scenario}: nothing makes a row of this level, so there is no file of it");
        }
        rows += written;
    }
    ensure!(
        rows > 0,
        "{}: no capture has anything that makes a row of this level (TCP or UDP over IP); `citronella inspect` shows what is there",
        folder.display()
    );
    Ok(())
}

/// Holds a scenario that is to stand in a file's name or in a cell to what may stand there as it is.
fn check_scenario(job: &Job, column: bool) -> Result<()> {
    let Some((manifest, line)) = &job.described else {
        let name = job.path.display();
        ensure!(!column, "{name}: no manifest names its scenario, which --scenario-column writes");
        return Ok(());
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | ' ');
    ensure!(
        job.scenario.chars().all(plain) && !job.scenario.starts_with('.'),
        "{}, line {line}, column scenario: {:?} cannot name a file or stand in a cell; take letters, digits, and _ - . + within",
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
                "{}: a folder without a manifest.csv; give its captures one by one, or write a manifest (columns scenario, file, attacker, broker, begin, end)",
                path.display()
            );
        }
        if manifest.extension() == Some(OsStr::new("csv")) {
            let folder = manifest.parent().unwrap_or(Path::new("."));
            for entry in Manifest::open(&manifest)?.entries {
                let capture = folder.join(&entry.file);
                ensure!(
                    capture.is_file(),
                    "{}, line {}: {} does not lie beside the manifest",
                    manifest.display(),
                    entry.line,
                    entry.file
                );
                let described = Some((manifest.clone(), entry.line));
                jobs.push(Job {
                    path: capture,
                    attacker: entry.attacker,
                    scenario: entry.scenario,
                    described,
                });
            }
        } else {
            let attacker = arguments.attacker.map_or(Attacker::Unknown, Attacker::Is);
            let name = path.file_name().filter(|name| *name != "-").unwrap_or(OsStr::new("stdin"));
            let scenario = name.to_string_lossy().split('.').next().unwrap_or("capture").to_owned();
            jobs.push(Job { path: path.clone(), attacker, scenario, described: None });
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

/// A name that ends in a slash, or a folder that is there.
fn is_folder(output: &Path) -> bool {
    output.is_dir() || output.to_string_lossy().ends_with('/')
}

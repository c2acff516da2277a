//! `citronella extract --level packet DATA...`: feature rows, as CSV or Parquet.

use std::{
    ffi::OsStr,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use citronella_learn::dataset::Manifest;
use citronella_sensor::{
    capture::{Capture, Packet},
    feature::{
        Format, RowWriter, WriteError,
        biflow::BiflowLevel,
        packet::{Attacker, Cell, PacketLevel},
        schema::Level,
        sequence::{Config, SequenceLevel},
        uniflow::UniflowLevel,
    },
    flow::ids2020::{Limits, Losses},
};

use crate::{
    place,
    progress::Progress,
    show::{complain, count},
};

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
            complain(&format!(
                "warning: {scenario}: nothing makes a row of this level, so there is no file of it"
            ));
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

/// Writes the rows of some captures into one file and returns their number; a fault leaves no file behind.
fn write<'a>(
    arguments: &Arguments,
    jobs: impl IntoIterator<Item = &'a Job>,
    output: &Path,
    level: Level,
    format: Format,
) -> Result<u64> {
    place::check(output)?;
    let mut writer = if arguments.scenario_column {
        RowWriter::with_scenario(output, format, level)?
    } else {
        RowWriter::create(output, format, level)?
    };
    let progress = Progress::stderr();
    for job in jobs {
        let name = job.path.display().to_string();
        progress.begin_unknown(&format!("reading {name}"), "packets");
        let mut capture = Capture::open(&job.path)?;
        let mut rows = Rows::new(level, job.attacker);
        if arguments.scenario_column {
            // One short name a capture, which lives as long as the program.
            writer.set_scenario(job.scenario.clone().leak());
        }
        loop {
            match capture.next() {
                Ok(Some(packet)) => {
                    if packet.number % 65_536 == 0 {
                        progress.at(packet.number);
                    }
                    rows.add(&packet, &mut writer)?;
                }
                Ok(None) => break,
                Err(error) if error.is_cut() && arguments.accept_cut => {
                    progress.note(&format!("warning: {error}"));
                    break;
                }
                Err(error) if error.is_cut() => bail!("{error}; --accept-cut takes those"),
                Err(error) => return Err(error.into()),
            }
        }
        let losses = rows.finish(&mut writer)?;
        if losses != Losses::default() {
            progress.note(&format!(
                "warning: {name}: {} packets of flows beyond the table's cap are left out; {} packets came too late to be put in order",
                count(losses.packets_over_cap),
                count(losses.packets_too_late)
            ));
        }
        if capture.unknown_blocks() > 0 {
            let blocks = count(capture.unknown_blocks());
            progress.note(&format!("{name}: passed over {blocks} pcapng blocks of unknown types"));
        }
    }
    progress.end();
    if writer.rows() == 0 {
        // Dropped, not finished: nothing is left behind.
        return Ok(0);
    }
    let rows = writer.finish()?;
    if output.as_os_str() != "-" {
        progress.note(&format!("{}: {} rows", output.display(), count(rows)));
    }
    Ok(rows)
}

/// A capture's rows at one level: packets give theirs at once, flows at the end.
enum Rows {
    Packet(Box<PacketLevel>),
    Sequence(Box<SequenceLevel>),
    Uniflow(Box<UniflowLevel>, Level),
    Biflow(Box<BiflowLevel>, Level),
}

impl Rows {
    fn new(level: Level, attacker: Attacker) -> Rows {
        match level {
            Level::Packet => Rows::Packet(Box::new(PacketLevel::new(attacker))),
            // The command line has no level of NSL-KDD: it is read, not extracted.
            Level::Sequence | Level::NslKdd => {
                Rows::Sequence(Box::new(SequenceLevel::new(Config::default())))
            }
            Level::Uniflow | Level::UniflowExtended => {
                Rows::Uniflow(Box::new(UniflowLevel::new(attacker, Limits::default())), level)
            }
            Level::Biflow | Level::BiflowExtended => {
                Rows::Biflow(Box::new(BiflowLevel::new(attacker, Limits::default())), level)
            }
        }
    }

    fn add(&mut self, packet: &Packet<'_>, writer: &mut RowWriter) -> Result<(), WriteError> {
        match self {
            Rows::Sequence(level) => level
                .packet(packet)
                .map_or(Ok(()), |row| writer.write(&row.features.map(|number| Cell::Float(number.into())))),
            Rows::Packet(level) => level.row(packet).map_or(Ok(()), |row| writer.write(&row.cells())),
            Rows::Uniflow(level, _) => {
                level.add(packet);
                Ok(())
            }
            Rows::Biflow(level, _) => {
                level.add(packet);
                Ok(())
            }
        }
    }

    fn finish(self, writer: &mut RowWriter) -> Result<Losses, WriteError> {
        match self {
            Rows::Packet(_) | Rows::Sequence(_) => Ok(Losses::default()),
            Rows::Uniflow(level, kind) => {
                let mut rows = level.finish();
                let losses = rows.losses();
                rows.try_for_each(|row| match kind {
                    Level::UniflowExtended => writer.write(&row.extended_cells()),
                    _ => writer.write(&row.cells()),
                })?;
                Ok(losses)
            }
            Rows::Biflow(level, kind) => {
                let mut rows = level.finish();
                let losses = rows.losses();
                rows.try_for_each(|row| match kind {
                    Level::BiflowExtended => writer.write(&row.extended_cells()),
                    _ => writer.write(&row.cells()),
                })?;
                Ok(losses)
            }
        }
    }
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
                    attacker: entry.attacker(),
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

/// A name that ends in a slash, or a folder that is there.
fn is_folder(output: &Path) -> bool {
    output.is_dir() || output.to_string_lossy().ends_with('/')
}

//! `citronella compare DATA...`: every model of the literature in one table, under the published protocols and under the
//! honest one.

mod document;
mod tables;

use std::{path::PathBuf, time::Instant};

use anyhow::{Result, ensure};
use citronella_learn::{
    compare::{
        Cell, DEFAULT_MAX_ROWS, Data, Entry, MODELS, Model, Observer, Options, Protocol, plan, run as fill,
    },
    sequence,
};
use citronella_sensor::{feature::schema::Level, output::write_file};
use tracing::{info, warn};

use crate::{
    progress::Progress,
    show::{self, count},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these models, by name and comma; all of them otherwise
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    models: Vec<String>,
    /// Only these levels; all that the data have otherwise
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL,...")]
    levels: Vec<LevelName>,
    /// Only these protocols
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PROTOCOL,...")]
    protocols: Vec<ProtocolName>,
    /// Parts of the published k-fold cross-validation
    #[arg(long, default_value_t = 5)]
    folds: u32,
    /// Rows of a level that the classical models read, at most, drawn by chance; 0 takes all
    #[arg(long, default_value_t = DEFAULT_MAX_ROWS)]
    max_rows: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Keep results in this folder and take those that are there; REPORT/results otherwise
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Also write report.html, metrics.json, compare.csv and the plots into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Also write the table as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// A manifest.csv, a folder with one, a folder laid out as MQTT-IoT-IDS2020, rows of `extract`, or files of NSL-KDD
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LevelName {
    /// A row per packet
    Packet,
    /// A row per direction of a conversation
    Uniflow,
    /// A row per conversation
    Biflow,
    /// The sequence detector's conversations
    Sequence,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProtocolName {
    /// Both published protocols
    Published,
    /// Published: one split by chance
    Split,
    /// Published: k-fold by chance
    Folds,
    /// Honest: recordings that were not trained on
    Honest,
}

impl ProtocolName {
    fn takes(self, protocol: Protocol) -> bool {
        match self {
            ProtocolName::Published => protocol.is_published(),
            ProtocolName::Split => matches!(protocol, Protocol::Split | Protocol::Given),
            ProtocolName::Folds => protocol == Protocol::Folds,
            ProtocolName::Honest => protocol == Protocol::Recordings,
        }
    }
}

const LEVELS: [(LevelName, Level); 4] = [
    (LevelName::Packet, Level::Packet),
    (LevelName::Uniflow, Level::Uniflow),
    (LevelName::Biflow, Level::Biflow),
    (LevelName::Sequence, Level::Sequence),
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.folds > 1, "--folds {}: cross-validation needs two parts or more", arguments.folds);
    for name in &arguments.models {
        let known = MODELS.map(|model| model.name).join(", ");
        ensure!(Model::by_name(name).is_some(), "--models {name}: no such model; there are {known}");
    }
    let wanted = |name: &LevelName| arguments.levels.is_empty() || arguments.levels.contains(name);
    let asked =
        |model: &Model| arguments.models.is_empty() || arguments.models.iter().any(|name| name == model.name);
    let runs = |level: &Level| {
        use citronella_learn::compare::Task;
        MODELS.iter().any(|model| {
            asked(model) && [Task::Binary, Task::MultiClass].iter().any(|t| model.runs(*level, *t))
        })
    };
    let levels: Vec<Level> = LEVELS
        .into_iter()
        .filter(|(name, level)| wanted(name) && runs(level))
        .map(|(_, level)| level)
        .collect();

    let progress = Progress::stderr();
    let levels = (levels.as_slice(), !arguments.levels.is_empty());
    let data = Data::load(&arguments.data, levels, arguments.max_rows, arguments.seed, |level| {
        progress.begin(&format!("read the rows of the {level} level"), 0);
    })?;
    progress.end();
    for message in data.problems() {
        warn!("{message}");
    }
    let threads = if arguments.threads == 0 { rayon_threads() } else { arguments.threads };
    let options = Options {
        folds: arguments.folds,
        seed: arguments.seed,
        threads,
        sequence: sequence::Options { seed: arguments.seed, threads, ..sequence::Options::default() },
    };
    let cells = plan(&data, |cell| {
        asked(&cell.model)
            && (arguments.protocols.is_empty() || arguments.protocols.iter().any(|p| p.takes(cell.protocol)))
    });
    ensure!(
        !cells.is_empty(),
        "nothing to compare: the honest protocol needs two recordings with attacks (the sequence detector three), and not every model runs on every level"
    );
    for line in data.summary() {
        info!("{line}");
    }
    let folder = arguments.cache.clone().or_else(|| Some(arguments.report.as_ref()?.join("results")));
    let mut heard = Heard::new(&progress, &cells, &options);
    let entries = fill(&data, &cells, &options, folder.as_deref(), &mut heard)?;
    progress.end();

    let document = document::json(arguments.seed, threads, &data, &entries);
    let csv = tables::csv(&entries);
    if let Some(path) = &arguments.csv {
        write_file(path, csv.as_bytes())?;
    }
    if let Some(folder) = &arguments.report {
        let written = document::report(&entries, &data, arguments.seed, threads).write(folder, &document)?;
        write_file(&folder.join("compare.csv"), csv.as_bytes())?;
        info!(file = %written.page.display(), "{}: the report", written.page.display());
    }
    if arguments.json { show::json(&document) } else { tables::print(&entries) }
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Progress over the cells, by their share of the time.
struct Heard<'p> {
    progress: &'p Progress,
    options: &'p Options,
    done: u64,
    total: u64,
    begun: Instant,
    computed: u64,
    number: usize,
    cells: usize,
}

impl<'p> Heard<'p> {
    fn new(progress: &'p Progress, cells: &[Cell], options: &'p Options) -> Self {
        let total = cells.iter().map(|cell| cell.weight(options)).sum();
        Heard {
            progress,
            options,
            done: 0,
            total,
            begun: Instant::now(),
            computed: 0,
            number: 0,
            cells: cells.len(),
        }
    }

    /// Seconds left, if the rest goes as what was computed so far.
    fn left(&self) -> Option<u64> {
        let rate = self.begun.elapsed().as_secs_f64() / self.computed as f64;
        (self.computed > 0).then(|| (rate * (self.total - self.done) as f64) as u64)
    }
}

impl Observer for Heard<'_> {
    fn begin(&mut self, cell: &Cell, kept: bool) {
        self.number += 1;
        if !kept {
            let left =
                self.left().map_or(String::new(), |s| format!(", about {} min {:02} s left", s / 60, s % 60));
            self.progress.begin(&format!("[{}/{}{left}] {}", self.number, self.cells, cell.name()), 0);
        }
    }

    fn end(&mut self, cell: &Cell, entry: Option<&Entry>) {
        let weight = cell.weight(self.options);
        self.done += weight;
        if entry.is_some() {
            self.computed += weight;
        }
        self.progress.end();
    }
}

/// A size in bytes for people.
fn bytes(size: u64) -> String {
    match size {
        0..10_000 => format!("{size} B"),
        10_000..10_000_000 => format!("{} kB", count(size / 1_000)),
        _ => format!("{} MB", count(size / 1_000_000)),
    }
}

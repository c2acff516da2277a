//! `citronella compare DATA...`: the models of the literature in one table, under the published protocols and an honest
//! one.

mod document;
mod tables;

use std::{path::PathBuf, time::Instant};

use anyhow::{Result, ensure};
use citronella_learn::{
    compare::{
        Cell, DEFAULT_MAX_ROWS, Data, Entry, MODELS, Model, Observer, Options, Protocol, plan,
        run as run_cells,
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
    /// Only these models; all by default
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    models: Vec<String>,
    /// Only these levels; all levels of the data by default
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL,...")]
    levels: Vec<LevelName>,
    /// Only these protocols
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PROTOCOL,...")]
    protocols: Vec<ProtocolName>,
    /// Folds of the published k-fold cross-validation
    #[arg(long, default_value_t = 5)]
    folds: u32,
    /// Cap on the rows of a level that the classical models read, a random sample; 0 takes all
    #[arg(long, default_value_t = DEFAULT_MAX_ROWS)]
    max_rows: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Store results in this folder and reuse those in it; REPORT/results by default
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
    /// A manifest.csv, a folder with one, a folder in MQTT-IoT-IDS2020's layout, rows of `extract`, or files of NSL-KDD
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
    /// Published: one random split
    Split,
    /// Published: random k-fold
    Folds,
    /// Honest: unseen recordings
    Honest,
}

impl ProtocolName {
    fn includes(self, protocol: Protocol) -> bool {
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
    ensure!(arguments.folds > 1, "--folds {}: cross-validation needs two folds or more", arguments.folds);
    for name in &arguments.models {
        let known = MODELS.map(|model| model.name).join(", ");
        ensure!(Model::by_name(name).is_some(), "--models {name}: no such model; the models are {known}");
    }
    let is_wanted_level = |name: &LevelName| arguments.levels.is_empty() || arguments.levels.contains(name);
    let is_wanted =
        |model: &Model| arguments.models.is_empty() || arguments.models.iter().any(|name| name == model.name);
    let runs = |level: &Level| {
        use citronella_learn::compare::Task;
        MODELS.iter().any(|model| {
            is_wanted(model) && [Task::Binary, Task::MultiClass].iter().any(|t| model.runs(*level, *t))
        })
    };
    let levels: Vec<Level> = LEVELS
        .into_iter()
        .filter(|(name, level)| is_wanted_level(name) && runs(level))
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
        is_wanted(&cell.model)
            && (arguments.protocols.is_empty()
                || arguments.protocols.iter().any(|p| p.includes(cell.protocol)))
    });
    ensure!(
        !cells.is_empty(),
        "nothing to compare: the honest protocol needs two recordings with attacks (the sequence detector three), and not every model runs on every level"
    );
    for line in data.summary() {
        info!("{line}");
    }
    let folder = arguments.cache.clone().or_else(|| Some(arguments.report.as_ref()?.join("results")));
    let mut observer = CellProgress::new(&progress, &cells, &options);
    let entries = run_cells(&data, &cells, &options, folder.as_deref(), &mut observer)?;
    progress.end();

    let document = document::json(arguments.seed, threads, &data, &entries);
    let csv = tables::csv(&entries);
    if let Some(path) = &arguments.csv {
        write_file(path, csv.as_bytes())?;
    }
    if let Some(folder) = &arguments.report {
        let written = document::report(&entries, &data, arguments.seed, threads).write(folder, &document)?;
        write_file(&folder.join("compare.csv"), csv.as_bytes())?;
        info!(file = %written.page.display(), "{}: report written", written.page.display());
    }
    if arguments.json { show::json(&document) } else { tables::print(&entries) }
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Progress over the cells, with an estimate of the time left.
struct CellProgress<'p> {
    progress: &'p Progress,
    options: &'p Options,
    done: u64,
    total: u64,
    started: Instant,
    computed: u64,
    number: usize,
    cells: usize,
}

impl<'p> CellProgress<'p> {
    fn new(progress: &'p Progress, cells: &[Cell], options: &'p Options) -> Self {
        let total = cells.iter().map(|cell| cell.weight(options)).sum();
        CellProgress {
            progress,
            options,
            done: 0,
            total,
            started: Instant::now(),
            computed: 0,
            number: 0,
            cells: cells.len(),
        }
    }

    /// Estimated seconds left, at the rate of the cells computed so far.
    fn left(&self) -> Option<u64> {
        let rate = self.started.elapsed().as_secs_f64() / self.computed as f64;
        (self.computed > 0).then(|| (rate * (self.total - self.done) as f64) as u64)
    }
}

impl Observer for CellProgress<'_> {
    fn begin(&mut self, cell: &Cell, is_cached: bool) {
        self.number += 1;
        if !is_cached {
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

/// A size in bytes with a readable unit.
fn bytes(size: u64) -> String {
    match size {
        0..10_000 => format!("{size} B"),
        10_000..10_000_000 => format!("{} kB", count(size / 1_000)),
        _ => format!("{} MB", count(size / 1_000_000)),
    }
}

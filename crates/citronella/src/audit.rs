//! `citronella audit DATA...`: shortcuts and leaks in a data set, and what a score on it is worth.

use std::path::PathBuf;

use anyhow::{Result, bail};
use citronella_learn::{
    audit::{Audit, ReadOptions, Severity, read},
    dataset::LabelRule,
    report::figure,
    zoo::Preset,
};
use citronella_sensor::feature::schema::Level;
use tracing::info;

use crate::{
    progress::Progress,
    show::{self, count},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A manifest.csv, a folder with one, captures (each is a class of its own), a folder in MQTT-IoT-IDS2020's layout,
    /// NSL-KDD's files, or any labelled CSV or Parquet
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// The data set's own test rows, if it has any; else 30 % are held out at random
    #[arg(long, value_name = "DATA", num_args = 1..)]
    test: Vec<PathBuf>,
    /// The label column
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// How rows of a capture are labelled: by attacker, or by file as in the LSTM paper
    #[arg(long, value_enum, default_value = "attacker")]
    labels: Labels,
    /// What a row of a capture stands for
    #[arg(long, value_enum, default_value = "packet")]
    level: LevelName,
    /// Audit exactly the rows and columns that this preset trains on
    #[arg(long, value_name = "NAME", conflicts_with_all = ["label", "labels", "level"])]
    preset: Option<String>,
    /// Leave columns out
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    drop: Vec<String>,
    /// Rows of the random sample; each file has an equal share
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=5_000_000))]
    rows: u64,
    /// Also write report.html, metrics.json and the plots into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Exit with code 1 if a finding is fatal
    #[arg(long)]
    pub(crate) strict: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Labels {
    Attacker,
    File,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LevelName {
    Packet,
    Uniflow,
    Biflow,
    Sequence,
}

/// Columns in the table.
const SHOWN: usize = 12;

/// The outcome of an audit.
pub(crate) enum Outcome {
    /// A finding makes scores on the data meaningless.
    Fatal,
    /// No finding is fatal.
    NotFatal,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let options = options(arguments)?;
    let progress = Progress::stderr();
    progress.begin("read", 0);
    let rows = read(&arguments.data, &arguments.test, &options)?;
    progress.begin("audit", 0);
    let audit = Audit::of(&rows, options.labels, arguments.seed);
    progress.end();
    if let Some(folder) = &arguments.report {
        let written = audit.report().write(folder, &serde_json::to_value(&audit)?)?;
        info!(file = %written.page.display(), "{}: report written", written.page.display());
    }
    if arguments.json {
        show::json(&audit)?;
    } else {
        print(&audit)?;
    }
    Ok(if audit.is_fatal() { Outcome::Fatal } else { Outcome::NotFatal })
}

fn options(arguments: &Arguments) -> Result<ReadOptions> {
    let mut options = ReadOptions {
        level: match arguments.level {
            LevelName::Packet => Level::Packet,
            LevelName::Uniflow => Level::Uniflow,
            LevelName::Biflow => Level::Biflow,
            LevelName::Sequence => Level::Sequence,
        },
        labels: match arguments.labels {
            Labels::Attacker => LabelRule::Attacker,
            Labels::File => LabelRule::File,
        },
        label: arguments.label.clone(),
        rows: arguments.rows as usize,
        dropped: arguments.drop.clone(),
        seed: arguments.seed,
        ..ReadOptions::default()
    };
    if let Some(name) = &arguments.preset {
        let Some(preset) = Preset::by_name(name) else {
            bail!("there is no preset {name:?}; the presets are {}", Preset::names().join(", "));
        };
        options.level = preset.level;
        options.labels = preset.labels;
        options.binary = preset.binary;
        options.rows_per_file = preset.rows_per_file;
        options.required = preset.required();
        options.dropped.extend(preset.dropped.iter().map(|name| (*name).to_owned()));
    }
    Ok(options)
}

fn print(audit: &Audit) -> Result<()> {
    let classes: Vec<String> =
        audit.classes.iter().map(|(name, rows)| format!("{name} {}", count(*rows))).collect();
    show::line(&format!(
        "{} of {} rows sampled, {} {}: {}\n",
        count(audit.sampled),
        count(audit.rows),
        audit.files.len(),
        if audit.files.len() == 1 { "file" } else { "files" },
        classes.join(", ")
    ))?;
    for (reason, rows) in &audit.left_out {
        show::line(&format!("left out: {} rows, {reason}", count(*rows)))?;
    }
    let mut table = show::table(&["column alone, held-out rows", "skill", "attack or normal", "accuracy"]);
    for column in audit.columns.iter().take(SHOWN) {
        let power = &column.power;
        let figures =
            [Some(power.skill.max(0.0)), power.attack_skill.map(|s| s.max(0.0)), Some(power.accuracy)];
        let name = format!("{} ({})", column.name, column.role.name());
        table.add_row(std::iter::once(name).chain(figures.map(figure)));
    }
    show::print(&table)?;
    show::line("Skill: mean recall of the classes, scaled; 0 is chance, 1 is perfect.\n")?;
    for finding in &audit.findings {
        let advice = if finding.advice.is_empty() { String::new() } else { format!(" {}", finding.advice) };
        let severity = if finding.severity == Severity::Fatal { "FATAL" } else { finding.severity.name() };
        show::line(&format!("{severity}: {}{advice}\n", finding.text))?;
    }
    show::line(&audit.verdict)
}

//! `citronella train --preset NAME DATA...`: trains a preset's model and evaluates it on test data.

pub(crate) mod sequence;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use citronella_learn::{
    dataset::{LabelRule, LoadOptions, Table, load},
    model_evaluation::{self, Baselines, ModelEvaluation},
    prepare::SplitBy,
    report::{Block, Report, figure},
    sequence::PRESET as SEQUENCE,
    train::{self, Epoch, Observer, Options, Stage, Trained},
    zoo::Preset,
};
use citronella_sensor::output::Output;
use serde::Deserialize;
use tracing::info;

use crate::{
    output_path, present,
    progress::Progress,
    show::{self, count},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Preset: sequence (the detector), paper-binary, paper-multiclass, or one of the latter with -no-time
    #[arg(long, value_name = "NAME", value_parser = preset, required_unless_present = "config")]
    preset: Option<Choice>,
    /// A TOML file with the keys preset, seed, threads, epochs, split, and for the preset sequence hidden, windows,
    /// variants, dropout, learning_rate; the command line takes precedence
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The model file to write
    #[arg(short, long, value_name = "MODEL.safetensors", default_value = "model.safetensors")]
    output: PathBuf,
    /// Also write report.html, metrics.json and the plots to this folder (the paper's presets)
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Seed of every random choice [default: 42]
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 for all. The result does not depend on it [default: 0]
    #[arg(long)]
    threads: Option<usize>,
    /// Epochs [default: the preset's]
    #[arg(long)]
    epochs: Option<usize>,
    /// How to split training and test rows: random, capture, time, or recording:NAME[,NAME] (held-out recordings).
    /// The preset sequence always uses leave-one-recording-out [default: random]
    #[arg(long, value_parser = split)]
    split: Option<SplitBy>,
    /// A manifest.csv or a folder with one; for the paper's presets also a folder in the layout of MQTT-IoT-IDS2020, or
    /// rows of `extract`
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
}

/// The configuration file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    preset: Option<String>,
    seed: Option<u64>,
    threads: Option<usize>,
    epochs: Option<usize>,
    split: Option<String>,
    hidden: Option<Vec<usize>>,
    windows: Option<usize>,
    variants: Option<usize>,
    dropout: Option<f32>,
    learning_rate: Option<f32>,
}

/// A preset.
#[derive(Clone, Copy)]
enum Choice {
    /// A model of rows.
    Rows(&'static Preset),
    /// The sequence detector.
    Sequence,
}

fn preset(name: &str) -> Result<Choice, String> {
    if name == SEQUENCE {
        return Ok(Choice::Sequence);
    }
    let names = || Preset::names().join(", ");
    Preset::by_name(name)
        .map(Choice::Rows)
        .ok_or_else(|| format!("no such preset; there are {}, {SEQUENCE}", names()))
}

fn split(text: &str) -> Result<SplitBy, String> {
    match text.split_once(':') {
        None if text == "random" => Ok(SplitBy::Random),
        None if text == "capture" => Ok(SplitBy::Capture),
        None if text == "time" => Ok(SplitBy::Time),
        Some(("recording", names)) if !names.is_empty() => {
            Ok(SplitBy::Recording { leave_out: names.split(',').map(str::to_owned).collect() })
        }
        _ => Err("expected random, capture, time or recording:NAME".into()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let config = config(arguments)?;
    match chosen(arguments, &config)? {
        Choice::Rows(preset) => rows(arguments, &config, preset),
        Choice::Sequence => sequence::run(arguments, &config),
    }
}

fn rows(arguments: &Arguments, config: &Config, preset: &'static Preset) -> Result<()> {
    let options = settings(arguments, config)?;
    // Fail before the training if the file cannot be written.
    output_path::check(&arguments.output)?;
    drop(Output::create(&arguments.output)?);
    let progress = Progress::stderr();
    progress.begin("read", 0);
    let load_options =
        LoadOptions { level: preset.level, rows_per_file: preset.rows_per_file.unwrap_or(u64::MAX) };
    let table = load(&arguments.data, &load_options)?;
    progress.end();
    present::warn_of_problems(&table);
    let mut trained = train::run(preset, &table, &options, &mut TrainingProgress::new(&progress))?;
    progress.end();
    let results = TestResults::of(&mut trained, &table)?;

    trained.model.save(&arguments.output)?;
    info!(file = %arguments.output.display(), "{}: model written", arguments.output.display());
    if let Some(folder) = &arguments.report {
        let written = report(preset, &trained, &results).write(folder, &results.document)?;
        info!(file = %written.page.display(), "{}: report written", written.page.display());
    }
    if arguments.json {
        return show::json(&results.document);
    }
    show::line(&format!("{}: {}", preset.name, preset.summary))?;
    show::line(&format!("split by {}; seed {}\n", options.split.name(), options.seed))?;
    present::print_sizes(&trained)?;
    for evaluation in &results.evaluations {
        show::line(&format!("Test rows, {}:", present::labels_in_words(evaluation.labels)))?;
        present::print_evaluation(preset.name, evaluation)?;
    }
    if let Some(first) = results.evaluations.first() {
        present::print_classes(&first.model)?;
    }
    for caveat in caveats(preset, &options) {
        show::line(&caveat)?;
    }
    Ok(())
}

/// The configuration file, if one is given.
fn config(arguments: &Arguments) -> Result<Config> {
    let Some(path) = &arguments.config else { return Ok(Config::default()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read the configuration", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow::anyhow!("{}, line {line}: {}", path.display(), error.message())
    })
}

fn in_file(arguments: &Arguments, problem: String) -> anyhow::Error {
    anyhow::anyhow!("{}: {problem}", arguments.config.as_deref().unwrap_or("".as_ref()).display())
}

fn chosen(arguments: &Arguments, config: &Config) -> Result<Choice> {
    match (arguments.preset, &config.preset) {
        (Some(choice), _) => Ok(choice),
        (None, Some(name)) => {
            preset(name).map_err(|problem| in_file(arguments, format!("preset {name:?}: {problem}")))
        }
        (None, None) => bail!("no preset: name one with --preset or in the configuration"),
    }
}

/// The options of a preset of rows: the command line over the file over the defaults.
fn settings(arguments: &Arguments, config: &Config) -> Result<Options> {
    let of_sequence = [
        ("hidden", config.hidden.is_some()),
        ("windows", config.windows.is_some()),
        ("variants", config.variants.is_some()),
        ("dropout", config.dropout.is_some()),
        ("learning_rate", config.learning_rate.is_some()),
    ];
    if let Some((key, _)) = of_sequence.into_iter().find(|(_, given)| *given) {
        return Err(in_file(arguments, format!("{key} needs the preset {SEQUENCE}")));
    }
    let split = match (&arguments.split, &config.split) {
        (Some(by), _) => by.clone(),
        (None, Some(text)) => {
            split(text).map_err(|problem| in_file(arguments, format!("split {text:?}: {problem}")))?
        }
        (None, None) => SplitBy::Random,
    };
    let defaults = Options::default();
    Ok(Options {
        seed: arguments.seed.or(config.seed).unwrap_or(defaults.seed),
        threads: arguments.threads.or(config.threads).unwrap_or(defaults.threads),
        epochs: arguments.epochs.or(config.epochs),
        split,
    })
}

/// Figures of a trained model on its test rows, under both label rules.
pub(crate) struct TestResults {
    pub(crate) baselines: Baselines,
    pub(crate) evaluations: Vec<ModelEvaluation>,
    pub(crate) history: citronella_learn::evaluate::History,
    /// Everything as JSON; the model file stores the figures, not the curves.
    pub(crate) document: serde_json::Value,
}

impl TestResults {
    /// Evaluates the test rows and stores the figures and baselines in the model's card.
    pub(crate) fn of(trained: &mut Trained, table: &Table) -> Result<TestResults> {
        let (rows, truth) = &trained.train_rows;
        let baselines = Baselines::fit(&trained.model, table, rows, truth)?;
        let mut evaluations = Vec::new();
        for labels in [LabelRule::File, LabelRule::Attacker] {
            evaluations.extend(ModelEvaluation::of(
                labels,
                &trained.model,
                table,
                &trained.test,
                Some(&baselines),
            )?);
        }
        let history = model_evaluation::history(&trained.history, &trained.model.card.classes);
        let figures = evaluations.iter().map(|evaluation| {
            let e = &evaluation.model;
            serde_json::json!({
                "labels": evaluation.labels, "rows": e.rows, "accuracy": e.accuracy, "mcc": e.mcc,
                "macro_average": e.macro_average, "per_class": e.per_class, "confusion": e.confusion,
            })
        });
        trained.model.card.metrics = serde_json::json!({ "test": figures.collect::<Vec<_>>() });
        baselines.store(&mut trained.model)?;
        let document = serde_json::json!({
            "model": Baselines::card_without(&trained.model),
            "sizes": trained.sizes,
            "dropped": trained.dropped,
            "smote": trained.smote,
            "seconds": trained.seconds,
            "problems": table.problems,
            "test": evaluations,
            "history": history,
        });
        Ok(TestResults { baselines, evaluations, history, document })
    }
}

fn caveats(preset: &Preset, options: &Options) -> Vec<String> {
    let mut caveats = Vec::new();
    if options.split == SplitBy::Random {
        caveats.push("A random split puts packets of each recording into both training and test set: it does not measure performance on other recordings (use --split recording:NAME, or `evaluate` on another recording).".to_owned());
    }
    let columns = preset.identity_and_time_columns();
    if !columns.is_empty() {
        caveats.push(format!(
            "The model reads {}, which identify a host or a time, not behaviour.",
            columns.join(" and ")
        ));
    }
    caveats
}

fn report(preset: &Preset, trained: &Trained, results: &TestResults) -> Report {
    let mut report = Report {
        title: format!("Citronella: {}", preset.name),
        subtitle: preset.summary.to_owned(),
        ..Report::default()
    };
    if let Some(first) = results.evaluations.first() {
        let e = &first.model;
        report.findings.push(format!(
            "Accuracy {} and macro F1 {} on {} test rows.",
            figure(e.accuracy),
            figure(e.macro_average.f1),
            count(e.rows)
        ));
    }
    for evaluation in &results.evaluations {
        let heading = match evaluation.labels {
            LabelRule::File => "Test rows, labels by file",
            LabelRule::Attacker => "Test rows, labels by attacker",
        };
        report.sections.push(present::section(heading, preset.name, evaluation, ""));
    }
    let mut training = present::history_section("Training", &results.history);
    let split = serde_json::from_value(trained.model.card.training.get("split").cloned().unwrap_or_default());
    let options = Options { split: split.unwrap_or(SplitBy::Random), ..Options::default() };
    training.blocks.extend(caveats(preset, &options).into_iter().map(Block::Caveat));
    report.sections.push(training);
    present::provenance(&mut report, &trained.model);
    report
}

/// Shows stages and epochs of a training run.
pub(crate) struct TrainingProgress<'p> {
    progress: &'p Progress,
    stage: Stage,
    total: u64,
}

impl<'p> TrainingProgress<'p> {
    pub(crate) fn new(progress: &'p Progress) -> Self {
        TrainingProgress { progress, stage: Stage::Split, total: 0 }
    }
}

impl Observer for TrainingProgress<'_> {
    fn stage(&mut self, stage: Stage) {
        (self.stage, self.total) = (stage, 0);
        self.progress.begin(stage.name(), 0);
    }

    fn progress(&mut self, done: u64, of: u64) {
        if self.total != of {
            self.total = of;
            self.progress.begin(self.stage.name(), of);
        }
        self.progress.set_position(done);
    }

    fn epoch(&mut self, epoch: &Epoch, of: usize) {
        let shown = |loss: f64| figure(Some(loss));
        let (training, validation) = (shown(epoch.train_loss), shown(epoch.validation_loss));
        info!(
            epoch = epoch.number,
            train_loss = epoch.train_loss,
            validation_loss = epoch.validation_loss,
            "epoch {:>3}/{of}: loss {training}, validation loss {validation}",
            epoch.number
        );
    }
}

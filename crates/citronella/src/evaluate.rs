//! `citronella evaluate [--model FILE] DATA...`: what a model is worth on data that it has not seen.
//! `citronella evaluate --leave-one-out DATA...`: what a way to train is worth.

mod flows;
mod folds;
mod rows;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use citronella_sensor::{detect::ModelFile, feature::schema::Level};

use crate::{embedded, output_path};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model, as `train` wrote it; without it the sequence model in the program
    #[arg(long, value_name = "FILE", conflicts_with_all = ["leave_one_out", "seeds", "epochs"])]
    model: Option<PathBuf>,
    /// Also write report.html, metrics.json and the plots into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Write a row for each flow, as `detect --verdicts` does (sequence models)
    #[arg(long, value_name = "FILE.csv")]
    verdicts: Option<PathBuf>,
    /// Thresholds for so many false alerts a day, by the model's own record of benign traffic, instead of its own
    /// (sequence models)
    #[arg(long, value_name = "X", value_parser = per_day, conflicts_with = "leave_one_out")]
    false_alerts_per_day: Option<f32>,
    /// Recordings to fit simple classifiers on, shown beside the model (sequence models; several times)
    #[arg(long, value_name = "DATA")]
    train: Vec<PathBuf>,
    /// Judge the preset `sequence` instead of a model: leave out each recording that holds an attack in turn, train on
    /// the others, and judge what was left out
    #[arg(long, conflicts_with_all = ["verdicts", "train"])]
    leave_one_out: bool,
    /// Recordings that are always trained on and never left out (several times)
    #[arg(long, value_name = "DATA", requires = "leave_one_out")]
    always: Vec<PathBuf>,
    /// Trainings of each recording left out, with seeds from 42 on [default: 5]
    #[arg(long, value_name = "N", requires = "leave_one_out", value_parser = clap::value_parser!(u64).range(1..1000))]
    seeds: Option<u64>,
    /// Passes over the training data, instead of the preset's
    #[arg(long, value_name = "N", requires = "leave_one_out")]
    epochs: Option<usize>,
    /// Threads; 0 takes all. The numbers do not depend on it
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// A manifest.csv or a folder with one; for a model of rows also a folder laid out as MQTT-IoT-IDS2020, or rows of
    /// `extract`
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
}

fn per_day(text: &str) -> Result<f32, String> {
    let number: Option<f32> = text.parse().ok().filter(|number: &f32| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number, 0 or more".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.leave_one_out {
        return folds::run(arguments);
    }
    let (name, model) = match &arguments.model {
        Some(path) => (path.display().to_string(), ModelFile::load(path)?),
        None => (embedded::SEQUENCE_MODEL_NAME.to_owned(), embedded::sequence_model()?),
    };
    let level = model.card.level().with_context(|| {
        let level = &model.card.level;
        format!("{name}: the model reads rows of the level {level:?}, which this program does not know")
    })?;
    if let Some(path) = &arguments.verdicts {
        output_path::check(path)?;
    }
    if level == Level::Sequence {
        return flows::run(arguments, &name, &model);
    }
    ensure!(
        arguments.verdicts.is_none()
            && arguments.train.is_empty()
            && arguments.false_alerts_per_day.is_none(),
        "{name}: --verdicts, --train and --false-alerts-per-day go with a sequence model; this one reads rows of the {} level",
        level.name()
    );
    rows::run(arguments, &model, level)
}

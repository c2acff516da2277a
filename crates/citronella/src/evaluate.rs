//! `citronella evaluate [--model FILE] DATA...`: figures of a model on test data.
//! `citronella evaluate --leave-one-out DATA...`: leave-one-recording-out validation of the preset `sequence`.

mod flows;
mod folds;
mod rows;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use citronella_sensor::{detect::ModelFile, feature::schema::Level};

use crate::{embedded, output_path};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A model file from `train` [default: the embedded sequence model]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["leave_one_out", "seeds", "epochs"])]
    model: Option<PathBuf>,
    /// Also write report.html, metrics.json and the plots to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Write a row for each flow, like `detect --verdicts` (sequence models)
    #[arg(long, value_name = "FILE.csv")]
    verdicts: Option<PathBuf>,
    /// Use thresholds for X false alerts a day, from the benign scores in the model, instead of the model's thresholds
    /// (sequence models)
    #[arg(long, value_name = "X", value_parser = per_day, conflicts_with = "leave_one_out")]
    false_alerts_per_day: Option<f32>,
    /// Recordings to fit baseline classifiers on (sequence models; repeatable)
    #[arg(long, value_name = "DATA")]
    train: Vec<PathBuf>,
    /// Validate the preset `sequence` instead of a model: hold out each recording with an attack in turn, train on the
    /// others, evaluate on the held-out recording
    #[arg(long, conflicts_with_all = ["verdicts", "train"])]
    leave_one_out: bool,
    /// Recordings that are in every training set and never held out (repeatable)
    #[arg(long, value_name = "DATA", requires = "leave_one_out")]
    always: Vec<PathBuf>,
    /// Number of seeds, from 42 on; each trains all folds [default: 5]
    #[arg(long, value_name = "N", requires = "leave_one_out", value_parser = clap::value_parser!(u64).range(1..1000))]
    seeds: Option<u64>,
    /// Epochs [default: the preset's]
    #[arg(long, value_name = "N", requires = "leave_one_out")]
    epochs: Option<usize>,
    /// Threads; 0 for all. The result does not depend on it
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// A manifest.csv or a folder with one; for a model of rows also a folder in the layout of MQTT-IoT-IDS2020, or
    /// rows of `extract`
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
        format!("{name}: the model reads rows of the level {level:?}, which this program does not have")
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
        "{name}: --verdicts, --train and --false-alerts-per-day need a sequence model; this one reads rows of the {} level",
        level.name()
    );
    rows::run(arguments, &model, level)
}

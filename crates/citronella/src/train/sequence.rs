//! The preset `sequence`: the detector's model, calibrated by leave-one-recording-out.

use std::time::Instant;

use anyhow::{Result, ensure};
use citronella_learn::{
    flows::manifest_of,
    sequence::{Observer, Options, Recording, train},
};
use citronella_sensor::output::Output;
use serde_json::Value;
use tracing::info;

use super::{Arguments, Config};
use crate::{
    output_path,
    progress::Progress,
    show::{self, count},
};

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<()> {
    ensure!(
        arguments.report.is_none(),
        "train --preset sequence writes no report: `citronella evaluate --leave-one-out --report DIR DATA` does"
    );
    ensure!(
        arguments.split.is_none() && config.split.is_none(),
        "the preset sequence uses leave-one-recording-out: it takes no split"
    );
    let options = options(arguments, config);
    ensure!(options.epochs > 0, "--epochs must be at least 1");
    output_path::check(&arguments.output)?;
    drop(Output::create(&arguments.output)?);
    let recordings = open(&arguments.data)?;
    let start = Instant::now();
    let progress = Progress::stderr();
    // One network for each recording with an attack, and one on all recordings.
    progress.begin("train, epochs", ((attacked_recordings(&recordings) + 1) * options.epochs) as u64);
    let model = train(&recordings, &options, &mut EpochCounter(progress.stepper()))?;
    progress.end();
    model.save(&arguments.output)?;
    info!(file = %arguments.output.display(), "{}: model written", arguments.output.display());
    if arguments.json {
        let card = serde_json::to_value(&model.card)?;
        return show::json(&serde_json::json!({ "model": card, "seconds": start.elapsed().as_secs_f64() }));
    }
    show::line(&format!("seed {}, {} epochs; leave-one-recording-out:\n", options.seed, options.epochs))?;
    print_folds(&model.card.metrics)
}

/// The training's options: the command line over the file over the defaults.
fn options(arguments: &Arguments, config: &Config) -> Options {
    let default = Options::default();
    Options {
        seed: arguments.seed.or(config.seed).unwrap_or(default.seed),
        threads: threads(arguments.threads.or(config.threads).unwrap_or(0)),
        epochs: arguments.epochs.or(config.epochs).unwrap_or(default.epochs),
        hidden: config.hidden.clone().unwrap_or(default.hidden.clone()),
        windows: config.windows.unwrap_or(default.windows),
        variants: config.variants.unwrap_or(default.variants),
        dropout: config.dropout.unwrap_or(default.dropout),
        learning_rate: config.learning_rate.unwrap_or(default.learning_rate),
        ..default
    }
}

/// The number of threads; 0 means all.
pub(crate) fn threads(requested: usize) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if requested == 0 { all() } else { requested }
}

/// Opens recordings by their manifests or folders.
pub(crate) fn open(data: &[std::path::PathBuf]) -> Result<Vec<Recording>> {
    data.iter().map(|path| Ok(Recording::open(&manifest_of(path)?)?)).collect()
}

/// Number of recordings with an attacker.
pub(crate) fn attacked_recordings(recordings: &[Recording]) -> usize {
    recordings.iter().filter(|recording| recording.is_attacked()).count()
}

/// Advances a progress bar after each epoch and reports each trained network.
pub(crate) struct EpochCounter<F>(pub(crate) F);

impl<F: Fn() + Send> Observer for EpochCounter<F> {
    fn epoch(&mut self, number: usize, of: usize, loss: f64) {
        (self.0)();
        if number == of {
            info!(loss, "trained a network, {of} epochs: loss {loss:.4}");
        }
    }
}

/// Prints the card's figures of each held-out recording.
fn print_folds(metrics: &Value) -> Result<()> {
    let mut table = show::table(&[
        "held out",
        "flows",
        "macro F1",
        "recall",
        "false positives",
        "attacks detected",
        "packets to detection",
    ]);
    for fold in metrics["leave_one_recording_out"].as_array().into_iter().flatten() {
        let figures = &fold["figures"];
        let whole = |name: &str| figures[name].as_u64().map_or("–".to_owned(), count);
        let share = |name: &str| citronella_learn::report::figure(figures[name].as_f64());
        table.add_row([
            fold["held_out"].as_str().unwrap_or_default().to_owned(),
            whole("flows"),
            share("macro_f1"),
            share("attack_recall"),
            format!("{} of {}", whole("false_alerts"), whole("benign")),
            format!("{} of {}", whole("attacks_detected"), whole("attacks")),
            whole("median_packets"),
        ]);
    }
    show::print(&table)
}

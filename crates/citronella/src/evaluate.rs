//! `citronella evaluate --model FILE DATA...`: what a model is worth on data that it has not seen.

use std::path::PathBuf;

use anyhow::{Context, Result};
use citronella_learn::{
    dataset::{LabelRule, LoadOptions, Table, load},
    judge::{Baselines, Judgement},
    report::{Block, Report, figure},
    train::{Scored, score},
};
use citronella_sensor::detect::ModelFile;

use crate::{
    present,
    progress::Progress,
    show::{self, count},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model, as `train` wrote it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Also write report.html, metrics.json and the plots into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Threads; 0 takes all. The numbers do not depend on it
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// A manifest.csv, a folder with one, a folder laid out as MQTT-IoT-IDS2020, or rows of `extract`
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let model = ModelFile::load(&arguments.model)?;
    let level = model.card.level().with_context(|| {
        let (file, level) = (arguments.model.display(), &model.card.level);
        format!("{file}: the model reads rows of the level {level:?}, which this program does not know")
    })?;
    let progress = Progress::stderr();
    progress.begin("read", 0);
    let table = load(&arguments.data, &LoadOptions { level, ..LoadOptions::default() })?;
    progress.begin("score", 0);
    let scored = score(&model, &table, arguments.threads)?;
    progress.end();
    present::warn_of_problems(&progress, &table);
    let seen = seen_files(&model, &table);
    for file in &seen {
        progress.note(&format!("warning: the model was trained on {file}: these figures flatter it"));
    }

    let judgements = judge(&model, &table, &scored)?;
    let document = serde_json::json!({
        "model": Baselines::card_without(&model),
        "trained_on_this_data": seen,
        "dropped": scored.dropped,
        "problems": table.problems,
        "evaluation": judgements,
    });
    if let Some(folder) = &arguments.report {
        let written = report(&model, &judgements, &seen).write(folder, &document)?;
        progress.note(&format!("{}: the report", written.page.display()));
    }
    if arguments.json {
        return show::json(&document);
    }
    show::line(&format!(
        "{} rows scored; passed over: {}\n",
        count(scored.rows.len() as u64),
        present::dropped_in_words(&scored)
    ))?;
    for judgement in &judgements {
        show::line(&format!("Labels: {}.", present::labels_in_words(judgement.labels)))?;
        present::print_judgement(&model.card.preset, judgement)?;
        present::print_classes(&judgement.model)?;
    }
    Ok(())
}

/// Figures under every way to label that the data allows.
fn judge(model: &ModelFile, table: &Table, scored: &Scored) -> Result<Vec<Judgement>> {
    let mut judgements = Vec::new();
    let baselines = Baselines::stored(model);
    for labels in [LabelRule::Attacker, LabelRule::File] {
        judgements.extend(Judgement::of(labels, model, table, scored, baselines.as_ref())?);
    }
    Ok(judgements)
}

/// Files of the data that the model was trained on, by their hashes.
fn seen_files(model: &ModelFile, table: &Table) -> Vec<String> {
    let known = |hash: &str| model.card.data.iter().any(|file| file.sha256 == hash);
    table.hashes().iter().filter(|file| known(&file.sha256)).map(|file| file.file.clone()).collect()
}

fn report(model: &ModelFile, judgements: &[Judgement], seen: &[String]) -> Report {
    let preset = &model.card.preset;
    let mut report = Report {
        title: format!("Citronella: {preset}, evaluated"),
        subtitle: format!("trained by citronella {} with seed {}", model.card.program, model.card.seed),
        ..Report::default()
    };
    if let Some(first) = judgements.first() {
        let e = &first.model;
        report.findings.push(format!(
            "Accuracy {}, macro F1 {}, MCC {} on {} rows.",
            figure(e.accuracy),
            figure(e.macro_average.f1),
            figure(e.mcc),
            count(e.rows)
        ));
    }
    for judgement in judgements {
        let heading = match judgement.labels {
            LabelRule::File => "Labels by file",
            LabelRule::Attacker => "Labels by attacker",
        };
        report.sections.push(present::section(heading, preset, judgement, ""));
    }
    if let (false, Some(section)) = (seen.is_empty(), report.sections.first_mut()) {
        let text = format!("The model was trained on {}: these figures flatter it.", seen.join(", "));
        section.blocks.insert(0, Block::Caveat(text));
    }
    present::provenance(&mut report, model);
    report
}

//! Evaluation of a model of rows, such as the paper's.

use anyhow::Result;
use citronella_learn::{
    dataset::{LabelRule, LoadOptions, Table, load},
    model_evaluation::{Baselines, ModelEvaluation},
    report::{Block, Report, figure},
    train::{Scored, score},
};
use citronella_sensor::{detect::ModelFile, feature::schema::Level};
use tracing::{info, warn};

use super::Arguments;
use crate::{
    present,
    progress::Progress,
    show::{self, count},
};

pub(super) fn run(arguments: &Arguments, model: &ModelFile, level: Level) -> Result<()> {
    let progress = Progress::stderr();
    progress.begin("read", 0);
    let table = load(&arguments.data, &LoadOptions { level, ..LoadOptions::default() })?;
    progress.begin("score", 0);
    let scored = score(model, &table, arguments.threads)?;
    progress.end();
    present::warn_of_problems(&table);
    let trained_on = trained_on(model, &table);
    for file in &trained_on {
        warn!(file, "the model was trained on {file}: its figures are optimistic");
    }

    let evaluations = evaluate(model, &table, &scored)?;
    let document = serde_json::json!({
        "model": Baselines::card_without(model),
        "trained_on_this_data": trained_on,
        "dropped": scored.dropped,
        "problems": table.problems,
        "evaluation": evaluations,
    });
    if let Some(folder) = &arguments.report {
        let written = report(model, &evaluations, &trained_on).write(folder, &document)?;
        info!(file = %written.page.display(), "{}: report written", written.page.display());
    }
    if arguments.json {
        return show::json(&document);
    }
    show::line(&format!(
        "{} rows scored; skipped: {}\n",
        count(scored.rows.len() as u64),
        present::dropped_in_words(&scored)
    ))?;
    for evaluation in &evaluations {
        show::line(&format!("Labels: {}.", present::labels_in_words(evaluation.labels)))?;
        present::print_evaluation(&model.card.preset, evaluation)?;
        present::print_classes(&evaluation.model)?;
    }
    Ok(())
}

/// Figures under each label rule that the data supports.
fn evaluate(model: &ModelFile, table: &Table, scored: &Scored) -> Result<Vec<ModelEvaluation>> {
    let mut evaluations = Vec::new();
    let baselines = Baselines::stored(model);
    for labels in [LabelRule::Attacker, LabelRule::File] {
        evaluations.extend(ModelEvaluation::of(labels, model, table, scored, baselines.as_ref())?);
    }
    Ok(evaluations)
}

/// Files of the data that the model was trained on, by SHA-256.
fn trained_on(model: &ModelFile, table: &Table) -> Vec<String> {
    let known = |hash: &str| model.card.data.iter().any(|file| file.sha256 == hash);
    table.hashes().iter().filter(|file| known(&file.sha256)).map(|file| file.file.clone()).collect()
}

fn report(model: &ModelFile, evaluations: &[ModelEvaluation], trained_on: &[String]) -> Report {
    let preset = &model.card.preset;
    let mut report = Report {
        title: format!("Citronella: {preset}, evaluated"),
        subtitle: format!("trained by citronella {} with seed {}", model.card.program, model.card.seed),
        ..Report::default()
    };
    if let Some(first) = evaluations.first() {
        let e = &first.model;
        report.findings.push(format!(
            "Accuracy {}, macro F1 {}, MCC {} on {} rows.",
            figure(e.accuracy),
            figure(e.macro_average.f1),
            figure(e.mcc),
            count(e.rows)
        ));
    }
    for evaluation in evaluations {
        let heading = match evaluation.labels {
            LabelRule::File => "Labels by file",
            LabelRule::Attacker => "Labels by attacker",
        };
        report.sections.push(present::section(heading, preset, evaluation, ""));
    }
    if let (false, Some(section)) = (trained_on.is_empty(), report.sections.first_mut()) {
        let text = format!("The model was trained on {}: its figures are optimistic.", trained_on.join(", "));
        section.blocks.insert(0, Block::Caveat(text));
    }
    present::provenance(&mut report, model);
    report
}

//! A model that reads rows one by one, judged row by row: the paper's.

use anyhow::Result;
use citronella_learn::{
    dataset::{LabelRule, LoadOptions, Table, load},
    judge::{Baselines, Judgement},
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
    let seen = seen_files(model, &table);
    for file in &seen {
        warn!("the model was trained on {file}: these figures flatter it");
    }

    let judgements = judge(model, &table, &scored)?;
    let document = serde_json::json!({
        "model": Baselines::card_without(model),
        "trained_on_this_data": seen,
        "dropped": scored.dropped,
        "problems": table.problems,
        "evaluation": judgements,
    });
    if let Some(folder) = &arguments.report {
        let written = report(model, &judgements, &seen).write(folder, &document)?;
        info!(file = %written.page.display(), "{}: the report", written.page.display());
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

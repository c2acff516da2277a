//! Presentation of an evaluated model: tables for the terminal and sections for the report.

use anyhow::Result;
use citronella_learn::{
    dataset::{LabelRule, Table},
    evaluate::{Evaluation, History},
    model_evaluation::ModelEvaluation,
    report::{Block, ConfusionPlot, LinePlot, MetricTable, Report, Section, figure},
    train::{Scored, Trained},
};
use citronella_sensor::detect::ModelFile;
use tracing::warn;

use crate::show::{self, count};

/// Describes the meaning of the rows' labels.
pub(crate) fn labels_in_words(labels: LabelRule) -> &'static str {
    match labels {
        LabelRule::File => "every row of an attack's file counts as that attack (the paper's labels)",
        LabelRule::Attacker => "a row is an attack where the attacker sent or receives it",
    }
}

/// Prints the metrics of the model and of the baselines, one line each.
pub(crate) fn print_evaluation(model: &str, judgement: &ModelEvaluation) -> Result<()> {
    let mut table =
        show::table(&["", "rows", "accuracy", "macro F1", "MCC", "attack AUC", "TPR at FPR 1e-3"]);
    let mut add = |name: &str, e: &Evaluation| {
        let auc = e.attack.as_ref().and_then(|attack| attack.roc.as_ref()).and_then(|roc| roc.auc);
        let figures = [e.accuracy, e.macro_average.f1, e.mcc, auc, e.attack_tpr_at(1e-3)].map(figure);
        table.add_row([name.to_owned(), count(e.rows)].into_iter().chain(figures));
    };
    add(model, &judgement.model);
    for baseline in &judgement.baselines {
        add(&baseline.name, &baseline.figures);
    }
    show::print(&table)
}

/// Prints precision, recall and F1 of each class, and the confusion matrix.
pub(crate) fn print_classes(figures: &Evaluation) -> Result<()> {
    let mut table = show::table(&["class", "rows", "precision", "recall", "F1"]);
    for class in &figures.per_class {
        let numbers = [Some(class.precision), class.recall, class.f1].map(figure);
        table.add_row([class.class.clone(), count(class.support)].into_iter().chain(numbers));
    }
    show::print(&table)?;
    let names = &figures.confusion.classes;
    let columns: Vec<&str> =
        std::iter::once("true \\ predicted").chain(names.iter().map(String::as_str)).collect();
    let mut matrix = show::table(&columns);
    for (name, counts) in names.iter().zip(&figures.confusion.counts) {
        matrix.add_row(std::iter::once(name.clone()).chain(counts.iter().map(|n| count(*n))));
    }
    show::print(&matrix)?;
    for note in &figures.notes {
        show::line(note)?;
    }
    Ok(())
}

/// A section of the report: model and baselines, classes, confusion matrix, curves.
pub(crate) fn section(heading: &str, model: &str, judgement: &ModelEvaluation, prose: &str) -> Section {
    let figures = &judgement.model;
    let rows: Vec<(&str, &Evaluation)> = std::iter::once((model, figures))
        .chain(judgement.baselines.iter().map(|baseline| (baseline.name.as_str(), &baseline.figures)))
        .collect();
    let mut table = MetricTable::of_models(&format!("{heading}: the model and the baselines"), &rows);
    if let Some(first) = table.rows.first_mut() {
        first.strong = true;
    }
    let mut blocks = vec![
        Block::Table(table),
        Block::Table(MetricTable::per_class(&format!("{heading}: each class"), figures)),
        Block::Confusion(ConfusionPlot { title: heading.to_owned(), confusion: figures.confusion.clone() }),
    ];
    let curves: Vec<_> = figures.one_vs_rest.iter().filter(|class| class.roc.auc.is_some()).collect();
    if !curves.is_empty() {
        let roc: Vec<_> = curves.iter().map(|class| (class.class.as_str(), &class.roc)).collect();
        blocks.push(Block::Lines(LinePlot::roc(
            &format!("{heading}: ROC, each class against the others"),
            &roc,
        )));
        let pr: Vec<_> = curves.iter().map(|class| (class.class.as_str(), &class.pr)).collect();
        blocks
            .push(Block::Lines(LinePlot::precision_recall(&format!("{heading}: precision and recall"), &pr)));
    }
    let prose = [prose.to_owned(), format!("Labels: {}.", labels_in_words(judgement.labels))];
    let prose =
        prose.into_iter().chain(figures.notes.iter().cloned()).filter(|text| !text.is_empty()).collect();
    Section { heading: heading.to_owned(), prose, blocks }
}

/// The curves of the paper's figures 2 to 5: loss, precision and recall over epochs.
pub(crate) fn history_section(heading: &str, history: &History) -> Section {
    let blocks = LinePlot::history(heading, history).into_iter().map(Block::Lines).collect();
    let prose = "Training metrics are computed while the weights change, on rows balanced by SMOTE; validation metrics after each epoch, on rows that were not trained on.";
    Section { heading: heading.to_owned(), prose: vec![prose.to_owned()], blocks }
}

/// Adds program, preset, seed, inputs and data files to the provenance of the report.
pub(crate) fn provenance(report: &mut Report, model: &ModelFile) {
    let card = &model.card;
    let mut add = |name: &str, value: String| report.provenance.push((name.to_owned(), value));
    add("program", format!("citronella {}", card.program));
    add("preset", card.preset.clone());
    add("seed", card.seed.to_string());
    add("inputs", card.inputs.iter().map(|input| input.column.as_str()).collect::<Vec<_>>().join(", "));
    for file in &card.data {
        add(&file.file, format!("SHA-256 {}", file.sha256));
    }
}

/// Logs the problems found while the table was read.
pub(crate) fn warn_of_problems(table: &Table) {
    for message in table.problems.messages() {
        warn!("{message}");
    }
}

/// Describes the rows that the model does not score.
pub(crate) fn dropped_in_words(scored: &Scored) -> String {
    let parts = scored.dropped.iter().map(|dropped| format!("{} {}", count(dropped.rows), dropped.reason));
    parts.collect::<Vec<_>>().join(", ")
}

/// Prints the rows of each class in each part of the split.
pub(crate) fn print_sizes(trained: &Trained) -> Result<()> {
    let mut table = show::table(&["class", "training", "with SMOTE", "validation", "test"]);
    let sizes = &trained.sizes;
    for (index, class) in trained.model.card.classes.iter().enumerate() {
        let parts = [&sizes.train, &sizes.balanced, &sizes.validation, &sizes.test];
        let counts = parts.map(|part| count(part.get(index).copied().unwrap_or_default()));
        table.add_row(std::iter::once(class.clone()).chain(counts));
    }
    show::print(&table)
}

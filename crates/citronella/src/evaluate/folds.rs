//! The preset `sequence`, judged by leaving out each recording in turn, with several seeds.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use citronella_learn::{
    flows::{Baseline, Baselines, Classes, Figures, Judged, Labelled, Spread, judge, rules},
    report::{Block, MetricRow, MetricTable, Report, Section, figure},
    sequence::{Options, Recording, cross_settings, leave_one_out},
};
use citronella_sensor::detect::Detector;
use serde::Serialize;
use tracing::info;

use super::Arguments;
use crate::{
    embedded,
    flows::{Beside, sections},
    progress::Progress,
    show,
    train::sequence::{Counter, attacked, open, threads},
};

/// The seed of the first training.
const FIRST_SEED: u64 = 42;

/// Over seeds, the figures that stand in the table.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spreads {
    macro_f1: Option<Spread>,
    recall: Option<Spread>,
    false_positive_rate: Option<Spread>,
    false_alerts: Option<Spread>,
    pr_auc: Option<Spread>,
    tpr_at_fpr_1e3: Option<Spread>,
    attacks_detected: Option<Spread>,
    packets_to_detection: Option<Spread>,
    seconds_to_first_alert: Option<Spread>,
    ece: Option<Spread>,
}

impl Spreads {
    fn of(seeds: &[&Figures]) -> Spreads {
        let of = |figure: fn(&Figures) -> Option<f64>| Spread::of(seeds.iter().map(|f| figure(f)));
        Spreads {
            macro_f1: of(|f| f.macro_f1),
            recall: of(|f| f.recall),
            false_positive_rate: of(|f| f.false_positive_rate),
            false_alerts: of(|f| Some(f.false_alerts as f64)),
            pr_auc: of(|f| f.pr_auc),
            tpr_at_fpr_1e3: of(|f| f.tpr_at(1e-3)),
            attacks_detected: of(|f| Some(f.attacks_detected as f64)),
            packets_to_detection: of(|f| f.packets_to_detection.median),
            seconds_to_first_alert: of(|f| f.seconds_to_first_alert.median),
            ece: of(|f| f.calibration.as_ref().map(|calibration| calibration.ece)),
        }
    }
}

/// A recording that was left out, or all of them together.
#[derive(Serialize)]
struct Held {
    recording: String,
    spread: Spreads,
    /// A figure set for each seed.
    by_seed: Vec<Figures>,
}

impl Held {
    fn of<'a>(recording: String, seeds: impl Iterator<Item = &'a Judged>) -> Held {
        let by_seed: Vec<Figures> =
            seeds.map(|judged| Figures::of(&judged.classes, &judged.captures, &judged.flows)).collect();
        Held { recording, spread: Spreads::of(&by_seed.iter().collect::<Vec<_>>()), by_seed }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    seeds: &'a [u64],
    epochs: usize,
    /// Recordings that are trained on in every turn, as asked for.
    always: Vec<&'a str>,
    /// All recordings left out, together.
    all: &'a Held,
    recordings: &'a [Held],
    baselines: &'a [Beside],
    options: &'a Options,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let recordings = open(&arguments.data)?;
    let always = open(&arguments.always)?;
    let names: BTreeSet<&str> = recordings.iter().chain(&always).map(|r| r.name.as_str()).collect();
    ensure!(
        names.len() == recordings.len() + always.len(),
        "two of the recordings have the same name: leave one out of DATA and --always"
    );
    ensure!(
        attacked(&recordings) > 1,
        "{} recordings, {} of which hold an attack: leaving one out needs two with attacks or more",
        recordings.len(),
        attacked(&recordings)
    );
    let seeds: Vec<u64> = (FIRST_SEED..).take(arguments.seeds.unwrap_or(5) as usize).collect();
    let default = Options::default();
    let options = Options {
        threads: threads(arguments.threads),
        epochs: arguments.epochs.unwrap_or(default.epochs),
        ..default
    };
    ensure!(options.epochs > 0, "--epochs 0 trains nothing");

    let progress = Progress::stderr();
    progress.begin("flows", 0);
    let captures = Labelled::open_all(&[&arguments.data[..], &arguments.always].concat())?;
    let detector = Detector::new(embedded::SEQUENCE_MODEL_NAME, &embedded::sequence_model()?)?;
    let classes = Classes::new(detector.classes(), captures.iter().map(|c| c.scenario.as_str()));
    let walked = judge(&detector, &classes, &captures, arguments.threads, &|| ())?;
    let beside = baselines(&walked, &captures, &recordings, arguments.threads)?;

    progress.begin("train, epochs", (seeds.len() * attacked(&recordings) * options.epochs) as u64);
    let mut by_seed: Vec<Vec<Judged>> = Vec::new();
    let mut names = Vec::new();
    for seed in &seeds {
        let options = Options { seed: *seed, ..options.clone() };
        let held = leave_one_out(&recordings, &always, &options, &mut Counter(progress.stepper()))?;
        let settings = cross_settings(&held, &options);
        names = held.iter().map(|held| held.recording.clone()).collect();
        by_seed
            .push(held.iter().zip(&settings).map(|(held, settings)| walked.called(held, settings)).collect());
    }
    progress.end();

    let of_recording =
        |(at, name): (usize, String)| Held::of(name, by_seed.iter().filter_map(|seed| seed.get(at)));
    let held: Vec<Held> = names.into_iter().enumerate().map(of_recording).collect();
    let together: Vec<Judged> = by_seed.iter().filter_map(|seed| Judged::joined(seed)).collect();
    let all = Held::of("all together".to_owned(), together.iter());
    let document = Document {
        seeds: &seeds,
        epochs: options.epochs,
        always: always.iter().map(|recording| recording.name.as_str()).collect(),
        all: &all,
        recordings: &held,
        baselines: &beside,
        options: &options,
    };
    if let (Some(folder), Some(first)) = (&arguments.report, together.first()) {
        let page = report(first, &document);
        let written = page.write(folder, &serde_json::to_value(&document)?)?;
        info!(file = %written.page.display(), "{}: the report", written.page.display());
    }
    if arguments.json {
        return show::json(&document);
    }
    print(&document)
}

/// Classifiers fitted without each recording in turn, and the rules, on the flows of all that were left out.
fn baselines(
    walked: &Judged,
    captures: &[Labelled],
    recordings: &[Recording],
    threads: usize,
) -> Result<Vec<Beside>> {
    let mut parts: Vec<Judged> = Vec::new();
    let mut learnt: Vec<Baseline> = Vec::new();
    for recording in recordings.iter().filter(|r| attacked(std::slice::from_ref(r)) > 0) {
        let others = walked.part(|capture| capture.recording != recording.name);
        let test = walked.part(|capture| capture.recording == recording.name);
        let fitted = Baselines::fit(&others, FIRST_SEED, threads)?.judge(&test, threads);
        if learnt.is_empty() {
            learnt = fitted;
        } else {
            for (whole, part) in learnt.iter_mut().zip(fitted) {
                if whole.name != part.name {
                    whole.name = "one rule (of each training its own)".to_owned();
                }
                whole.flows.extend(part.flows);
            }
        }
        parts.push(test);
    }
    let Some(tested) = Judged::joined(&parts) else { return Ok(Vec::new()) };
    let all = rules(&tested, captures)?;
    Ok(std::iter::once(&all).chain(&learnt).map(|baseline| Beside::of(&tested, baseline)).collect())
}

const COLUMNS: [&str; 9] = [
    "left out",
    "flows",
    "macro F1",
    "recall",
    "FPR",
    "false alerts",
    "PR-AUC",
    "TPR at FPR 1e-3",
    "attacks found",
];

/// Mean and, where seeds differ, standard deviation.
fn cells(held: &Held) -> Vec<String> {
    let spread = &held.spread;
    let shares = [spread.macro_f1, spread.recall, spread.false_positive_rate].map(|s| shown(s, figure));
    let count =
        |s: Option<Spread>| shown(s, |value| value.map_or("–".to_owned(), |value| format!("{value:.1}")));
    let first = held.by_seed.first();
    let flows = first.map_or(0, |f| f.flows);
    let of = |n: Option<u64>| n.map_or("–".to_owned(), show::count);
    std::iter::once(show::count(flows))
        .chain(shares)
        .chain([
            format!("{} of {}", count(spread.false_alerts), of(first.map(|f| f.benign_flows))),
            shown(spread.pr_auc, figure),
            shown(spread.tpr_at_fpr_1e3, figure),
            format!("{} of {}", count(spread.attacks_detected), of(first.map(|f| f.attacks))),
        ])
        .collect()
}

fn shown(spread: Option<Spread>, one: impl Fn(Option<f64>) -> String) -> String {
    match spread {
        None => one(None),
        Some(spread) if spread.min == spread.max => one(Some(spread.mean)),
        Some(spread) => format!("{} ± {}", one(Some(spread.mean)), one(Some(spread.std))),
    }
}

/// Cells of a baseline, which has one seed.
fn cells_of(figures: &Figures) -> Vec<String> {
    vec![
        show::count(figures.flows),
        figure(figures.macro_f1),
        figure(figures.recall),
        figure(figures.false_positive_rate),
        format!("{} of {}", show::count(figures.false_alerts), show::count(figures.benign_flows)),
        figure(figures.pr_auc),
        figure(figures.tpr_at(1e-3)),
        format!("{} of {}", figures.attacks_detected, figures.attacks),
    ]
}

fn lines(document: &Document<'_>) -> Vec<(String, Vec<String>)> {
    let held = document.recordings.iter().map(|held| (held.recording.clone(), cells(held)));
    let all = (format!("the model, {}", document.all.recording), cells(document.all));
    let beside = document.baselines.iter().map(|other| (other.name.clone(), cells_of(&other.figures)));
    held.chain([all]).chain(beside).collect()
}

fn print(document: &Document<'_>) -> Result<()> {
    show::line(&format!(
        "Each recording left out in turn; {} seeds, {} epochs. Mean ± standard deviation where seeds differ.\n",
        document.seeds.len(),
        document.epochs
    ))?;
    let mut table = show::table(&COLUMNS);
    for (name, cells) in lines(document) {
        table.add_row(std::iter::once(name).chain(cells));
    }
    show::print(&table)
}

fn report(first: &Judged, document: &Document<'_>) -> Report {
    let f1 = document.all.spread.macro_f1;
    let mut overview = Section { heading: "Every recording, left out".to_owned(), ..Section::default() };
    overview.prose.push(format!(
        "{} seeds, {} epochs each. Mean ± standard deviation where seeds differ. Thresholds of a recording come from the others that were left out. Classifiers are fitted on the same other recordings and judged on the same flows.",
        document.seeds.len(),
        document.epochs
    ));
    overview.blocks.push(Block::Table(MetricTable {
        caption: "The model and what it must beat".to_owned(),
        columns: COLUMNS.map(str::to_owned).into(),
        rows: lines(document)
            .into_iter()
            .map(|(label, cells)| MetricRow { strong: label.starts_with("the model"), label, cells })
            .collect(),
    }));
    let mut report = Report {
        title: "Citronella: sequence, each recording left out".to_owned(),
        subtitle: "trained on the others, judged on recordings that the network has not seen".to_owned(),
        findings: vec![format!("Macro F1 {} over all recordings left out.", shown(f1, figure))],
        sections: vec![overview],
        ..Report::default()
    };
    if let Some(figures) = document.all.by_seed.first() {
        let prefix = format!("Seed {FIRST_SEED}, all recordings: ");
        report.sections.extend(sections(&prefix, first, figures, &[], document.baselines));
    }
    report
}

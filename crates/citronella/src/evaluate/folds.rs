//! Leave-one-recording-out validation of the preset `sequence`, with several seeds.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use citronella_learn::{
    flows::{
        Baseline, Baselines, Classes, ClassifiedFlows, Figures, LabelledCapture, Spread, classify, rules,
    },
    report::{Block, MetricRow, MetricTable, Report, Section, figure},
    sequence::{Options, Recording, cross_settings, leave_one_out},
};
use citronella_sensor::detect::Detector;
use serde::Serialize;
use tracing::info;

use super::Arguments;
use crate::{
    embedded,
    flows::{BaselineFigures, sections},
    progress::Progress,
    show,
    train::sequence::{EpochCounter, attacked_recordings, open, threads},
};

/// The first seed.
const FIRST_SEED: u64 = 42;

/// The figures of the table, over seeds.
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

/// Figures of a held-out recording, or of all of them together.
#[derive(Serialize)]
struct HeldOutFigures {
    recording: String,
    spread: Spreads,
    /// Figures of each seed.
    by_seed: Vec<Figures>,
}

impl HeldOutFigures {
    fn of<'a>(recording: String, seeds: impl Iterator<Item = &'a ClassifiedFlows>) -> HeldOutFigures {
        let by_seed: Vec<Figures> =
            seeds.map(|flows| Figures::of(&flows.classes, &flows.captures, &flows.flows)).collect();
        HeldOutFigures { recording, spread: Spreads::of(&by_seed.iter().collect::<Vec<_>>()), by_seed }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    seeds: &'a [u64],
    epochs: usize,
    /// Recordings in every training set (`--always`).
    always: Vec<&'a str>,
    /// All held-out recordings together.
    all: &'a HeldOutFigures,
    recordings: &'a [HeldOutFigures],
    baselines: &'a [BaselineFigures],
    options: &'a Options,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let recordings = open(&arguments.data)?;
    let always = open(&arguments.always)?;
    let names: BTreeSet<&str> = recordings.iter().chain(&always).map(|r| r.name.as_str()).collect();
    ensure!(
        names.len() == recordings.len() + always.len(),
        "two recordings have the same name: remove one from DATA or --always"
    );
    ensure!(
        attacked_recordings(&recordings) > 1,
        "{} recordings, {} of them with an attack: leave-one-recording-out needs at least two with attacks",
        recordings.len(),
        attacked_recordings(&recordings)
    );
    let seeds: Vec<u64> = (FIRST_SEED..).take(arguments.seeds.unwrap_or(5) as usize).collect();
    let default = Options::default();
    let options = Options {
        threads: threads(arguments.threads),
        epochs: arguments.epochs.unwrap_or(default.epochs),
        ..default
    };
    ensure!(options.epochs > 0, "--epochs must be at least 1");

    let progress = Progress::stderr();
    progress.begin("flows", 0);
    let captures = LabelledCapture::open_all(&[&arguments.data[..], &arguments.always].concat())?;
    let detector = Detector::new(embedded::SEQUENCE_MODEL_NAME, &embedded::sequence_model()?)?;
    let classes = Classes::new(detector.classes(), captures.iter().map(|c| c.scenario.as_str()));
    let flows = classify(&detector, &classes, &captures, arguments.threads, &|| ())?;
    let baselines = baselines(&flows, &captures, &recordings, arguments.threads)?;

    progress.begin("train, epochs", (seeds.len() * attacked_recordings(&recordings) * options.epochs) as u64);
    let mut by_seed: Vec<Vec<ClassifiedFlows>> = Vec::new();
    let mut names = Vec::new();
    for seed in &seeds {
        let options = Options { seed: *seed, ..options.clone() };
        let held = leave_one_out(&recordings, &always, &options, &mut EpochCounter(progress.stepper()))?;
        let settings = cross_settings(&held, &options);
        names = held.iter().map(|held| held.recording.clone()).collect();
        let reclassified =
            held.iter().zip(&settings).map(|(held, settings)| flows.reclassified(held, settings));
        by_seed.push(reclassified.collect());
    }
    progress.end();

    let of_recording = |(at, name): (usize, String)| {
        HeldOutFigures::of(name, by_seed.iter().filter_map(|seed| seed.get(at)))
    };
    let held: Vec<HeldOutFigures> = names.into_iter().enumerate().map(of_recording).collect();
    let together: Vec<ClassifiedFlows> =
        by_seed.iter().filter_map(|seed| ClassifiedFlows::joined(seed)).collect();
    let all = HeldOutFigures::of("all together".to_owned(), together.iter());
    let document = Document {
        seeds: &seeds,
        epochs: options.epochs,
        always: always.iter().map(|recording| recording.name.as_str()).collect(),
        all: &all,
        recordings: &held,
        baselines: &baselines,
        options: &options,
    };
    if let (Some(folder), Some(first)) = (&arguments.report, together.first()) {
        let page = report(first, &document);
        let written = page.write(folder, &serde_json::to_value(&document)?)?;
        info!(file = %written.page.display(), "{}: report written", written.page.display());
    }
    if arguments.json {
        return show::json(&document);
    }
    print(&document)
}

/// Baselines on the flows of all held-out recordings; classifiers are fitted on the other recordings.
fn baselines(
    flows: &ClassifiedFlows,
    captures: &[LabelledCapture],
    recordings: &[Recording],
    threads: usize,
) -> Result<Vec<BaselineFigures>> {
    let mut parts: Vec<ClassifiedFlows> = Vec::new();
    let mut classifiers: Vec<Baseline> = Vec::new();
    for recording in recordings.iter().filter(|recording| recording.is_attacked()) {
        let training = flows.filter(|capture| capture.recording != recording.name);
        let test = flows.filter(|capture| capture.recording == recording.name);
        let fitted = Baselines::fit(&training, FIRST_SEED, threads)?.classify(&test, threads);
        if classifiers.is_empty() {
            classifiers = fitted;
        } else {
            for (whole, part) in classifiers.iter_mut().zip(fitted) {
                if whole.name != part.name {
                    whole.name = "one rule (fitted for each fold)".to_owned();
                }
                whole.flows.extend(part.flows);
            }
        }
        parts.push(test);
    }
    let Some(test) = ClassifiedFlows::joined(&parts) else { return Ok(Vec::new()) };
    let rules = rules(&test, captures)?;
    let baselines = std::iter::once(&rules).chain(&classifiers);
    Ok(baselines.map(|baseline| BaselineFigures::of(&test, baseline)).collect())
}

const COLUMNS: [&str; 9] = [
    "held out",
    "flows",
    "macro F1",
    "recall",
    "FPR",
    "false positives",
    "PR-AUC",
    "TPR at FPR 1e-3",
    "attacks detected",
];

/// Mean, and standard deviation if seeds differ.
fn cells(held: &HeldOutFigures) -> Vec<String> {
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

/// Cells of a baseline (one seed).
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
    let baselines = document.baselines.iter();
    let baselines = baselines.map(|baseline| (baseline.name.clone(), cells_of(&baseline.figures)));
    held.chain([all]).chain(baselines).collect()
}

fn print(document: &Document<'_>) -> Result<()> {
    show::line(&format!(
        "Leave-one-recording-out; {} seeds, {} epochs. Mean ± standard deviation if seeds differ.\n",
        document.seeds.len(),
        document.epochs
    ))?;
    let mut table = show::table(&COLUMNS);
    for (name, cells) in lines(document) {
        table.add_row(std::iter::once(name).chain(cells));
    }
    show::print(&table)
}

fn report(first: &ClassifiedFlows, document: &Document<'_>) -> Report {
    let f1 = document.all.spread.macro_f1;
    let mut overview = Section { heading: "Held-out recordings".to_owned(), ..Section::default() };
    overview.prose.push(format!(
        "{} seeds, {} epochs each. Mean ± standard deviation if seeds differ. Thresholds of a held-out recording are calibrated on the other held-out recordings. Baselines are fitted on the same training recordings and evaluated on the same flows.",
        document.seeds.len(),
        document.epochs
    ));
    overview.blocks.push(Block::Table(MetricTable {
        caption: "Model and baselines".to_owned(),
        columns: COLUMNS.map(str::to_owned).into(),
        rows: lines(document)
            .into_iter()
            .map(|(label, cells)| MetricRow { strong: label.starts_with("the model"), label, cells })
            .collect(),
    }));
    let mut report = Report {
        title: "Citronella: sequence, leave-one-recording-out".to_owned(),
        subtitle: "each recording is evaluated with a network trained on the others".to_owned(),
        findings: vec![format!("Macro F1 {} over all held-out recordings.", shown(f1, figure))],
        sections: vec![overview],
        ..Report::default()
    };
    if let Some(figures) = document.all.by_seed.first() {
        let prefix = format!("Seed {FIRST_SEED}, all recordings: ");
        report.sections.extend(sections(&prefix, first, figures, &[], document.baselines));
    }
    report
}

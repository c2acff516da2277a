//! Figures as a report page.

use citronella_learn::{
    flows::{ClassifiedFlows, Figures, detection_curve, rules_in_words},
    report::{
        Axis, Block, ConfusionPlot, KeyFigure, LinePlot, MetricRow, MetricTable, Report, Section, Series,
        figure,
    },
};
use citronella_sensor::detect::Card;

use super::{
    BaselineFigures, RecordingFigures,
    tables::{ATTACK_COLUMNS, CLASS_COLUMNS, COLUMNS, attack_rows, cells, class_cells, details, short},
};
use crate::show::count;

/// The page of `evaluate`; `trained_on` lists the evaluated files that the model was trained on.
pub(crate) fn report(
    card: &Card,
    classified: &ClassifiedFlows,
    figures: &Figures,
    recordings: &[RecordingFigures],
    baselines: &[BaselineFigures],
    trained_on: &[String],
) -> Report {
    let mut report = Report {
        title: format!("Citronella: {}, evaluated", card.preset),
        subtitle: format!("trained by citronella {} with seed {}", card.program, card.seed),
        findings: findings(figures),
        ..Report::default()
    };
    report.sections = sections("", classified, figures, recordings, baselines);
    if let (false, Some(section)) = (trained_on.is_empty(), report.sections.first_mut()) {
        let text = format!("The model was trained on {}: its figures are optimistic.", trained_on.join(", "));
        section.blocks.insert(0, Block::Caveat(text));
    }
    for problem in &classified.problems {
        if let Some(section) = report.sections.first_mut() {
            let text = format!("{problem}; only the packets before are evaluated.");
            section.blocks.push(Block::Caveat(text));
        }
    }
    let mut add = |name: &str, value: String| report.provenance.push((name.to_owned(), value));
    add("program", format!("citronella {}", card.program));
    add("preset", card.preset.clone());
    add("seed", card.seed.to_string());
    for file in &card.data {
        add(&format!("trained on {}", file.file), format!("SHA-256 {}", file.sha256));
    }
    report
}

/// The main figures in sentences.
fn findings(figures: &Figures) -> Vec<String> {
    vec![
        format!(
            "Recall is {} of {} attack flows, with {} false positives among {} benign flows; {} of {} attacks are detected.",
            figures.recall.map_or("–".to_owned(), crate::show::percent),
            count(figures.attack_flows),
            count(figures.false_alerts),
            count(figures.benign_flows),
            figures.attacks_detected,
            figures.attacks
        ),
        format!(
            "Upper bounds at 95 % confidence: a false-positive rate of {}, and {} false positives a day by the hours recorded.",
            figure(figures.false_positive_rate_upper_95),
            short(figures.false_alerts_per_day_upper_95)
        ),
    ]
}

/// The sections, with `prefix` before each heading and title.
pub(crate) fn sections(
    prefix: &str,
    classified: &ClassifiedFlows,
    figures: &Figures,
    recordings: &[RecordingFigures],
    baselines: &[BaselineFigures],
) -> Vec<Section> {
    let rules: Vec<String> = rules_in_words().collect();
    let rules = Section {
        heading: format!("{prefix}The ten threshold rules"),
        prose: vec![format!("{}.", rules.join("; "))],
        ..Section::default()
    };
    vec![
        comparison(prefix, figures, recordings, baselines),
        classes(prefix, figures, baselines),
        time_to_detection(prefix, classified, figures),
        rules,
    ]
}

/// The model and the baselines.
fn comparison(
    prefix: &str,
    figures: &Figures,
    recordings: &[RecordingFigures],
    baselines: &[BaselineFigures],
) -> Section {
    let mut section = Section { heading: format!("{prefix}Model and baselines"), ..Section::default() };
    let key = |label: &str, value: String, note: String| KeyFigure { label: label.to_owned(), value, note };
    section.blocks.push(Block::Figures(vec![
        key("macro F1", figure(figures.macro_f1), "mean over the classes".to_owned()),
        key("recall", figure(figures.recall), "attack flows flagged".to_owned()),
        key(
            "false-positive rate",
            figure(figures.false_positive_rate),
            format!("95 %: up to {}", figure(figures.false_positive_rate_upper_95)),
        ),
        key(
            "attacks detected",
            format!("{} of {}", figures.attacks_detected, figures.attacks),
            format!("half within {} s", short(figures.seconds_to_first_alert.median)),
        ),
    ]));
    let line = |label: &str, figures: &Figures, strong: bool| MetricRow {
        label: label.to_owned(),
        cells: narrow(figures),
        strong,
    };
    let mut rows = vec![line("the model", figures, true)];
    rows.extend(baselines.iter().map(|baseline| line(&baseline.name, &baseline.figures, false)));
    let (flows, benign) = (count(figures.flows), count(figures.benign_flows));
    section.blocks.push(Block::Table(overview(
        format!("{prefix}Model and baselines on the same {flows} flows, {benign} of them benign"),
        rows,
    )));
    if recordings.len() > 1 {
        let rows = recordings.iter().map(|r| line(&r.recording, &r.figures, false)).collect();
        section.blocks.push(Block::Table(overview(format!("{prefix}Recordings"), rows)));
    }
    section.prose.extend(figures.notes.iter().cloned());
    let details = details(figures).into_iter().map(|(name, value)| MetricRow {
        label: name.to_owned(),
        cells: vec![value],
        strong: false,
    });
    section.blocks.push(Block::Table(MetricTable {
        caption: format!("{prefix}Details"),
        columns: vec![String::new(), "the model".to_owned()],
        rows: details.collect(),
    }));
    section
}

fn classes(prefix: &str, figures: &Figures, baselines: &[BaselineFigures]) -> Section {
    let mut section = Section { heading: format!("{prefix}Classes"), ..Section::default() };
    let rows = figures.per_class.iter().map(|class| MetricRow {
        label: class.class.clone(),
        cells: class_cells(class),
        strong: false,
    });
    section.blocks.push(Block::Table(MetricTable {
        caption: format!("{prefix}Classes"),
        columns: CLASS_COLUMNS.map(str::to_owned).into(),
        rows: rows.collect(),
    }));
    section.blocks.push(Block::Confusion(ConfusionPlot {
        title: format!("{prefix}Confusion matrix of flows"),
        confusion: figures.confusion.clone(),
    }));
    let mut curves = vec![("the model", &figures.pr_curve)];
    curves.extend(baselines.iter().map(|baseline| (baseline.name.as_str(), &baseline.figures.pr_curve)));
    section.blocks.push(Block::Lines(LinePlot::precision_recall(
        &format!("{prefix}Attack against benign: precision and recall"),
        &curves,
    )));
    section.blocks.extend(reliability(&format!("{prefix}Reliability"), figures).map(Block::Lines));
    section
}

fn time_to_detection(prefix: &str, classified: &ClassifiedFlows, figures: &Figures) -> Section {
    let mut section = Section { heading: format!("{prefix}Time to detection"), ..Section::default() };
    section.prose.push("Measured from a flow's first packet; for a flow that is classified at its end, until that end is known. Flows that are never flagged keep the curve below 1.".to_owned());
    let curve = |title: &str, label: &str, points: Vec<(f64, f64)>, to: f64, from: f64| {
        Block::Lines(LinePlot {
            title: format!("{prefix}{title}"),
            x: Axis { label: label.to_owned(), from, to },
            y: Axis { label: "share of the attacks' flows".to_owned(), from: 0.0, to: 1.0 },
            series: vec![Series { name: "flagged".to_owned(), points }],
        })
    };
    let packets = detection_curve(classified, |_, at| at.packets as f64);
    let seconds = detection_curve(classified, |flow, at| {
        let secs = at.time_nanos.saturating_sub(flow.first_nanos) as f64 * 1e-9;
        secs.max(1e-4).log10()
    });
    section.blocks.push(curve("Packets until a flow is flagged", "packets of the flow", packets, 20.0, 0.0));
    section.blocks.push(curve(
        "Seconds until a flow is flagged",
        "seconds, as a power of ten (-2: 0.01 s, 2: 100 s)",
        seconds,
        3.0,
        -4.0,
    ));
    section.blocks.push(Block::Table(MetricTable {
        caption: format!("{prefix}Attacks"),
        columns: ATTACK_COLUMNS.map(str::to_owned).into(),
        rows: attack_rows(figures)
            .into_iter()
            .map(|(label, cells)| MetricRow { label, cells, strong: false })
            .collect(),
    }));
    section
}

/// The main figures without the numbers of flows, which are in the caption: the page is narrower than a terminal.
fn narrow(figures: &Figures) -> Vec<String> {
    let mut cells = cells(figures);
    if let Some(false_positives) = cells.get_mut(4) {
        *false_positives = count(figures.false_alerts);
    }
    cells.split_off(1)
}

fn overview(caption: String, rows: Vec<MetricRow>) -> MetricTable {
    let columns = COLUMNS.iter().filter(|column| **column != "flows").map(|column| (*column).to_owned());
    MetricTable { caption, columns: columns.collect(), rows }
}

/// Minimum flows of a plotted bin: with fewer its accuracy is not meaningful.
const MIN_BIN_FLOWS: u64 = 10;

/// Reliability diagram: accuracy over confidence.
fn reliability(title: &str, figures: &Figures) -> Option<LinePlot> {
    let calibration = figures.calibration.as_ref()?;
    let bins = calibration.bins.iter().filter(|bin| bin.rows >= MIN_BIN_FLOWS);
    let points = bins.map(|bin| (bin.confidence, bin.accuracy)).collect();
    let axis = |label: &str| Axis { label: label.to_owned(), from: 0.0, to: 1.0 };
    Some(LinePlot {
        title: title.to_owned(),
        x: axis("confidence: highest mean probability of a flow"),
        y: axis("accuracy"),
        series: vec![
            Series {
                name: format!(
                    "the model, bins of at least {MIN_BIN_FLOWS} flows (ECE {})",
                    figure(Some(calibration.ece))
                ),
                points,
            },
            Series { name: "perfect calibration".to_owned(), points: vec![(0.0, 0.0), (1.0, 1.0)] },
        ],
    })
}

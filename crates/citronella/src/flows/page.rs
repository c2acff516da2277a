//! Figures as a page.

use citronella_learn::{
    flows::{Figures, Judged, detection_curve, rules_in_words},
    report::{
        Axis, Block, ConfusionPlot, KeyFigure, LinePlot, MetricRow, MetricTable, Report, Section, Series,
        figure,
    },
};
use citronella_sensor::detect::Card;

use super::{
    Beside, Recording,
    tables::{ATTACK_COLUMNS, COLUMNS, attack_rows, cells, details, short},
};
use crate::show::count;

/// The page of `evaluate`.
pub(crate) fn report(
    card: &Card,
    judged: &Judged,
    figures: &Figures,
    recordings: &[Recording],
    beside: &[Beside],
    seen: &[String],
) -> Report {
    let mut report = Report {
        title: format!("Citronella: {}, evaluated", card.preset),
        subtitle: format!("trained by citronella {} with seed {}", card.program, card.seed),
        findings: findings(figures),
        ..Report::default()
    };
    report.sections = sections("", judged, figures, recordings, beside);
    if let (false, Some(section)) = (seen.is_empty(), report.sections.first_mut()) {
        let text = format!("The model was trained on {}: these figures flatter it.", seen.join(", "));
        section.blocks.insert(0, Block::Caveat(text));
    }
    for problem in &judged.problems {
        if let Some(section) = report.sections.first_mut() {
            section.blocks.push(Block::Caveat(format!("{problem}; the packets before are judged.")));
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

/// The figures in sentences.
fn findings(figures: &Figures) -> Vec<String> {
    vec![
        format!(
            "Of {} flows of attacks {} are called an attack, of {} benign ones {}; {} of {} attacks are noticed.",
            count(figures.attack_flows),
            figures.recall.map_or("–".to_owned(), crate::show::percent),
            count(figures.benign_flows),
            count(figures.false_alerts),
            figures.attacks_detected,
            figures.attacks
        ),
        format!(
            "So many benign flows allow a false-positive rate of up to {} (95 %); by the hours recorded, up to {} false alerts a day.",
            figure(figures.false_positive_rate_upper_95),
            short(figures.false_alerts_per_day_upper_95)
        ),
    ]
}

/// Sections; `prefix` stands before their headings.
pub(crate) fn sections(
    prefix: &str,
    judged: &Judged,
    figures: &Figures,
    recordings: &[Recording],
    beside: &[Beside],
) -> Vec<Section> {
    let heading = |text: &str| format!("{prefix}{text}");
    let titled = |text: &str| format!("{prefix}{text}");
    let mut first = Section { heading: heading("Side by side"), ..Section::default() };
    let key = |label: &str, value: String, note: String| KeyFigure { label: label.to_owned(), value, note };
    first.blocks.push(Block::Figures(vec![
        key("macro F1", figure(figures.macro_f1), "mean over the classes".to_owned()),
        key("recall", figure(figures.recall), "attack flows called an attack".to_owned()),
        key(
            "false-positive rate",
            figure(figures.false_positive_rate),
            format!("95 %: up to {}", figure(figures.false_positive_rate_upper_95)),
        ),
        key(
            "attacks found",
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
    rows.extend(beside.iter().map(|other| line(&other.name, &other.figures, false)));
    let (flows, benign) = (count(figures.flows), count(figures.benign_flows));
    first.blocks.push(Block::Table(overview(
        titled(&format!(
            "The model and what it must beat, on the same {flows} flows, {benign} of them benign"
        )),
        rows,
    )));
    if recordings.len() > 1 {
        let rows = recordings.iter().map(|r| line(&r.recording, &r.figures, false)).collect();
        first.blocks.push(Block::Table(overview(titled("Each recording"), rows)));
    }
    first.prose.extend(figures.notes.iter().cloned());
    let words = details(figures).into_iter().map(|(name, value)| MetricRow {
        label: name.to_owned(),
        cells: vec![value],
        strong: false,
    });
    first.blocks.push(Block::Table(MetricTable {
        caption: titled("In detail"),
        columns: vec![String::new(), "the model".to_owned()],
        rows: words.collect(),
    }));

    let mut classes = Section { heading: heading("Classes"), ..Section::default() };
    classes.blocks.push(Block::Table(per_class(&titled("Each class"), figures)));
    classes.blocks.push(Block::Confusion(ConfusionPlot {
        title: titled("Flows: truth against calls"),
        confusion: figures.confusion.clone(),
    }));
    let mut curves = vec![("the model", &figures.pr_curve)];
    curves.extend(beside.iter().map(|other| (other.name.as_str(), &other.figures.pr_curve)));
    classes.blocks.push(Block::Lines(LinePlot::precision_recall(
        &titled("Attack against benign: precision and recall"),
        &curves,
    )));
    classes.blocks.extend(reliability(&titled("Reliability"), figures).map(Block::Lines));

    let mut time = Section { heading: heading("Time to detection"), ..Section::default() };
    time.prose.push("A flow counts from its first packet; one that is called as it ends counts until its end is known. Flows that are never called keep the curve below 1.".to_owned());
    let curve = |title: &str, label: &str, points: Vec<(f64, f64)>, to: f64, from: f64| {
        Block::Lines(LinePlot {
            title: titled(title),
            x: Axis { label: label.to_owned(), from, to },
            y: Axis { label: "share of the attacks' flows".to_owned(), from: 0.0, to: 1.0 },
            series: vec![Series { name: "called an attack".to_owned(), points }],
        })
    };
    let packets = detection_curve(judged, |_, alert| alert.packets as f64);
    let seconds = detection_curve(judged, |flow, alert| {
        let secs = alert.time_nanos.saturating_sub(flow.first_nanos) as f64 * 1e-9;
        secs.max(1e-4).log10()
    });
    time.blocks.push(curve("Packets until a flow is called", "packets of the flow", packets, 20.0, 0.0));
    time.blocks.push(curve(
        "Seconds until a flow is called",
        "seconds, as a power of ten (-2: 0.01 s, 2: 100 s)",
        seconds,
        3.0,
        -4.0,
    ));
    time.blocks.push(Block::Table(MetricTable {
        caption: titled("Each attack"),
        columns: ATTACK_COLUMNS.map(str::to_owned).into(),
        rows: attack_rows(figures)
            .into_iter()
            .map(|(label, cells)| MetricRow { label, cells, strong: false })
            .collect(),
    }));
    let rules: Vec<String> = rules_in_words().collect();
    let rules = Section {
        heading: heading("The ten threshold rules"),
        prose: vec![format!("{}.", rules.join("; "))],
        ..Section::default()
    };
    vec![first, classes, time, rules]
}

/// The headline figures but the numbers of flows, which stand in the caption: the page is narrower than a terminal.
fn narrow(figures: &Figures) -> Vec<String> {
    let mut cells = cells(figures);
    if let Some(false_alerts) = cells.get_mut(4) {
        *false_alerts = count(figures.false_alerts);
    }
    cells.split_off(1)
}

fn overview(caption: String, rows: Vec<MetricRow>) -> MetricTable {
    let columns = COLUMNS.iter().filter(|column| **column != "flows").map(|column| (*column).to_owned());
    MetricTable { caption, columns: columns.collect(), rows }
}

fn per_class(caption: &str, figures: &Figures) -> MetricTable {
    let rows = figures.per_class.iter().map(|class| MetricRow {
        label: class.class.clone(),
        cells: [count(class.flows), count(class.called)]
            .into_iter()
            .chain([class.precision, class.recall, class.f1, class.flagged, class.pr_auc].map(figure))
            .collect(),
        strong: false,
    });
    MetricTable {
        caption: caption.to_owned(),
        columns: ["class", "flows", "called so", "precision", "recall", "F1", "called any attack", "PR-AUC"]
            .map(str::to_owned)
            .into(),
        rows: rows.collect(),
    }
}

/// A bin of fewer flows says nothing about its accuracy.
const LEAST_FLOWS: u64 = 10;

/// Confidence against accuracy, and where they would be equal.
fn reliability(title: &str, figures: &Figures) -> Option<LinePlot> {
    let calibration = figures.calibration.as_ref()?;
    let enough = calibration.bins.iter().filter(|bin| bin.rows >= LEAST_FLOWS);
    let points = enough.map(|bin| (bin.confidence, bin.accuracy)).collect();
    let axis = |label: &str| Axis { label: label.to_owned(), from: 0.0, to: 1.0 };
    Some(LinePlot {
        title: title.to_owned(),
        x: axis("confidence: highest mean probability of a flow"),
        y: axis("share called rightly"),
        series: vec![
            Series {
                name: format!(
                    "the model, bins of {LEAST_FLOWS} flows or more (ECE {})",
                    figure(Some(calibration.ece))
                ),
                points,
            },
            Series { name: "as sure as right".to_owned(), points: vec![(0.0, 0.0), (1.0, 1.0)] },
        ],
    })
}

//! Figures as tables on the terminal.

use anyhow::Result;
use citronella_learn::{
    flows::{Attack, Benign, ClassFigures, Figures, Quantiles},
    report::figure,
};
use comfy_table::Table;

use super::{BaselineFigures, RecordingFigures};
use crate::show::{self, count};

/// Columns of the main figures, on the terminal and on the page. Packets: median until a flow is flagged; seconds:
/// median until an attack's first alert.
pub(crate) const COLUMNS: [&str; 11] = [
    "",
    "flows",
    "macro F1",
    "recall",
    "FPR",
    "false positives",
    "PR-AUC",
    "TPR at FPR 1e-3",
    "attacks detected",
    "packets",
    "seconds",
];

/// The main figures, in the order of [`COLUMNS`].
pub(crate) fn cells(figures: &Figures) -> Vec<String> {
    vec![
        count(figures.flows),
        figure(figures.macro_f1),
        figure(figures.recall),
        figure(figures.false_positive_rate),
        format!("{} of {}", count(figures.false_alerts), count(figures.benign_flows)),
        figure(figures.pr_auc),
        figure(figures.tpr_at(1e-3)),
        format!("{} of {}", figures.attacks_detected, figures.attacks),
        whole(figures.packets_to_detection.median),
        short(figures.seconds_to_first_alert.median),
    ]
}

fn overview() -> Table {
    show::table(&COLUMNS)
}

fn add_line(table: &mut Table, name: &str, figures: &Figures) {
    table.add_row(std::iter::once(name.to_owned()).chain(cells(figures)));
}

/// Prints the model and the baselines, one line each.
pub(crate) fn print_table(figures: &Figures, baselines: &[BaselineFigures]) -> Result<()> {
    let mut table = overview();
    add_line(&mut table, "the model", figures);
    for baseline in baselines {
        add_line(&mut table, &baseline.name, &baseline.figures);
    }
    show::print(&table)
}

/// Prints all tables of `evaluate`.
pub(crate) fn print(
    figures: &Figures,
    recordings: &[RecordingFigures],
    baselines: &[BaselineFigures],
) -> Result<()> {
    show::line(&format!(
        "{} flows in {} of packet time: {} benign, {} from {} attacks.\n",
        count(figures.flows),
        hours(figures.hours),
        count(figures.benign_flows),
        count(figures.attack_flows),
        figures.attacks
    ))?;
    if recordings.len() > 1 {
        let mut table = overview();
        for recording in recordings {
            add_line(&mut table, &recording.recording, &recording.figures);
        }
        show::print(&table)?;
    }
    print_table(figures, baselines)?;
    for (name, value) in details(figures) {
        show::line(&format!("{name}: {value}"))?;
    }
    show::line("")?;
    classes(figures)?;
    attacks(figures)?;
    for note in &figures.notes {
        show::line(note)?;
    }
    Ok(())
}

/// Figures that have no column, with their names.
pub(crate) fn details(figures: &Figures) -> Vec<(&'static str, String)> {
    let bounded =
        |value: Option<f64>, bound: Option<f64>| format!("{} (95 %: up to {})", figure(value), figure(bound));
    let quantiles =
        |q: &Quantiles, shown: fn(Option<f64>) -> String| format!("{} / {}", shown(q.median), shown(q.p90));
    let benign = |b: &Benign| {
        let rate = bounded(b.false_positive_rate, b.false_positive_rate_upper_95);
        format!("{} of {}, rate {rate}", count(b.false_alerts), count(b.flows))
    };
    let mut all = vec![
        ("false-positive rate", bounded(figures.false_positive_rate, figures.false_positive_rate_upper_95)),
        (
            "false positives per day",
            format!(
                "{} (95 %: up to {}; {} recorded)",
                short(figures.false_alerts_per_day),
                short(figures.false_alerts_per_day_upper_95),
                hours(figures.hours)
            ),
        ),
        ("false positives in captures with an attack", benign(&figures.benign_in_attacks)),
        ("false positives in captures without one", benign(&figures.benign_elsewhere)),
        ("TPR at FPR 1e-4", figure(figures.tpr_at(1e-4))),
        ("accuracy / MCC", format!("{} / {}", figure(figures.accuracy), figure(figures.mcc))),
        ("packets until a flow is flagged, median / 90 %", quantiles(&figures.packets_to_detection, whole)),
        ("seconds until a flow is flagged, median / 90 %", quantiles(&figures.seconds_to_detection, short)),
        (
            "seconds until an attack's first alert, median / 90 %",
            quantiles(&figures.seconds_to_first_alert, short),
        ),
    ];
    if let Some(calibration) = &figures.calibration {
        let text = format!("{} / {}", figure(Some(calibration.ece)), figure(Some(calibration.brier)));
        all.push(("calibration: ECE / Brier score", text));
    }
    all
}

pub(crate) const CLASS_COLUMNS: [&str; 8] =
    ["class", "flows", "predicted", "precision", "recall", "F1", "flagged as any attack", "PR-AUC"];

/// A class's figures, in the order of [`CLASS_COLUMNS`] without its name.
pub(crate) fn class_cells(class: &ClassFigures) -> Vec<String> {
    let shares = [class.precision, class.recall, class.f1, class.flagged, class.pr_auc].map(figure);
    [count(class.flows), count(class.predicted)].into_iter().chain(shares).collect()
}

/// Figures of each class, and the confusion matrix.
fn classes(figures: &Figures) -> Result<()> {
    let mut table = show::table(&CLASS_COLUMNS);
    for class in &figures.per_class {
        table.add_row(std::iter::once(class.class.clone()).chain(class_cells(class)));
    }
    show::print(&table)?;
    let names = &figures.confusion.classes;
    let columns: Vec<&str> =
        std::iter::once("true \\ predicted").chain(names.iter().map(String::as_str)).collect();
    let mut matrix = show::table(&columns);
    for (name, counts) in names.iter().zip(&figures.confusion.counts) {
        matrix.add_row(std::iter::once(name.clone()).chain(counts.iter().map(|n| count(*n))));
    }
    show::print(&matrix)
}

fn attacks(figures: &Figures) -> Result<()> {
    if figures.per_attack.is_empty() {
        return Ok(());
    }
    let mut table = show::table(&ATTACK_COLUMNS);
    for (name, cells) in attack_rows(figures) {
        table.add_row(std::iter::once(name).chain(cells));
    }
    show::print(&table)
}

pub(crate) const ATTACK_COLUMNS: [&str; 6] =
    ["attack", "flows", "flagged", "correct class", "seconds to first alert", "flows until then"];

/// Name and cells of each attack.
pub(crate) fn attack_rows(figures: &Figures) -> Vec<(String, Vec<String>)> {
    let row = |attack: &Attack| {
        let cells = vec![
            count(attack.flows),
            count(attack.flagged),
            count(attack.correctly_classified),
            attack.seconds_to_first_alert.map_or("never".to_owned(), |s| short(Some(s))),
            attack.flows_to_first_alert.map_or("–".to_owned(), count),
        ];
        (format!("{}/{}: {}", attack.recording, attack.file, attack.class), cells)
    };
    figures.per_attack.iter().map(row).collect()
}

fn whole(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| count(value as u64))
}

/// Two decimals; a positive value is never rounded to 0.
pub(crate) fn short(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value > 0.0 && value < 0.005 => "< 0.01".to_owned(),
        Some(value) => format!("{value:.2}"),
    }
}

fn hours(hours: f64) -> String {
    if hours < 1.0 { format!("{:.1} min", hours * 60.0) } else { format!("{hours:.1} h") }
}

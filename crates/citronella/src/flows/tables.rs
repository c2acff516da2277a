//! Figures as tables on the terminal.

use anyhow::Result;
use citronella_learn::{
    flows::{Benign, Figures, Quantiles},
    report::figure,
};
use comfy_table::Table;

use super::{Beside, Recording};
use crate::show::{self, count};

/// The headline figures; the page shows the same. Packets: of a flow until its call, the median; seconds: of an attack
/// until its first alert, the median.
pub(crate) const COLUMNS: [&str; 11] = [
    "",
    "flows",
    "macro F1",
    "recall",
    "FPR",
    "false alerts",
    "PR-AUC",
    "TPR at FPR 1e-3",
    "attacks found",
    "packets",
    "seconds",
];

/// A line of headline figures, in the order of [`COLUMNS`].
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

/// The model and what stands beside it, a line each.
pub(crate) fn print_table(figures: &Figures, beside: &[Beside]) -> Result<()> {
    let mut table = overview();
    add_line(&mut table, "the model", figures);
    for other in beside {
        add_line(&mut table, &other.name, &other.figures);
    }
    show::print(&table)
}

/// Everything that `evaluate` tells of flows.
pub(crate) fn print(figures: &Figures, recordings: &[Recording], beside: &[Beside]) -> Result<()> {
    show::line(&format!(
        "{} flows in {} of packet time: {} benign, {} of {} attacks.\n",
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
    print_table(figures, beside)?;
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

/// What stands in no column, in words.
pub(crate) fn details(figures: &Figures) -> Vec<(&'static str, String)> {
    let bounded =
        |value: Option<f64>, bound: Option<f64>| format!("{} (95 %: up to {})", figure(value), figure(bound));
    let quantiles =
        |q: &Quantiles, shown: fn(Option<f64>) -> String| format!("{} / {}", shown(q.median), shown(q.p90));
    let benign = |b: &Benign| {
        let rate = bounded(b.false_positive_rate, b.false_positive_rate_upper_95);
        format!("{} of {} called, rate {rate}", count(b.false_alerts), count(b.flows))
    };
    let mut all = vec![
        ("false-positive rate", bounded(figures.false_positive_rate, figures.false_positive_rate_upper_95)),
        (
            "false alerts in 24 hours of such traffic",
            format!(
                "{} (95 %: up to {}; {} recorded)",
                short(figures.false_alerts_per_day),
                short(figures.false_alerts_per_day_upper_95),
                hours(figures.hours)
            ),
        ),
        ("benign flows while somebody attacks", benign(&figures.benign_in_attacks)),
        ("benign flows otherwise", benign(&figures.benign_elsewhere)),
        ("TPR at FPR 1e-4", figure(figures.tpr_at(1e-4))),
        ("accuracy / MCC", format!("{} / {}", figure(figures.accuracy), figure(figures.mcc))),
        ("packets of a flow until its call, median / 90 %", quantiles(&figures.packets_to_detection, whole)),
        ("seconds of a flow until its call, median / 90 %", quantiles(&figures.seconds_to_detection, short)),
        (
            "seconds of an attack until its first alert, median / 90 %",
            quantiles(&figures.seconds_to_first_alert, short),
        ),
    ];
    if let Some(calibration) = &figures.calibration {
        let text = format!("{} / {}", figure(Some(calibration.ece)), figure(Some(calibration.brier)));
        all.push(("calibration: expected error / Brier score", text));
    }
    all
}

/// Each class, and truth against calls.
fn classes(figures: &Figures) -> Result<()> {
    let mut table = show::table(&[
        "class",
        "flows",
        "called so",
        "precision",
        "recall",
        "F1",
        "called any attack",
        "PR-AUC",
    ]);
    for class in &figures.per_class {
        let numbers = [class.precision, class.recall, class.f1, class.flagged, class.pr_auc].map(figure);
        table.add_row(
            [class.class.clone(), count(class.flows), count(class.called)].into_iter().chain(numbers),
        );
    }
    show::print(&table)?;
    let names = &figures.confusion.classes;
    let columns: Vec<&str> =
        std::iter::once("true \\ called").chain(names.iter().map(String::as_str)).collect();
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
    ["attack", "flows", "called an attack", "by its name", "seconds to first alert", "flows until then"];

/// Name and cells of each attack.
pub(crate) fn attack_rows(figures: &Figures) -> Vec<(String, Vec<String>)> {
    let row = |attack: &citronella_learn::flows::Attack| {
        let cells = vec![
            count(attack.flows),
            count(attack.flagged),
            count(attack.named),
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

/// Two decimals; what is not nothing never rounds to it.
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

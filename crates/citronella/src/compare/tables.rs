//! The comparison on the terminal and as CSV. Every table and every CSV line names its protocol.

use anyhow::Result;
use citronella_learn::{
    compare::{Entry, Protocol, Task},
    report::figure,
};

use super::bytes;
use crate::show::{self, count};

/// The protocols in the order of the tables.
pub(super) const PROTOCOLS: [Protocol; 4] =
    [Protocol::Split, Protocol::Folds, Protocol::Given, Protocol::Recordings];

/// The entries of each table: those of one protocol, level and task.
pub(super) fn groups(entries: &[Entry]) -> Vec<(Protocol, Task, String, Vec<&Entry>)> {
    let mut groups: Vec<(Protocol, Task, String, Vec<&Entry>)> = Vec::new();
    for protocol in PROTOCOLS {
        for entry in entries.iter().filter(|entry| entry.protocol == protocol) {
            let same = |g: &&mut (Protocol, Task, String, Vec<&Entry>)| {
                g.0 == protocol && g.1 == entry.task && g.2 == entry.level
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.3.push(entry),
                None => groups.push((protocol, entry.task, entry.level.clone(), vec![entry])),
            }
        }
    }
    groups
}

pub(super) const COLUMNS: [&str; 11] = [
    "model",
    "rows",
    "accuracy",
    "macro precision",
    "macro recall",
    "macro F1",
    "MCC",
    "TPR at FPR 1e-3",
    "training s",
    "rows/s",
    "size",
];

/// The cells of an entry, in the order of [`COLUMNS`].
pub(super) fn cells(entry: &Entry) -> [String; 11] {
    let capped = if entry.caps.is_empty() { "" } else { " *" };
    [
        format!("{}{capped}", entry.model),
        count(entry.test_rows),
        figure(entry.accuracy),
        figure(entry.macro_precision),
        figure(entry.macro_recall),
        figure(entry.macro_f1),
        figure(entry.mcc),
        figure(entry.tpr_at_fpr_1e3),
        format!("{:.2}", entry.train_s),
        if entry.rows_per_s > 0.0 { count(entry.rows_per_s as u64) } else { "–".to_owned() },
        bytes(entry.size_bytes),
    ]
}

/// Footnotes on capped entries, one line each.
pub(super) fn notes(entries: &[&Entry]) -> Vec<String> {
    let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
    for entry in entries {
        for cap in &entry.caps {
            match notes.iter_mut().find(|(known, _)| known == cap) {
                Some((_, models)) => models.push(&entry.model),
                None => notes.push((cap.clone(), vec![&entry.model])),
            }
        }
    }
    let names =
        |models: Vec<&str>| if models.len() > 4 { "most models".to_owned() } else { models.join(", ") };
    notes.into_iter().map(|(cap, models)| format!("* {}: {cap}", names(models))).collect()
}

/// The published figures of an entry, as text.
pub(super) fn reference(entry: &Entry) -> Option<String> {
    let published = entry.reference.as_ref()?;
    let rest = published
        .precision_recall_f1
        .map_or(String::new(), |[p, r, f]| format!(", precision {p:.4}, recall {r:.4}, F1 {f:.4}"));
    Some(format!(
        "published for {} by {} on this data: accuracy {:.4}{rest}; here: {}",
        entry.model,
        published.source,
        published.accuracy,
        figure(entry.accuracy)
    ))
}

pub(super) fn print(entries: &[Entry]) -> Result<()> {
    for (protocol, task, level, of) in groups(entries) {
        show::line(&format!("\n{} | {level} level, {}", protocol.name(), task.name()))?;
        let mut table = show::table(&COLUMNS);
        for entry in &of {
            table.add_row(cells(entry));
        }
        show::print(&table)?;
        for line in notes(&of).into_iter().chain(of.iter().filter_map(|entry| reference(entry))) {
            show::line(&line)?;
        }
    }
    let pairs = side_by_side(entries);
    if !pairs.is_empty() {
        show::line("\nPublished and honest protocol: the same models, the same preparation")?;
        let mut table = show::table(&SIDE_BY_SIDE);
        for cells in pairs {
            table.add_row(cells);
        }
        show::print(&table)?;
    }
    for protocol in PROTOCOLS.into_iter().filter(|p| entries.iter().any(|entry| entry.protocol == *p)) {
        show::line(&format!("{}: {}.", protocol.name(), protocol.meaning()))?;
    }
    Ok(())
}

pub(super) const SIDE_BY_SIDE: [&str; 7] = [
    "model",
    "level, task",
    "PUBLISHED accuracy",
    "HONEST accuracy",
    "PUBLISHED macro F1",
    "HONEST macro F1",
    "HONEST TPR at FPR 1e-3",
];

/// The honest entries, each with the published one of the same model: by k-fold if there is one, else by a split.
pub(super) fn side_by_side(entries: &[Entry]) -> Vec<[String; 7]> {
    let honest = entries.iter().filter(|entry| entry.protocol == Protocol::Recordings);
    let pair = |honest: &Entry| {
        let same = |p: Protocol| {
            entries.iter().find(|e| {
                e.protocol == p && e.model == honest.model && e.level == honest.level && e.task == honest.task
            })
        };
        let published = same(Protocol::Folds).or_else(|| same(Protocol::Split));
        [
            honest.model.clone(),
            format!("{}, {}", honest.level, honest.task.name()),
            published.map_or("-".to_owned(), |e| figure(e.accuracy)),
            figure(honest.accuracy),
            published.map_or("-".to_owned(), |e| figure(e.macro_f1)),
            figure(honest.macro_f1),
            figure(honest.tpr_at_fpr_1e3),
        ]
    };
    honest.map(pair).collect()
}

/// All entries as CSV, one line each; figures are not rounded, missing ones empty.
pub(super) fn csv(entries: &[Entry]) -> String {
    let mut text = "protocol,published_or_honest,level,task,model,source,fits,train_rows,test_rows,accuracy,\
                    accuracy_lowest,accuracy_highest,macro_precision,macro_recall,macro_f1,mcc,roc_auc,tpr_at_fpr_1e-3,\
                    train_s,rows_per_s,size_bytes,caps\n"
        .to_owned();
    let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    let quoted = |value: &str| format!("\"{}\"", value.replace('"', "\"\""));
    for entry in entries {
        let cells = [
            quoted(entry.protocol.name()),
            if entry.protocol.is_published() { "published" } else { "honest" }.to_owned(),
            entry.level.clone(),
            entry.task.name().to_owned(),
            entry.model.clone(),
            quoted(&entry.source),
            entry.fits.to_string(),
            entry.train_rows.to_string(),
            entry.test_rows.to_string(),
            number(entry.accuracy),
            number(entry.accuracy_range.map(|r| r.0)),
            number(entry.accuracy_range.map(|r| r.1)),
            number(entry.macro_precision),
            number(entry.macro_recall),
            number(entry.macro_f1),
            number(entry.mcc),
            number(entry.roc_auc),
            number(entry.tpr_at_fpr_1e3),
            format!("{:.4}", entry.train_s),
            format!("{:.0}", entry.rows_per_s),
            entry.size_bytes.to_string(),
            quoted(&entry.caps.join("; ")),
        ];
        text += &cells.join(",");
        text.push('\n');
    }
    text
}

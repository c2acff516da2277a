//! The comparison as JSON and as a report.

use citronella_learn::{
    compare::{Data, Entry, Protocol},
    report::{Block, MetricRow, MetricTable, Multiples, Report, Section},
};
use serde_json::json;

use super::tables::{COLUMNS, PROTOCOLS, SIDE_BY_SIDE, cells, groups, notes, reference, side_by_side};

pub(super) fn json(seed: u64, threads: usize, data: &Data, entries: &[Entry]) -> serde_json::Value {
    let protocols: serde_json::Map<_, _> = PROTOCOLS
        .into_iter()
        .map(|p| (p.name().to_owned(), json!({ "published": p.is_published(), "meaning": p.meaning() })))
        .collect();
    json!({
        "program": env!("CARGO_PKG_VERSION"), "seed": seed, "threads": threads, "protocols": protocols,
        "data": data.summary(), "problems": data.problems(), "entries": entries,
    })
}

pub(super) fn report(entries: &[Entry], data: &Data, seed: u64, threads: usize) -> Report {
    let mut report = Report {
        title: "Citronella: the literature's models compared".to_owned(),
        subtitle: "PUBLISHED: rows split at random, as in the papers. HONEST: tested on unseen recordings."
            .to_owned(),
        ..Report::default()
    };
    let pairs = side_by_side(entries);
    if !pairs.is_empty() {
        let rows = pairs.into_iter().map(|cells| {
            let [label, rest @ ..] = cells;
            MetricRow { label, cells: rest.into(), strong: false }
        });
        let table = MetricTable {
            caption: "PUBLISHED and HONEST protocol".to_owned(),
            columns: SIDE_BY_SIDE.map(str::to_owned).into(),
            rows: rows.collect(),
        };
        report.findings.push(finding(entries));
        report.sections.push(Section {
            heading: "Published and honest results".to_owned(),
            prose: vec!["The same models and the same preparation. A fall from the published to the honest column is mostly memorisation. The honest rows also include the benign rows of attack files, so compare macro F1 rather than accuracy.".to_owned()],
            blocks: vec![Block::Table(table)],
        });
    }
    for (protocol, task, level, of) in groups(entries) {
        let heading = format!("{} | {level} level, {}", protocol.name(), task.name());
        let rows = of.iter().map(|entry| {
            let [label, rest @ ..] = cells(entry);
            MetricRow { label, cells: rest.into(), strong: false }
        });
        let table = MetricTable {
            caption: heading.clone(),
            columns: COLUMNS.map(str::to_owned).into(),
            rows: rows.collect(),
        };
        let mut blocks = Vec::new();
        if protocol.is_published() && protocol != Protocol::Given {
            blocks.push(Block::Caveat(format!("PUBLISHED protocol: {}.", protocol.meaning())));
        }
        blocks.push(Block::Table(table));
        let matrices = of.iter().map(|entry| (entry.model.clone(), entry.confusion.clone())).collect();
        blocks.push(Block::Multiples(Multiples { title: heading.clone(), matrices }));
        let mut prose = vec![format!("{}.", protocol.meaning())];
        prose.extend(notes(&of));
        prose.extend(of.iter().filter_map(|entry| reference(entry)));
        report.sections.push(Section { heading, prose, blocks });
    }
    report.provenance.push(("program".to_owned(), format!("citronella {}", env!("CARGO_PKG_VERSION"))));
    report.provenance.push(("seed".to_owned(), seed.to_string()));
    report.provenance.push(("threads".to_owned(), threads.to_string()));
    for line in data.summary() {
        report.provenance.push(("rows".to_owned(), line));
    }
    report
}

/// The median loss from published to honest, in a sentence.
fn finding(entries: &[Entry]) -> String {
    let mut drops = Vec::new();
    for honest in entries.iter().filter(|e| e.protocol == Protocol::Recordings) {
        let published = entries.iter().find(|e| {
            e.protocol == Protocol::Folds
                && e.model == honest.model
                && e.level == honest.level
                && e.task == honest.task
        });
        if let (Some(published), Some(honest)) = (published.and_then(|e| e.macro_f1), honest.macro_f1) {
            drops.push(published - honest);
        }
    }
    drops.sort_by(f64::total_cmp);
    match drops.get(drops.len() / 2) {
        Some(median) => format!(
            "From the published k-fold to unseen recordings, half of {} models and levels lose {:.3} of macro F1 or more.",
            drops.len(),
            median
        ),
        None => "The HONEST tables have the results on unseen recordings.".to_owned(),
    }
}

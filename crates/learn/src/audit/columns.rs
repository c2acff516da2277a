//! What single columns score: shortcuts such as time, order, addresses, ports, the link layer, or the label under another
//! name.

use super::{
    Rows,
    finding::{FATAL, Finding, LABEL, Severity, by_skill, percent},
    power::{Groups, Power, Target, by_column, by_nearest},
    role::Role,
};
use crate::prepare::Split;

/// A column and what it scores alone.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ColumnPower {
    /// The column; a name in brackets is a property of a row that is not a column.
    pub name: String,
    /// What it describes.
    pub role: Role,
    /// What it scores alone on held-out rows.
    #[serde(flatten)]
    pub power: Power,
}

/// The row's position in the data.
const ORDER: &str = "(row number)";
/// The link layer of the capture.
const LINK: &str = "(link layer)";

/// The power of each column alone, strongest first.
pub(super) fn columns(rows: &Rows, split: &Split) -> Vec<ColumnPower> {
    let mut all = Vec::new();
    for column in &rows.columns {
        let value = |row: usize| column.values.get(row).copied().unwrap_or(f64::NAN);
        let is_index = is_index(rows, &column.values);
        let role = if column.role == Role::Feature && is_index { Role::Index } else { column.role };
        let power = match role {
            Role::Time | Role::Index if !column.nominal => by_nearest(rows, split, value),
            _ => by_column(rows, split, &column.values, column.nominal),
        };
        all.push(ColumnPower { name: column.name.clone(), role, power });
    }
    if !rows.has_own_test() {
        let power = by_nearest(rows, split, |row| rows.position.get(row).copied().unwrap_or_default() as f64);
        all.push(ColumnPower { name: ORDER.into(), role: Role::Index, power });
    }
    if rows.files.iter().any(|file| file.link.is_some()) {
        let link =
            |row: u32| rows.file.get(row as usize).and_then(|file| rows.files.get(*file as usize)?.link);
        let target = Target::of(rows);
        let groups = Groups::by_key(&target, (split.train(), split.test()), link);
        let power = groups.power(&target, split.test());
        all.push(ColumnPower { name: LINK.into(), role: Role::Address, power });
    }
    all.sort_by(|a, b| b.power.strongest().total_cmp(&a.power.strongest()));
    all
}

/// Whether a column rises with the row number: an index or a time under another name.
fn is_index(rows: &Rows, values: &[f64]) -> bool {
    let mut rising = 0usize;
    let mut distinct = 0usize;
    for (pair, files) in values.windows(2).zip(rows.file.windows(2)) {
        if let ([a, b], true) = (pair, files.first() == files.last()) {
            rising += usize::from(b > a);
            distinct += usize::from(b != a || a.is_nan());
        }
    }
    // At most one pair in a thousand may fall; of shuffled numbers half do.
    rows.len() > 100 && rising as f64 > 0.999 * distinct as f64 && distinct * 10 > rows.len() * 9
}

/// Findings on columns. `features`: what all features score together.
pub(super) fn findings(columns: &[ColumnPower], features: Power) -> Vec<Finding> {
    let mut all: Vec<Finding> = columns.iter().filter_map(|column| finding(column, features)).collect();
    all.extend(strong_features(columns));
    all
}

/// One finding on all features that predict nearly everything alone.
fn strong_features(columns: &[ColumnPower]) -> Option<Finding> {
    let strong = |column: &&ColumnPower| {
        column.role == Role::Feature && (FATAL..LABEL).contains(&column.power.strongest())
    };
    let strong: Vec<&ColumnPower> = columns.iter().filter(strong).collect();
    let first = strong.first()?;
    let names: Vec<String> = strong
        .iter()
        .map(|column| format!("{} ({})", column.name, percent(column.power.strongest())))
        .collect();
    Some(Finding {
        severity: Severity::Warning,
        check: "column",
        column: Some(first.name.clone()),
        figure: first.power.strongest(),
        text: format!("One rule on one column predicts nearly all held-out rows: {}.", names.join(", ")),
        advice: "Find out whether the attack causes it, or the laboratory; report that rule next to a model."
            .to_owned(),
    })
}

fn finding(column: &ColumnPower, features: Power) -> Option<Finding> {
    let ColumnPower { name, role, power } = column;
    let strongest = power.strongest();
    let kind = match power.attack_skill {
        Some(attack) if attack > power.skill => "attack against normal",
        _ => "the class",
    };
    let scores = format!(
        "predicts {kind} with a skill of {} (accuracy {}) on held-out rows",
        percent(strongest),
        percent(power.accuracy)
    );
    let (check, severity, text, advice) = match role {
        _ if name == ORDER => (
            "order",
            // A model reads it only through the split or an index column.
            by_skill(strongest).map(|severity| severity.max(Severity::Warning)),
            format!("The rows are sorted by class: the row number {scores}."),
            "Shuffle before you split or validate, and drop any index column; or split by time.",
        ),
        _ if name == LINK => (
            "link_layer",
            by_skill(strongest),
            format!(
                "The link layer of the capture (Ethernet, Linux cooked, ...) {scores}: it identifies the recording machine, not the traffic."
            ),
            "Use no frame length, header offset or address type as a feature; record all classes with the same tool and interface.",
        ),
        Role::Time => (
            "time",
            // A model will rely on a time that predicts more than all features together.
            by_skill(strongest).map(|severity| match severity {
                Severity::Warning if power.skill > features.skill => Severity::Fatal,
                severity => severity,
            }),
            format!(
                "{name} alone {scores}, by the nearest training row in time: the classes were recorded one after another. A model that reads {name} learns when each recording ran, and fails on any other."
            ),
            "Leave it out, and everything derived from it; test on a recording made at another time.",
        ),
        Role::Index => (
            "order",
            by_skill(strongest),
            format!("{name} counts the rows and {scores}: it is the order of the file, not traffic."),
            "Leave it out.",
        ),
        Role::Address => (
            "address",
            by_skill(strongest),
            format!("{name} alone {scores}: a model that reads it learns the laboratory's addresses."),
            "Leave addresses out; they differ in any other network.",
        ),
        Role::Port => (
            "port",
            by_skill(strongest),
            format!(
                "{name} alone {scores}: a score with it measures which services were attacked as much as the attacks."
            ),
            "Leave raw port numbers out, or map them to kinds of service.",
        ),
        Role::Feature => (
            "column",
            (strongest >= LABEL).then_some(Severity::Fatal),
            format!(
                "{name} alone {scores}: it is the label under another name, or an artefact of how the data was made."
            ),
            "Leave it out.",
        ),
    };
    let severity = severity?;
    Some(Finding {
        severity,
        check,
        column: (!name.starts_with('(')).then(|| name.clone()),
        figure: strongest,
        text,
        advice: advice.to_owned(),
    })
}

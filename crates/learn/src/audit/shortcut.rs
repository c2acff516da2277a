//! What gives classes away without saying what happened: time, order, addresses, ports, the link layer, a label under
//! another name.

use super::{
    Rows,
    finding::{FATAL, Finding, LABEL, Severity, by_skill, percent},
    power::{Groups, Power, Split, by_column, by_nearest},
    role::Role,
};

/// A column and what it scores alone.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ColumnPower {
    /// The column; what stands in brackets is no column but where a row lies.
    pub name: String,
    /// What it says.
    pub role: Role,
    /// What it scores alone, on rows that were held out.
    #[serde(flatten)]
    pub power: Power,
}

/// The name of the row's place in the data, which is no column.
const ORDER: &str = "(row number)";
/// The name of the link layer, which is no column.
const LINK: &str = "(link layer)";

/// Each column's power alone, strongest first.
pub(super) fn columns(rows: &Rows, split: &Split) -> Vec<ColumnPower> {
    let mut all = Vec::new();
    for column in &rows.columns {
        let value = |row: usize| column.values.get(row).copied().unwrap_or(f64::NAN);
        let counts_rows = counts_rows(rows, &column.values);
        let role = if column.role == Role::Feature && counts_rows { Role::Index } else { column.role };
        let power = match role {
            Role::Time | Role::Index if !column.nominal => by_nearest(rows, split, value),
            _ => by_column(rows, split, &column.values, column.nominal),
        };
        all.push(ColumnPower { name: column.name.clone(), role, power });
    }
    if !rows.has_own_test() {
        let power = by_nearest(rows, split, |row| rows.place.get(row).copied().unwrap_or_default() as f64);
        all.push(ColumnPower { name: ORDER.into(), role: Role::Index, power });
    }
    if rows.files.iter().any(|file| file.link.is_some()) {
        let link = |row: usize| rows.file.get(row).and_then(|file| rows.files.get(*file as usize)?.link);
        let groups = Groups::by_key(&rows.truth, rows.classes.len(), split, link);
        let power = groups.power(&rows.truth, rows.classes.len(), rows.normal(), split);
        all.push(ColumnPower { name: LINK.into(), role: Role::Address, power });
    }
    all.sort_by(|a, b| b.power.strongest().total_cmp(&a.power.strongest()));
    all
}

/// Whether a column rises with the row number: an index or a clock under another name.
fn counts_rows(rows: &Rows, values: &[f64]) -> bool {
    let mut rising = 0usize;
    let mut distinct = 0usize;
    for (pair, places) in values.windows(2).zip(rows.file.windows(2)) {
        if let ([a, b], true) = (pair, places.first() == places.last()) {
            rising += usize::from(b > a);
            distinct += usize::from(b != a || a.is_nan());
        }
    }
    // Of a thousand neighbours at most one may fall back; shuffled numbers rise half the time.
    rows.len() > 100 && rising as f64 > 0.999 * distinct as f64 && distinct * 10 > rows.len() * 9
}

/// Findings on columns. `features`: what all features together score.
pub(super) fn findings(columns: &[ColumnPower], features: Power) -> Vec<Finding> {
    let mut all: Vec<Finding> = columns.iter().filter_map(|column| finding(column, features)).collect();
    all.extend(strong_features(columns));
    all
}

/// Features that do nearly all of the work alone, in one finding.
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
        text: format!(
            "One rule on one column does nearly all of the work, on rows that were held out: {}.",
            names.join(", ")
        ),
        advice: "Find out whether the attack causes it, or the laboratory; report that rule beside a model."
            .to_owned(),
    })
}

fn finding(column: &ColumnPower, features: Power) -> Option<Finding> {
    let ColumnPower { name, role, power } = column;
    let strongest = power.strongest();
    let kind = match power.attack_skill {
        Some(attack) if attack > power.skill => "attack and normal apart",
        _ => "the classes apart",
    };
    let scores = format!(
        "tells {kind} with a skill of {} (accuracy {}) on rows that were held out",
        percent(strongest),
        percent(power.accuracy)
    );
    let (check, severity, text, advice) = match role {
        _ if name == ORDER => (
            "order",
            // A model does not read it unless the split or an index column lets it in.
            by_skill(strongest).map(|severity| severity.max(Severity::Warning)),
            format!("The rows stand in the order of their classes: the row number {scores}."),
            "Shuffle before you split or validate, and drop any index column. A split by time keeps what a random one gives away.",
        ),
        _ if name == LINK => (
            "link_layer",
            by_skill(strongest),
            format!(
                "The link layer of the capture (Ethernet, Linux cooked, ...) {scores}: it says which machine recorded, not what happened."
            ),
            "Let no frame length, header offset or address type become a feature; record all classes with the same tool and interface.",
        ),
        Role::Time => (
            "time",
            // A clock that says more than all features together is what a model will read.
            by_skill(strongest).map(|severity| match severity {
                Severity::Warning if power.skill > features.skill => Severity::Fatal,
                severity => severity,
            }),
            format!(
                "{name} alone {scores}, by looking up the nearest training row in time: the classes were recorded one after another. A model that reads {name} learns when each recording ran, and fails on any other."
            ),
            "Leave it out, and whatever is made of it in whole seconds; test on a recording made at another time.",
        ),
        Role::Index => (
            "order",
            by_skill(strongest),
            format!("{name} counts the rows and {scores}: it is the file's order, not traffic."),
            "Leave it out.",
        ),
        Role::Address => (
            "address",
            by_skill(strongest),
            format!("{name} alone {scores}: a model that reads it learns the laboratory's addresses."),
            "Leave addresses out; another network has others.",
        ),
        Role::Port => (
            "port",
            by_skill(strongest),
            format!(
                "{name} alone {scores}: a score with it says as much about which services were attacked as about attacks."
            ),
            "Leave raw port numbers out, or use a coarse kind of service.",
        ),
        Role::Feature => (
            "column",
            (strongest >= LABEL).then_some(Severity::Fatal),
            format!(
                "{name} alone {scores}: it is the label in other words, or an artefact of how the data was made."
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

//! What a capture or a recording gives away: its benign traffic, its classes, and how far a score carries beyond it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Rows,
    finding::{BYSTANDERS, CAPTURE, FALL, Finding, SMALL_FALL, Severity, WARNING, percent},
    power::{Power, Split},
    role::Role,
    tree,
};
use crate::dataset::LabelRule;

/// What a tree over several columns scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Trees {
    /// Over all columns, on a split of the training rows by chance.
    pub all: Power,
    /// Over features alone.
    pub features: Power,
    /// Over features alone, where the classes of the training and test rows were shuffled: the highest of three.
    pub shuffled: Power,
    /// Over all columns, each recording left out in turn: the mean; or on the data set's own test. `None` for one
    /// recording.
    pub unseen_all: Option<Power>,
    /// Over features alone, likewise.
    pub unseen_features: Option<Power>,
    /// Benign rows of one capture told from those of another of the same recording, over features alone: the highest.
    pub benign_captures: Option<Power>,
}

/// Rows of a capture from which on its benign rows are compared.
const BENIGN_ROWS: usize = 50;
/// Recordings that are left out at most.
const MOST_FOLDS: usize = 8;
/// Captures of one recording that are told apart at most.
const MOST_CAPTURES: usize = 16;

/// Trains and scores the trees.
pub(super) fn trees(rows: &Rows, split: &Split, seed: u64) -> Trees {
    let all: Vec<&[f64]> = rows.columns.iter().map(|column| column.values.as_slice()).collect();
    let features: Vec<&[f64]> = rows
        .columns
        .iter()
        .filter(|column| column.role == Role::Feature)
        .map(|column| column.values.as_slice())
        .collect();
    let (classes, normal) = (rows.classes.len(), rows.normal());
    let score =
        |columns: &[&[f64]], split: &Split| tree::power(rows, columns, &rows.truth, classes, normal, split);
    // Where the set keeps its own test apart, chance splits its training rows.
    let own_test = rows.has_own_test();
    let by_chance = if own_test { Split::by_chance(&rows.truth, &split.train, seed) } else { split.clone() };
    let shuffled = (0..3).map(|n| {
        let truth = shuffled(&rows.truth, seed.wrapping_add(n));
        tree::power(rows, &features, &truth, classes, normal, &by_chance)
    });
    let unseen = |columns: &[&[f64]]| match own_test {
        true => Some(score(columns, split)),
        false => unseen(rows, &|split| score(columns, split)),
    };
    Trees {
        all: score(&all, &by_chance),
        features: score(&features, &by_chance),
        shuffled: shuffled.fold(Power::default(), |most, p| if p.skill > most.skill { p } else { most }),
        unseen_all: unseen(&all),
        unseen_features: unseen(&features),
        benign_captures: benign_captures(rows, &features, seed),
    }
}

fn shuffled(truth: &[u32], seed: u64) -> Vec<u32> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut truth = truth.to_vec();
    for last in (1..truth.len()).rev() {
        truth.swap(last, rng.random_range(0..=last));
    }
    truth
}

/// The mean over recordings left out.
fn unseen(rows: &Rows, score: &dyn Fn(&Split) -> Power) -> Option<Power> {
    let recordings: BTreeSet<&str> = rows.files.iter().map(|file| file.recording.as_str()).collect();
    if recordings.len() < 2 {
        return None;
    }
    let recording = |row: &usize| rows.file.get(*row).and_then(|file| rows.files.get(*file as usize));
    let classes_of = |rows_of: &[usize]| -> BTreeSet<u32> {
        rows_of.iter().filter_map(|row| rows.truth.get(*row).copied()).collect()
    };
    let mut found = Vec::new();
    for held in recordings.into_iter().take(MOST_FOLDS) {
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|row| recording(row).is_some_and(|file| file.recording == held));
        // A recording of one class, or with classes of its own, is no test of a detector.
        let (known, asked) = (classes_of(&train), classes_of(&test));
        if asked.len() >= 2 && asked.is_subset(&known) {
            found.push(score(&Split { train, test }));
        }
    }
    let mean = |of: &dyn Fn(&Power) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
    let attack = found.iter().all(|power| power.attack_skill.is_some());
    (!found.is_empty()).then(|| Power {
        accuracy: mean(&|power| power.accuracy),
        skill: mean(&|power| power.skill),
        attack_skill: attack.then(|| mean(&|power| power.attack_skill.unwrap_or_default())),
    })
}

/// Can a tree tell benign rows of one capture from benign rows of another of the same recording?
fn benign_captures(rows: &Rows, features: &[&[f64]], seed: u64) -> Option<Power> {
    let normal = rows.normal();
    let is_benign = |row: usize| match rows.is_attack.get(row).copied().flatten() {
        Some(is_attack) => !is_attack,
        None => normal.is_some() && rows.truth.get(row).copied() == normal,
    };
    let mut benign: BTreeMap<&str, BTreeMap<u32, Vec<usize>>> = BTreeMap::new();
    for row in (0..rows.len()).filter(|row| is_benign(*row)) {
        let file = rows.file.get(row).copied().unwrap_or_default();
        let Some(recording) = rows.files.get(file as usize) else { continue };
        benign.entry(&recording.recording).or_default().entry(file).or_default().push(row);
    }
    let mut found: Option<Power> = None;
    for captures in benign.into_values().take(MOST_FOLDS) {
        let captures = captures.into_values().filter(|rows| rows.len() >= BENIGN_ROWS).take(MOST_CAPTURES);
        let captures: Vec<Vec<usize>> = captures.collect();
        if captures.len() < 2 {
            continue;
        }
        let mut truth = vec![0u32; rows.len()];
        for (number, capture) in (0..).zip(&captures) {
            for &row in capture {
                truth.get_mut(row).into_iter().for_each(|class| *class = number);
            }
        }
        let split = Split::by_chance(&truth, &captures.concat(), seed);
        let power = tree::power(rows, features, &truth, captures.len(), None, &split);
        found = found.filter(|most| most.skill >= power.skill).or(Some(power));
    }
    found
}

/// Findings on what trees score.
pub(super) fn tree_findings(trees: &Trees, labels: LabelRule, own_test: bool) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut add = |severity, check, figure: f64, text: String, advice: &str| {
        all.push(Finding { severity, check, column: None, figure, text, advice: advice.to_owned() });
    };
    if let Some(unseen) = trees.unseen_all {
        // Classes that only the own test has cannot be called by name: there attack or not is what can be asked.
        let of = |power: Power| {
            if own_test { power.attack_skill.unwrap_or(power.skill) } else { power.skill }.max(0.0)
        };
        let (where_to, fall) = match own_test {
            true => ("the set's own test rows, where attack or not was asked", of(trees.all) - of(unseen)),
            false => ("recordings that it has not seen", of(trees.all) - of(unseen)),
        };
        let kept = trees.unseen_features.map_or(String::new(), |features| {
            let (seen, unseen) = (percent(of(trees.features)), percent(of(features)));
            format!(" Features alone, without time, addresses and ports, go from {seen} to {unseen}.")
        });
        let severity = match fall {
            fall if fall >= FALL && !own_test => Severity::Fatal,
            fall if fall >= SMALL_FALL => Severity::Warning,
            _ => Severity::Note,
        };
        let falls = fall >= SMALL_FALL;
        let verdict = if falls { "The random split flatters: a" } else { "The score carries over: a" };
        add(
            severity,
            "unseen_recording",
            fall.max(0.0),
            format!(
                "{verdict} decision tree over all columns has a skill of {} on a random split and of {} on {where_to}.{kept}",
                percent(of(trees.all)),
                percent(of(unseen))
            ),
            match (falls, own_test) {
                (false, _) => "",
                (true, true) => "Report scores on the set's own test.",
                (true, false) => "Report scores on whole recordings that were left out of training.",
            },
        );
    }
    if let Some(power) = trees.benign_captures {
        let severity = match power.skill {
            skill if skill >= CAPTURE && labels == LabelRule::File => Severity::Fatal,
            skill if skill >= WARNING => Severity::Warning,
            _ => Severity::Note,
        };
        add(
            severity,
            "benign_in_attack",
            power.skill.max(0.0),
            format!(
                "Benign rows of one capture can be told from benign rows of another by their features with a skill of {}: {}",
                percent(power.skill.max(0.0)),
                if power.skill >= WARNING {
                    "a model may learn which capture a row comes from in place of the attack."
                } else {
                    "captures are alike where nobody attacks."
                }
            ),
            if power.skill >= WARNING {
                "Keep benign rows of attack captures as benign, and see that they stay benign in the test."
            } else {
                ""
            },
        );
    }
    let noise = trees.shuffled.skill;
    add(
        if noise >= 0.1 { Severity::Warning } else { Severity::Note },
        "shuffled_labels",
        noise.max(0.0),
        format!(
            "With shuffled labels the same tree has a skill of {}, with the true ones {}: {}",
            percent(noise.max(0.0)),
            percent(trees.features.skill.max(0.0)),
            if noise >= 0.1 {
                "too few rows to tell chance from skill."
            } else {
                "the split itself leaks nothing."
            }
        ),
        if noise >= 0.1 { "Get more rows of the rare classes." } else { "" },
    );
    all
}

/// Findings on which file holds which class.
pub(super) fn file_findings(rows: &Rows, labels: LabelRule) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut classes_of = vec![BTreeSet::new(); rows.files.len()];
    let mut files_of = vec![BTreeSet::new(); rows.classes.len()];
    let (mut called, mut bystanders) = (0u64, 0u64);
    for ((&file, &class), is_attack) in rows.file.iter().zip(&rows.truth).zip(&rows.is_attack) {
        classes_of.get_mut(file as usize).into_iter().for_each(|classes| {
            classes.insert(class);
        });
        files_of.get_mut(class as usize).into_iter().for_each(|files| {
            files.insert(file);
        });
        if Some(class) != rows.normal() {
            called += 1;
            bystanders += u64::from(*is_attack == Some(false));
        }
    }
    let mut add = |severity, check, figure: f64, text: String, advice: &str| {
        all.push(Finding { severity, check, column: None, figure, text, advice: advice.to_owned() });
    };
    let share = bystanders as f64 / called.max(1) as f64;
    if bystanders > 0 {
        add(
            if share >= BYSTANDERS { Severity::Fatal } else { Severity::Warning },
            "bystanders",
            share,
            format!(
                "{} of the rows that are called an attack were neither sent nor received by the attacker: they are benign traffic that was recorded while an attack ran elsewhere.",
                percent(share)
            ),
            "Label rows by who takes part (--labels attacker).",
        );
    }
    let own_test = rows.has_own_test();
    let pure = classes_of.iter().filter(|classes| classes.len() == 1).count();
    if rows.files.len() >= 2 && pure == rows.files.len() && !own_test {
        let single = files_of.iter().all(|files| files.len() == 1);
        add(
            if single { Severity::Fatal } else { Severity::Warning },
            "capture",
            1.0,
            format!(
                "No file holds two classes{}: whatever differs between the files (date, network, machine, link layer) tells the classes apart as well as the attack does.",
                if single { ", and each class comes from one file only" } else { "" }
            ),
            if labels == LabelRule::File {
                "Label rows by who takes part, so that benign rows of attack captures stay benign; test on other recordings."
            } else {
                "Record benign traffic and attacks in the same captures, and several captures of each class."
            },
        );
    }
    let recordings: BTreeSet<&str> = rows.files.iter().map(|file| file.recording.as_str()).collect();
    if recordings.len() == 1 && !own_test {
        add(
            Severity::Note,
            "recordings",
            0.0,
            "All rows come from one recording: nothing here can say how a model does on another.".into(),
            "Give a second recording.",
        );
    }
    if own_test {
        let is_test = |file: &u32| *file as usize >= rows.first_test_file;
        let (train, test) = rows.files.split_at(rows.first_test_file);
        let occurs =
            |files: &[super::File], class: &String| files.iter().any(|file| file.classes.contains(class));
        let of_test: BTreeSet<&String> = test.iter().flat_map(|file| &file.classes).collect();
        let new: Vec<&str> =
            of_test.into_iter().filter(|class| !occurs(train, class)).map(String::as_str).collect();
        if !new.is_empty() {
            let rows_of = |class: &&u32| {
                rows.classes.get(**class as usize).is_some_and(|name| new.contains(&name.as_str()))
            };
            let test = rows.file.iter().filter(|file| is_test(file)).count();
            let share = rows.truth.iter().filter(|class| rows_of(class)).count() as f64 / test.max(1) as f64;
            add(
                Severity::Note,
                "new_classes",
                share,
                format!(
                    "{} classes of the test ({} of its rows) do not occur in training: {}.",
                    new.len(),
                    percent(share),
                    new.join(", ")
                ),
                "Report them apart: no classifier can call them by name.",
            );
        }
    }
    let counts = rows.counts();
    let few: Vec<String> = rows
        .classes
        .iter()
        .zip(&counts)
        .filter(|(_, count)| **count < 50)
        .map(|(class, count)| format!("{class} ({count})"))
        .collect();
    if !few.is_empty() {
        add(
            Severity::Note,
            "few_rows",
            0.0,
            format!("Too few rows for a figure of their own: {}.", few.join(", ")),
            "",
        );
    }
    all
}

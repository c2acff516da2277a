//! What a decision tree scores: on held-out rows, on unseen recordings, on shuffled labels, and at recognising captures
//! by their benign rows.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Rows,
    finding::{CAPTURE, FALL, Finding, SMALL_FALL, Severity, WARNING, percent},
    power::{Power, Target, at_random},
    role::Role,
    tree,
};
use crate::{
    dataset::LabelRule,
    prepare::{Split, Stream, rng, shuffle},
};

/// What trees over several columns score.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Trees {
    /// Over all columns, on a random split of the training rows.
    pub all: Power,
    /// The same, over features alone.
    pub features: Power,
    /// The same, over features alone and with shuffled labels: the highest of three.
    pub shuffled: Power,
    /// Over all columns: the mean over recordings left out in turn, or the score on the data set's own test. `None` for
    /// one recording.
    pub unseen_all: Option<Power>,
    /// The same, over features alone.
    pub unseen_features: Option<Power>,
    /// Benign rows of one capture against those of the others of its recording, over features alone: the highest.
    pub benign_captures: Option<Power>,
}

/// Benign rows of a capture from which it is compared with others.
const MIN_BENIGN_ROWS: usize = 50;
/// Recordings that are left out, at most.
const MAX_FOLDS: usize = 8;
/// Captures of one recording that are compared, at most.
const MAX_CAPTURES: usize = 16;

/// Trains and scores the trees.
pub(super) fn trees(rows: &Rows, split: &Split, seed: u64) -> Trees {
    let all: Vec<&[f64]> = rows.columns.iter().map(|column| column.values.as_slice()).collect();
    let features: Vec<&[f64]> = rows
        .columns
        .iter()
        .filter(|column| column.role == Role::Feature)
        .map(|column| column.values.as_slice())
        .collect();
    let target = Target::of(rows);
    // The random split of a data set with its own test is of the training rows alone.
    let own_test = rows.has_own_test();
    let random = if own_test { at_random(split.train(), &rows.truth, seed) } else { split.clone() };
    let shuffled = (0..3).map(|n| {
        let mut truth = rows.truth.clone();
        shuffle(&mut rng(seed.wrapping_add(n), Stream::Audit), &mut truth);
        tree::power(&features, &Target { truth: &truth, ..target }, &random)
    });
    let unseen = |columns: &[&[f64]]| match own_test {
        true => Some(tree::power(columns, &target, split)),
        false => unseen(rows, &|split| tree::power(columns, &target, split)),
    };
    Trees {
        all: tree::power(&all, &target, &random),
        features: tree::power(&features, &target, &random),
        shuffled: shuffled.fold(Power::default(), |most, p| if p.skill > most.skill { p } else { most }),
        unseen_all: unseen(&all),
        unseen_features: unseen(&features),
        benign_captures: benign_captures(rows, &features, seed),
    }
}

/// The mean over recordings left out in turn. A recording of one class, or with classes of its own, is not judged.
fn unseen(rows: &Rows, score: &dyn Fn(&Split) -> Power) -> Option<Power> {
    let recordings: BTreeSet<&str> = rows.files.iter().map(|file| file.recording.as_str()).collect();
    if recordings.len() < 2 {
        return None;
    }
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let recording = |row: u32| {
        let file = rows.file.get(row as usize).and_then(|file| rows.files.get(*file as usize));
        file.map(|file| file.recording.as_str())
    };
    let classes_of = |of: &[u32]| -> BTreeSet<u32> {
        of.iter().filter_map(|row| rows.truth.get(*row as usize).copied()).collect()
    };
    let mut scores = Vec::new();
    for left_out in recordings.into_iter().take(MAX_FOLDS) {
        let split = Split::by(&all, |row| recording(row) == Some(left_out));
        let (trained, tested) = (classes_of(split.train()), classes_of(split.test()));
        if tested.len() >= 2 && tested.is_subset(&trained) {
            scores.push(score(&split));
        }
    }
    let mean = |of: &dyn Fn(&Power) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
    let attack = scores.iter().all(|power| power.attack_skill.is_some());
    (!scores.is_empty()).then(|| Power {
        accuracy: mean(&|power| power.accuracy),
        skill: mean(&|power| power.skill),
        attack_skill: attack.then(|| mean(&|power| power.attack_skill.unwrap_or_default())),
    })
}

/// How well a tree recognises the captures of a recording by their benign rows: the highest over the recordings.
fn benign_captures(rows: &Rows, features: &[&[f64]], seed: u64) -> Option<Power> {
    let normal = rows.normal();
    let is_benign = |row: usize| match rows.is_attack.get(row).copied().flatten() {
        Some(is_attack) => !is_attack,
        None => normal.is_some() && rows.truth.get(row).copied() == normal,
    };
    let mut benign: BTreeMap<&str, BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
    for row in (0..rows.len()).filter(|row| is_benign(*row)) {
        let number = rows.file.get(row).copied().unwrap_or_default();
        let Some(file) = rows.files.get(number as usize) else { continue };
        benign.entry(&file.recording).or_default().entry(number).or_default().push(row as u32);
    }
    let mut highest: Option<Power> = None;
    for captures in benign.into_values().take(MAX_FOLDS) {
        let captures = captures.into_values().filter(|rows| rows.len() >= MIN_BENIGN_ROWS).take(MAX_CAPTURES);
        let captures: Vec<Vec<u32>> = captures.collect();
        if captures.len() < 2 {
            continue;
        }
        let mut truth = vec![0u32; rows.len()];
        for (number, capture) in (0..).zip(&captures) {
            for &row in capture {
                truth.get_mut(row as usize).into_iter().for_each(|class| *class = number);
            }
        }
        let split = at_random(&captures.concat(), &truth, seed);
        let target = Target { truth: &truth, classes: captures.len(), normal: None };
        let power = tree::power(features, &target, &split);
        highest = highest.filter(|most| most.skill >= power.skill).or(Some(power));
    }
    highest
}

/// Findings on what trees score.
pub(super) fn findings(trees: &Trees, labels: LabelRule, own_test: bool) -> Vec<Finding> {
    let unseen = trees.unseen_all.map(|unseen| unseen_finding(trees, unseen, own_test));
    let captures = trees.benign_captures.map(|power| capture_finding(power, labels));
    unseen.into_iter().chain(captures).chain([shuffled_finding(trees)]).collect()
}

fn unseen_finding(trees: &Trees, unseen: Power, own_test: bool) -> Finding {
    // A data set's own test may have classes that training lacks: there attack against normal counts.
    let skill = |power: Power| {
        if own_test { power.attack_skill.unwrap_or(power.skill) } else { power.skill }.max(0.0)
    };
    let fall = skill(trees.all) - skill(unseen);
    let test = match own_test {
        true => "the data set's own test rows (attack against normal)",
        false => "recordings that it has not seen",
    };
    let features = trees.unseen_features.map_or(String::new(), |unseen| {
        let (seen, unseen) = (percent(skill(trees.features)), percent(skill(unseen)));
        format!(" With features alone, without time, addresses and ports, it goes from {seen} to {unseen}.")
    });
    let severity = match fall {
        fall if fall >= FALL && !own_test => Severity::Fatal,
        fall if fall >= SMALL_FALL => Severity::Warning,
        _ => Severity::Note,
    };
    let falls = fall >= SMALL_FALL;
    let verdict = if falls { "The random split is too optimistic" } else { "The score generalises" };
    Finding {
        severity,
        check: "unseen_recording",
        column: None,
        figure: fall.max(0.0),
        text: format!(
            "{verdict}: a decision tree over all columns has a skill of {} on a random split and of {} on {test}.{features}",
            percent(skill(trees.all)),
            percent(skill(unseen))
        ),
        advice: match (falls, own_test) {
            (false, _) => "",
            (true, true) => "Report scores on the data set's own test.",
            (true, false) => "Report scores on whole recordings that were left out of training.",
        }
        .to_owned(),
    }
}

fn capture_finding(power: Power, labels: LabelRule) -> Finding {
    let skill = power.skill.max(0.0);
    let (meaning, advice) = if skill >= WARNING {
        (
            "a model may learn which capture a row comes from instead of the attack.",
            "Keep benign rows of attack captures as benign, and check that they stay benign in the test.",
        )
    } else {
        ("benign traffic is alike in all captures.", "")
    };
    Finding {
        severity: match skill {
            skill if skill >= CAPTURE && labels == LabelRule::File => Severity::Fatal,
            skill if skill >= WARNING => Severity::Warning,
            _ => Severity::Note,
        },
        check: "benign_in_attack",
        column: None,
        figure: skill,
        text: format!(
            "The features of benign rows identify their capture with a skill of {}: {meaning}",
            percent(skill)
        ),
        advice: advice.to_owned(),
    }
}

fn shuffled_finding(trees: &Trees) -> Finding {
    let noise = trees.shuffled.skill;
    let (severity, meaning, advice) = if noise >= 0.1 {
        (
            Severity::Warning,
            "there are too few rows to distinguish skill from chance.",
            "Get more rows of the rare classes.",
        )
    } else {
        (Severity::Note, "the split itself leaks nothing.", "")
    };
    Finding {
        severity,
        check: "shuffled_labels",
        column: None,
        figure: noise.max(0.0),
        text: format!(
            "With shuffled labels the same tree has a skill of {}, with the true ones {}: {meaning}",
            percent(noise.max(0.0)),
            percent(trees.features.skill.max(0.0)),
        ),
        advice: advice.to_owned(),
    }
}

//! Which file holds which class, and what that makes of a score.

use std::collections::BTreeSet;

use super::{
    Rows,
    finding::{Finding, MISLABELLED, Severity, percent},
    rows::SampledFile,
};
use crate::dataset::LabelRule;

/// Rows of a class below which it gets no figure of its own.
const FEW_ROWS: u64 = 50;

/// Findings on files and classes.
pub(super) fn findings(rows: &Rows, labels: LabelRule) -> Vec<Finding> {
    let all = [
        mislabelled(rows),
        class_per_file(rows, labels),
        single_recording(rows),
        new_classes(rows),
        few_rows(rows),
    ];
    all.into_iter().flatten().collect()
}

fn finding(severity: Severity, check: &'static str, figure: f64, text: String, advice: &str) -> Finding {
    Finding { severity, check, column: None, figure, text, advice: advice.to_owned() }
}

/// Attack rows that the attacker neither sent nor received.
fn mislabelled(rows: &Rows) -> Option<Finding> {
    let is_attack_class = |class: &u32| Some(*class) != rows.normal();
    let attack = rows.truth.iter().filter(|class| is_attack_class(class)).count();
    let labelled = rows.truth.iter().zip(&rows.is_attack);
    let benign = labelled.filter(|(class, is_attack)| is_attack_class(class) && **is_attack == Some(false));
    let benign = benign.count();
    let share = benign as f64 / attack.max(1) as f64;
    let severity = if share >= MISLABELLED { Severity::Fatal } else { Severity::Warning };
    let text = format!(
        "{} of the rows labelled as an attack were neither sent nor received by the attacker: they are benign traffic that was recorded during an attack on other hosts.",
        percent(share)
    );
    let advice = "Label rows by their endpoints (--labels attacker).";
    (benign > 0).then(|| finding(severity, "mislabelled_benign", share, text, advice))
}

/// Files of one class each.
fn class_per_file(rows: &Rows, labels: LabelRule) -> Option<Finding> {
    let mut classes_of = vec![BTreeSet::new(); rows.files.len()];
    let mut files_of = vec![BTreeSet::new(); rows.classes.len()];
    for (&file, &class) in rows.file.iter().zip(&rows.truth) {
        classes_of.get_mut(file as usize).into_iter().for_each(|classes| {
            classes.insert(class);
        });
        files_of.get_mut(class as usize).into_iter().for_each(|files| {
            files.insert(file);
        });
    }
    let is_pure = classes_of.iter().all(|classes| classes.len() == 1);
    if rows.files.len() < 2 || !is_pure || rows.has_own_test() {
        return None;
    }
    let is_single = files_of.iter().all(|files| files.len() == 1);
    let text = format!(
        "No file holds two classes{}: whatever differs between the files (date, network, machine, link layer) predicts the class as well as the attack does.",
        if is_single { ", and each class comes from one file only" } else { "" }
    );
    let advice = match labels {
        LabelRule::File => {
            "Label rows by their endpoints, so that benign rows of attack captures stay benign; test on other recordings."
        }
        LabelRule::Attacker => {
            "Record benign traffic and attacks in the same captures, and several captures of each class."
        }
    };
    let severity = if is_single { Severity::Fatal } else { Severity::Warning };
    Some(finding(severity, "class_per_file", 1.0, text, advice))
}

fn single_recording(rows: &Rows) -> Option<Finding> {
    let recordings: BTreeSet<&str> = rows.files.iter().map(|file| file.recording.as_str()).collect();
    let text = "All rows come from one recording: the data cannot show how a model does on another.";
    (recordings.len() == 1 && !rows.has_own_test())
        .then(|| finding(Severity::Note, "single_recording", 0.0, text.into(), "Give a second recording."))
}

/// Classes of the data set's own test that training lacks.
fn new_classes(rows: &Rows) -> Option<Finding> {
    if !rows.has_own_test() {
        return None;
    }
    let (train, test) = rows.files.split_at(rows.first_test_file);
    let occurs =
        |files: &[SampledFile], class: &String| files.iter().any(|file| file.classes.contains(class));
    let of_test: BTreeSet<&String> = test.iter().flat_map(|file| &file.classes).collect();
    let new: Vec<&str> =
        of_test.into_iter().filter(|class| !occurs(train, class)).map(String::as_str).collect();
    if new.is_empty() {
        return None;
    }
    let is_new =
        |class: &&u32| rows.classes.get(**class as usize).is_some_and(|name| new.contains(&name.as_str()));
    let test_rows = rows.file.iter().filter(|file| **file as usize >= rows.first_test_file).count();
    let share = rows.truth.iter().filter(is_new).count() as f64 / test_rows.max(1) as f64;
    let text = format!(
        "{} classes of the test ({} of its rows) do not occur in training: {}.",
        new.len(),
        percent(share),
        new.join(", ")
    );
    let advice = "Report them separately: no classifier can predict a class that it was not trained on.";
    Some(finding(Severity::Note, "new_classes", share, text, advice))
}

fn few_rows(rows: &Rows) -> Option<Finding> {
    let few: Vec<String> = rows
        .classes
        .iter()
        .zip(&rows.counts())
        .filter(|(_, count)| **count < FEW_ROWS)
        .map(|(class, count)| format!("{class} ({count})"))
        .collect();
    let text = format!("Too few rows for figures of their own: {}.", few.join(", "));
    (!few.is_empty()).then(|| finding(Severity::Note, "few_rows", 0.0, text, ""))
}

//! Trees and forests on the committed recordings.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

mod support;

use citronella_learn::{
    dataset::{LabelRule, LoadOptions, load},
    prepare::{Rows, Split, SplitBy, SplitPlan},
    zoo::{DecisionTree, Fitted, Method, RandomForest, distinct_rows, tabular_steps},
};
use citronella_sensor::feature::schema::Level;

fn accuracy(scores: &[f32], truth: &[u32], classes: usize) -> f64 {
    let top = |row: &[f32]| (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    let right = scores.chunks_exact(classes).zip(truth).filter(|(row, y)| top(row) == **y as usize).count();
    right as f64 / truth.len() as f64
}

#[test]
fn trees_on_biflows_detect_attacks_on_a_random_split_and_on_an_unseen_recording() {
    let (Some(run_1), Some(run_2)) = (support::lab("run-1"), support::lab("run-2")) else { return };
    let table =
        load(&[run_1, run_2], &LoadOptions { level: Level::Biflow, ..LoadOptions::default() }).unwrap();
    let labels = table.labels(LabelRule::Attacker).unwrap();
    let steps = tabular_steps(Level::Biflow);
    let all = Rows::complete(&table, &[], None).unwrap().used;
    let rows = distinct_rows(&table, &all, &steps);
    assert!(rows.len() > 5_000 && rows.len() <= all.len());
    let of = |by: SplitBy, method: &dyn Method| {
        let plan = SplitPlan { by, test: 0.25, validation: 0.0, seed: 42 };
        let split = Split::new(&table, &rows, &labels, &plan).unwrap();
        let fold = split.train_fold(&table, &labels);
        let model = Fitted::on(method, &fold, &steps, 1).unwrap();
        let scores = model.scores(&table, split.test(), 2);
        let again = Fitted::on(method, &fold, &steps, 2).unwrap().scores(&table, split.test(), 1);
        assert_eq!(scores, again, "any number of threads");
        let truth: Vec<u32> = split.test().iter().map(|&row| labels.of_row[row as usize]).collect();
        accuracy(&scores, &truth, labels.classes.len())
    };
    let forest = RandomForest { trees: 10, seed: 42 };
    let random = of(SplitBy::Random, &forest);
    assert!(random > 0.97, "{random}");
    assert!(of(SplitBy::Random, &DecisionTree { seed: 42 }) > 0.96);
    let unseen = of(SplitBy::Recording { leave_out: vec!["run-2".into()] }, &forest);
    assert!(unseen > 0.9, "{unseen}");
}

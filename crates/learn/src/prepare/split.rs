//! Training, validation and test rows.

use rand_chacha::ChaCha8Rng;

use super::{
    PrepareError, TrainFold,
    random::{Stream, rng, shuffle},
};
use crate::dataset::{Labels, Table};

/// How training and test rows are separated.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum SplitBy {
    /// At random, stratified by class, as in the papers. Rows of one conversation are in training and test.
    Random,
    /// Stratified random k-fold cross-validation. Rows of one conversation are in training and test.
    Fold {
        /// The fold that is the test, from 0.
        fold: u32,
        /// The number of folds.
        of: u32,
    },
    /// By capture: of each scenario with several captures, a share is the test.
    Capture,
    /// By recording: the named ones are the test.
    Recording {
        /// Recordings to leave out of training.
        leave_out: Vec<String>,
    },
    /// By time: the last rows of each capture are the test, those before them the validation.
    Time,
}

impl SplitBy {
    /// Its name in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            SplitBy::Random | SplitBy::Fold { .. } => "chance",
            SplitBy::Capture => "capture",
            SplitBy::Recording { .. } => "recording",
            SplitBy::Time => "time",
        }
    }
}

/// The parameters of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitPlan {
    /// How the parts are separated.
    pub by: SplitBy,
    /// Share of all rows (captures, for [`SplitBy::Capture`]) that is the test; unused by [`SplitBy::Recording`] and
    /// [`SplitBy::Fold`].
    pub test: f64,
    /// Share of the other rows that is the validation: random and stratified, except for [`SplitBy::Time`].
    pub validation: f64,
    /// Seed of random choices.
    pub seed: u64,
}

/// Rows in three disjoint, ascending parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    train: Vec<u32>,
    validation: Vec<u32>,
    test: Vec<u32>,
}

impl Split {
    /// Splits `rows` of a table.
    ///
    /// # Errors
    /// A share is not between 0 and 1, a recording does not exist, or training or test is left without rows.
    pub fn new(
        table: &Table,
        rows: &[u32],
        labels: &Labels,
        plan: &SplitPlan,
    ) -> Result<Split, PrepareError> {
        for (share, part) in [(plan.test, "the test"), (plan.validation, "the validation")] {
            if !(0.0..1.0).contains(&share) {
                return Err(PrepareError::Share { share: share.to_string(), part });
            }
        }
        let (rest, test) = match &plan.by {
            SplitBy::Random => stratified(
                rows,
                (&labels.of_row, labels.classes.len()),
                TestShare::Nearest(plan.test),
                &mut rng(plan.seed, Stream::TestSplit),
            ),
            SplitBy::Fold { fold, of } => folds(rows, labels, *fold, *of, plan.seed),
            SplitBy::Capture => {
                let captures = captures_to_test(table, plan);
                rows.iter().partition(|&&row| !captures.contains(&table.source_of(row as usize)))
            }
            SplitBy::Recording { leave_out } => {
                check_recordings(table, leave_out)?;
                rows.iter().partition(|&&row| {
                    let source = table.sources().get(table.source_of(row as usize));
                    source.is_none_or(|source| !leave_out.contains(&source.recording))
                })
            }
            SplitBy::Time => latest(table, rows, plan.test),
        };
        let (train, validation) = match plan.by {
            SplitBy::Time => latest(table, &rest, plan.validation),
            _ => stratified(
                &rest,
                (&labels.of_row, labels.classes.len()),
                TestShare::Nearest(plan.validation),
                &mut rng(plan.seed, Stream::ValidationSplit),
            ),
        };
        let wanted = plan.test > 0.0 || matches!(plan.by, SplitBy::Recording { .. } | SplitBy::Fold { .. });
        for (part, empty) in [("training", train.is_empty()), ("test", test.is_empty() && wanted)] {
            if empty {
                let hint = match plan.by {
                    SplitBy::Random | SplitBy::Fold { .. } | SplitBy::Time => "more rows are needed",
                    SplitBy::Capture => "a scenario needs two captures or more",
                    SplitBy::Recording { .. } => "leave out some recordings with usable rows, not all",
                };
                return Err(PrepareError::EmptyPart { by: plan.by.name(), part, hint });
            }
        }
        Ok(Split { train, validation, test })
    }

    /// Splits `rows` by a predicate, without validation rows.
    pub(crate) fn by(rows: &[u32], is_test: impl Fn(u32) -> bool) -> Split {
        let (test, train) = rows.iter().partition(|row| is_test(**row));
        Split { train, validation: Vec::new(), test }
    }

    /// Splits `rows` at random, without validation rows: of each class `share`, at least one row, is the test.
    /// `classes`: each row's class.
    pub(crate) fn at_random(rows: &[u32], classes: &[u32], share: f64, rng: &mut ChaCha8Rng) -> Split {
        let count =
            rows.iter().filter_map(|&row| classes.get(row as usize)).max().map_or(0, |class| *class + 1);
        let share = TestShare::AtLeastOne(share);
        let (train, test) = stratified(rows, (classes, count as usize), share, rng);
        Split { train, validation: Vec::new(), test }
    }

    /// Rows to train on.
    pub fn train(&self) -> &[u32] {
        &self.train
    }

    /// Rows to monitor training with.
    pub fn validation(&self) -> &[u32] {
        &self.validation
    }

    /// Rows to evaluate on, once.
    pub fn test(&self) -> &[u32] {
        &self.test
    }

    /// The training rows for encoders, scalers and SMOTE.
    pub fn train_fold<'a>(&'a self, table: &'a Table, labels: &'a Labels) -> TrainFold<'a> {
        TrainFold::new(table, &self.train, labels)
    }
}

/// How many rows of each class are chosen. A class's only row never is.
#[derive(Clone, Copy)]
enum TestShare {
    /// This share of all rows, of each class as near to it as whole rows allow.
    Nearest(f64),
    /// This share of each class, rounded down, but at least one row.
    AtLeastOne(f64),
}

impl TestShare {
    /// The number of rows to choose of each class, from the classes' numbers of rows.
    fn counts(self, rows: &[usize]) -> Vec<usize> {
        let share = match self {
            TestShare::Nearest(share) => share,
            TestShare::AtLeastOne(share) => {
                return rows.iter().map(|&n| ((n as f64 * share) as usize).max(1)).collect();
            }
        };
        let exact: Vec<f64> = rows.iter().map(|&n| n as f64 * share).collect();
        let mut counts: Vec<usize> = exact.iter().map(|n| n.floor() as usize).collect();
        let total = (rows.iter().sum::<usize>() as f64 * share).round() as usize;
        let mut order: Vec<usize> = (0..exact.len()).collect();
        let remainder = |class: usize| exact.get(class).map_or(0.0, |n| n.fract());
        order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(&b)));
        for class in order.into_iter().take(total.saturating_sub(counts.iter().sum())) {
            if let (Some(count), true) = (counts.get_mut(class), remainder(class) > 0.0) {
                *count += 1;
            }
        }
        counts
    }
}

/// (others, chosen): a share of the rows of each class, at random; both ascending.
fn stratified(
    rows: &[u32],
    (classes, class_count): (&[u32], usize),
    share: TestShare,
    rng: &mut ChaCha8Rng,
) -> (Vec<u32>, Vec<u32>) {
    let class_of = |row: u32| classes.get(row as usize).copied().unwrap_or_default() as usize;
    let mut of_class: Vec<Vec<u32>> = vec![Vec::new(); class_count];
    for &row in rows {
        if let Some(of_class) = of_class.get_mut(class_of(row)) {
            of_class.push(row);
        }
    }
    let counts = share.counts(&of_class.iter().map(Vec::len).collect::<Vec<_>>());
    let (mut others, mut chosen) = (Vec::new(), Vec::new());
    for (mut rows, count) in of_class.into_iter().zip(counts) {
        shuffle(rng, &mut rows);
        let count = if rows.len() < 2 { 0 } else { count };
        others.extend(rows.split_off(count));
        chosen.extend(rows);
    }
    others.sort_unstable();
    chosen.sort_unstable();
    (others, chosen)
}

/// (others, the fold's): each class's rows are assigned to the folds in turn, in random order.
fn folds(rows: &[u32], labels: &Labels, fold: u32, of: u32, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut shuffled = rows.to_vec();
    shuffle(&mut rng(seed, Stream::TestSplit), &mut shuffled);
    let class = |row: u32| labels.of_row.get(row as usize).copied().unwrap_or_default();
    shuffled.sort_by_key(|&row| class(row));
    let parts = shuffled.into_iter().zip((0..of.max(1)).cycle());
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    parts.for_each(|(row, part)| if part == fold { chosen.push(row) } else { others.push(row) });
    others.sort_unstable();
    chosen.sort_unstable();
    (others, chosen)
}

/// (earlier, latest `share`) of each capture's rows, by timestamp, then by position in the file.
fn latest(table: &Table, rows: &[u32], share: f64) -> (Vec<u32>, Vec<u32>) {
    use citronella_sensor::detect::Value;
    let time = table.column("timestamp").unwrap_or(usize::MAX);
    let at = |row: u32| match table.value(row as usize, time) {
        Value::Number(micros) => micros,
        _ => f64::NEG_INFINITY,
    };
    let mut of_source: Vec<Vec<u32>> = vec![Vec::new(); table.sources().len()];
    for &row in rows {
        if let Some(rows) = of_source.get_mut(table.source_of(row as usize)) {
            rows.push(row);
        }
    }
    let (mut earlier, mut latest) = (Vec::new(), Vec::new());
    for mut rows in of_source {
        rows.sort_by(|&a, &b| at(a).total_cmp(&at(b)).then(a.cmp(&b)));
        let first = rows.len() - (rows.len() as f64 * share).round() as usize;
        latest.extend(rows.split_off(first));
        earlier.extend(rows);
    }
    earlier.sort_unstable();
    latest.sort_unstable();
    (earlier, latest)
}

/// The captures of the test: of each scenario with two or more a share, at least one and never all.
fn captures_to_test(table: &Table, plan: &SplitPlan) -> Vec<usize> {
    let mut scenarios: Vec<&str> = table.sources().iter().map(|s| s.scenario.as_str()).collect();
    scenarios.sort_unstable();
    scenarios.dedup();
    let mut rng = rng(plan.seed, Stream::TestSplit);
    let mut chosen = Vec::new();
    for scenario in scenarios {
        let of_scenario = table.sources().iter().enumerate().filter(|(_, s)| s.scenario == scenario);
        let mut captures: Vec<usize> = of_scenario.map(|(source, _)| source).collect();
        shuffle(&mut rng, &mut captures);
        if captures.len() > 1 {
            let share = (captures.len() as f64 * plan.test).round() as usize;
            chosen.extend(captures.iter().take(share.clamp(1, captures.len() - 1)));
        }
    }
    chosen
}

fn check_recordings(table: &Table, leave_out: &[String]) -> Result<(), PrepareError> {
    let mut known: Vec<&str> = table.sources().iter().map(|s| s.recording.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    match leave_out.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(PrepareError::NoSuchRecording { name: name.clone(), known: known.join(", ") }),
        None => Ok(()),
    }
}

//! What a simple predictor scores on rows that it was not fitted on.
//!
//! A predictor groups rows and counts the classes of each group's training rows. It predicts the class that is most
//! over-represented in a row's group, so that all classes count the same however many rows they have. Its **skill** is
//! the mean recall of the classes, scaled so that guessing gives 0 and a perfect predictor 1.

use std::collections::HashMap;

use super::Rows;
use crate::prepare::{Split, Stream, rng};

/// The share of each class that is the test.
const TEST_SHARE: f64 = 0.3;

/// The data set's own split, or a random one that preserves each class's share.
pub(super) fn split(rows: &Rows, seed: u64) -> Split {
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    if rows.has_own_test() {
        let is_test =
            |row: u32| rows.file.get(row as usize).is_some_and(|f| *f as usize >= rows.first_test_file);
        return Split::by(&all, is_test);
    }
    at_random(&all, &rows.truth, seed)
}

/// Splits some rows at random; a class's only row is training.
pub(super) fn at_random(rows: &[u32], truth: &[u32], seed: u64) -> Split {
    Split::at_random(rows, truth, TEST_SHARE, &mut rng(seed, Stream::Audit))
}

/// The classes to predict.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Each row's class.
    pub(super) truth: &'a [u32],
    /// The number of classes.
    pub(super) classes: usize,
    /// The class of benign rows.
    pub(super) normal: Option<u32>,
}

impl Target<'_> {
    pub(super) fn of(rows: &Rows) -> Target<'_> {
        Target { truth: &rows.truth, classes: rows.classes.len(), normal: rows.normal() }
    }

    pub(super) fn class_of(&self, row: u32) -> u32 {
        self.truth.get(row as usize).copied().unwrap_or_default()
    }
}

/// What a predictor scores on the test rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Power {
    /// The share of rows that are right if each group's most frequent class is predicted.
    pub accuracy: f64,
    /// The mean recall of the classes, scaled: 0 is chance, 1 is perfect.
    pub skill: f64,
    /// The same for attack against normal, if there is a normal class and more than one other.
    pub attack_skill: Option<f64>,
}

impl Power {
    /// The higher of both skills.
    pub fn strongest(&self) -> f64 {
        self.skill.max(self.attack_skill.unwrap_or(0.0))
    }
}

/// Rows in groups.
pub(super) struct Groups {
    /// Training rows by group and class.
    pub(super) counts: Vec<Vec<u32>>,
    /// The group of each test row; `None` if it has no training row.
    pub(super) of_test: Vec<Option<usize>>,
}

impl Groups {
    /// Groups training and test rows by a key.
    pub(super) fn by_key<K: std::hash::Hash + Eq>(
        target: &Target<'_>,
        (train, test): (&[u32], &[u32]),
        key: impl Fn(u32) -> K,
    ) -> Groups {
        let (mut groups, mut counts) = (HashMap::new(), Vec::<Vec<u32>>::new());
        for &row in train {
            let group = *groups.entry(key(row)).or_insert_with(|| {
                counts.push(vec![0; target.classes]);
                counts.len() - 1
            });
            let count =
                counts.get_mut(group).and_then(|counts| counts.get_mut(target.class_of(row) as usize));
            count.into_iter().for_each(|count| *count += 1);
        }
        let of_test = test.iter().map(|&row| groups.get(&key(row)).copied()).collect();
        Groups { counts, of_test }
    }

    /// What they score on the test rows.
    pub(super) fn power(&self, target: &Target<'_>, test: &[u32]) -> Power {
        let truth: Vec<u32> = test.iter().map(|&row| target.class_of(row)).collect();
        let totals = sums(&self.counts, target.classes);
        let most_frequent: Vec<u32> = self.counts.iter().map(|counts| top(counts, &[])).collect();
        let over_represented: Vec<u32> = self.counts.iter().map(|counts| top(counts, &totals)).collect();
        let predict = |of_group: &[u32]| -> Vec<Option<u32>> {
            self.of_test.iter().map(|group| of_group.get((*group)?).copied()).collect()
        };
        let predicted = predict(&most_frequent);
        let right = predicted.iter().zip(&truth).filter(|(class, truth)| **class == Some(**truth)).count();
        let attack_skill = target.normal.filter(|_| target.classes > 2).map(|normal| {
            let binary = |counts: &Vec<u32>| {
                let benign = counts.get(normal as usize).copied().unwrap_or(0);
                vec![benign, counts.iter().sum::<u32>() - benign]
            };
            let counts: Vec<Vec<u32>> = self.counts.iter().map(binary).collect();
            let totals = sums(&counts, 2);
            let of_group: Vec<u32> = counts.iter().map(|counts| top(counts, &totals)).collect();
            let truth: Vec<u32> = truth.iter().map(|class| u32::from(*class != normal)).collect();
            skill(&truth, &predict(&of_group), 2)
        });
        Power {
            accuracy: right as f64 / truth.len().max(1) as f64,
            skill: skill(&truth, &predict(&over_represented), target.classes),
            attack_skill,
        }
    }
}

fn sums(counts: &[Vec<u32>], classes: usize) -> Vec<u32> {
    let mut sums = vec![0; classes];
    for counts in counts {
        sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }
    sums
}

/// The class with most rows, relative to `totals` if given; the first of equals.
fn top(counts: &[u32], totals: &[u32]) -> u32 {
    let mut best = (0, f64::MIN);
    for (class, &count) in (0..).zip(counts) {
        let share = f64::from(count) / f64::from(totals.get(class as usize).copied().unwrap_or(1).max(1));
        if share > best.1 {
            best = (class, share);
        }
    }
    best.0
}

/// The mean recall of the classes that occur, scaled to 0 for chance and 1 for perfect.
fn skill(truth: &[u32], predicted: &[Option<u32>], classes: usize) -> f64 {
    let (mut rows, mut right) = (vec![0u32; classes], vec![0u32; classes]);
    for (&truth, predicted) in truth.iter().zip(predicted) {
        let at = truth as usize;
        rows.get_mut(at).into_iter().for_each(|n| *n += 1);
        right.get_mut(at).into_iter().for_each(|n| *n += u32::from(*predicted == Some(truth)));
    }
    let recalls: Vec<f64> = rows
        .iter()
        .zip(&right)
        .filter(|(n, _)| **n > 0)
        .map(|(n, r)| f64::from(*r) / f64::from(*n))
        .collect();
    if recalls.len() < 2 {
        return 0.0;
    }
    let chance = 1.0 / recalls.len() as f64;
    (recalls.iter().sum::<f64>() * chance - chance) / (1.0 - chance)
}

/// The power of one column: a group for each value, or for each quantile of the training rows if there are many.
pub(super) fn by_column(rows: &Rows, split: &Split, values: &[f64], nominal: bool) -> Power {
    let bins = Bins::new(values, nominal, split.train(), QUANTILES);
    let key = |row: u32| bins.of(values.get(row as usize).copied().unwrap_or(f64::NAN));
    let target = Target::of(rows);
    Groups::by_key(&target, (split.train(), split.test()), key).power(&target, split.test())
}

/// The power of predicting the class of the training row with the nearest value, such as a time or a position.
pub(super) fn by_nearest(rows: &Rows, split: &Split, value: impl Fn(usize) -> f64) -> Power {
    let target = Target::of(rows);
    let mut known: Vec<(f64, u32)> = split
        .train()
        .iter()
        .map(|&row| (value(row as usize), target.class_of(row)))
        .filter(|(value, _)| value.is_finite())
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = |row: &u32| -> Option<usize> {
        let at = value(*row as usize);
        let after = known.partition_point(|(value, _)| *value < at);
        let before = after.checked_sub(1).and_then(|index| known.get(index));
        let class = match (before, known.get(after)) {
            _ if !at.is_finite() => return None,
            (Some(before), Some(after)) if at - before.0 > after.0 - at => after.1,
            (Some(one), _) | (None, Some(one)) => one.1,
            (None, None) => return None,
        };
        Some(class as usize)
    };
    // One group for each class, so that the nearest row's class is predicted.
    let identity = |class| (0..target.classes).map(|other| u32::from(other == class)).collect();
    let groups = Groups {
        counts: (0..target.classes).map(identity).collect(),
        of_test: split.test().iter().map(nearest).collect(),
    };
    groups.power(&target, split.test())
}

/// Quantiles of a column with many values.
const QUANTILES: usize = 256;

/// Bins of a column's values.
pub(super) struct Bins {
    nominal: bool,
    /// Lower bounds, ascending.
    edges: Vec<f64>,
}

impl Bins {
    /// At most `count` bins by the training rows' values.
    pub(super) fn new(values: &[f64], nominal: bool, train: &[u32], count: usize) -> Bins {
        if nominal && count >= QUANTILES {
            return Bins { nominal, edges: Vec::new() };
        }
        let mut known: Vec<f64> = train
            .iter()
            .filter_map(|&row| values.get(row as usize).copied())
            .filter(|value| !value.is_nan())
            .collect();
        known.sort_by(f64::total_cmp);
        let mut edges = known.clone();
        edges.dedup();
        if edges.len() > count {
            edges = (0..count).filter_map(|n| known.get(n * known.len() / count).copied()).collect();
            edges.dedup();
        }
        Bins { nominal: false, edges }
    }

    /// The bin of a value; 0 if it is missing.
    pub(super) fn of(&self, value: f64) -> u64 {
        match () {
            () if value.is_nan() => 0,
            () if self.nominal => value.to_bits(),
            () => 1 + self.edges.partition_point(|edge| *edge <= value) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn rows(truth: Vec<u32>) -> Rows {
        let classes = ["normal", "flood", "scan"].map(str::to_owned).to_vec();
        let n = truth.len();
        Rows {
            classes,
            truth,
            position: (0..n as u64).collect(),
            first_test_file: usize::MAX,
            ..Rows::default()
        }
    }

    #[test]
    fn skill_is_zero_for_noise_and_one_for_the_label_itself() {
        // Nine of ten rows are benign: accuracy is high even for noise, skill is not.
        let truth: Vec<u32> = (0..3_000).map(|n| [0, 0, 0, 0, 0, 0, 0, 0, 1, 2][n * 7 % 10]).collect();
        let rows = rows(truth);
        let split = split(&rows, 1);
        assert_eq!((split.train().len(), split.test().len()), (2_100, 900));
        // Random, not counted up: values spread evenly over the rows score below chance on the test rows.
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f64> = (0..3_000).map(|_| f64::from(rng.random_range(0..257))).collect();
        let power = by_column(&rows, &split, &noise, false);
        assert!(power.skill.abs() < 0.15 && power.accuracy > 0.7, "{power:?}");
        let label: Vec<f64> = rows.truth.iter().map(|class| f64::from(*class)).collect();
        for nominal in [true, false] {
            let power = by_column(&rows, &split, &label, nominal);
            assert_eq!((power.skill, power.attack_skill, power.accuracy), (1.0, Some(1.0), 1.0));
        }
        let attack: Vec<f64> = rows.truth.iter().map(|class| f64::from(u32::from(*class > 0))).collect();
        let power = by_column(&rows, &split, &attack, false);
        assert!(power.skill < 0.6 && power.attack_skill == Some(1.0));
    }

    #[test]
    fn the_nearest_row_predicts_classes_that_follow_one_another() {
        let rows = rows((0..900).map(|n| n / 300).collect());
        let split = split(&rows, 1);
        assert!(by_nearest(&rows, &split, |row| row as f64).skill > 0.98);
        let shuffled = by_nearest(&rows, &split, |row| ((row * 7919) % 900) as f64);
        assert!(shuffled.skill.abs() < 0.15, "{shuffled:?}");
        assert_eq!(by_nearest(&rows, &split, |_| f64::NAN).accuracy, 0.0);
    }

    #[test]
    fn a_class_of_one_row_is_training_only() {
        let split = at_random(&[0, 1, 2, 3, 4], &[0, 0, 0, 0, 1], 1);
        assert!(split.train().contains(&4) && !split.test().is_empty());
    }
}

//! What a simple predictor scores on rows that it has not seen.
//!
//! A predictor sorts rows into groups and remembers the classes of each group's training rows. Its verdict on a row is
//! the class that is most over-represented in the row's group, so that each class counts the same however many rows it
//! has. Its **skill** is the mean recall of the classes, 0 for guessing and 1 for all rows of all classes right.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Rows;

/// Training and test rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Split {
    pub(super) train: Vec<usize>,
    pub(super) test: Vec<usize>,
}

/// Share of each class that is the test.
const TEST: f64 = 0.3;

impl Split {
    /// By chance, each class by its share; or the data set's own.
    pub(super) fn new(rows: &Rows, seed: u64) -> Split {
        if rows.has_own_test() {
            let is_test =
                |row: &usize| rows.file.get(*row).is_some_and(|f| *f as usize >= rows.first_test_file);
            let (test, train) = (0..rows.len()).partition(is_test);
            return Split { train, test };
        }
        Split::by_chance(&rows.truth, &(0..rows.len()).collect::<Vec<_>>(), seed)
    }

    /// Splits some rows by chance, each class by its share; a class's only row is training.
    pub(super) fn by_chance(truth: &[u32], rows: &[usize], seed: u64) -> Split {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut of_class: std::collections::BTreeMap<u32, Vec<usize>> = Default::default();
        for &row in rows {
            of_class.entry(truth.get(row).copied().unwrap_or_default()).or_default().push(row);
        }
        let mut split = Split::default();
        for mut rows in of_class.into_values() {
            for last in (1..rows.len()).rev() {
                rows.swap(last, rng.random_range(0..=last));
            }
            let test = if rows.len() < 2 { 0 } else { ((rows.len() as f64 * TEST) as usize).max(1) };
            split.train.extend(rows.split_off(test));
            split.test.extend(rows);
        }
        split.train.sort_unstable();
        split.test.sort_unstable();
        split
    }
}

/// What a predictor scores on the test rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Power {
    /// Share of rows that naming a group's most frequent class gets right.
    pub accuracy: f64,
    /// Mean recall of the classes, as above chance: 0 guesses, 1 is perfect.
    pub skill: f64,
    /// The same for attack against normal, where there is a normal class and more than one other.
    pub attack_skill: Option<f64>,
}

impl Power {
    /// The higher of both skills.
    pub fn strongest(&self) -> f64 {
        self.skill.max(self.attack_skill.unwrap_or(0.0))
    }
}

/// Rows sorted into groups: for each group the training rows of each class, for each test row its group.
pub(super) struct Groups {
    pub(super) counts: Vec<Vec<u32>>,
    /// `None`: no training row is in the group.
    pub(super) of_test: Vec<Option<usize>>,
}

impl Groups {
    /// Groups by a key of each row.
    pub(super) fn by_key<K: std::hash::Hash + Eq>(
        truth: &[u32],
        classes: usize,
        split: &Split,
        key: impl Fn(usize) -> K,
    ) -> Groups {
        let (mut places, mut counts) = (HashMap::new(), Vec::<Vec<u32>>::new());
        for &row in &split.train {
            let place = *places.entry(key(row)).or_insert_with(|| {
                counts.push(vec![0; classes]);
                counts.len() - 1
            });
            let class = truth.get(row).copied().unwrap_or_default() as usize;
            let count = counts.get_mut(place).and_then(|counts| counts.get_mut(class));
            count.into_iter().for_each(|count| *count += 1);
        }
        let of_test = split.test.iter().map(|&row| places.get(&key(row)).copied()).collect();
        Groups { counts, of_test }
    }

    /// What they score.
    pub(super) fn power(&self, truth: &[u32], classes: usize, normal: Option<u32>, split: &Split) -> Power {
        let truth: Vec<u32> =
            split.test.iter().map(|&row| truth.get(row).copied().unwrap_or_default()).collect();
        let totals = sums(&self.counts, classes);
        let plain: Vec<u32> = self.counts.iter().map(|counts| top(counts, &[])).collect();
        let fair: Vec<u32> = self.counts.iter().map(|counts| top(counts, &totals)).collect();
        let said = |verdicts: &[u32]| -> Vec<Option<u32>> {
            self.of_test.iter().map(|group| verdicts.get((*group)?).copied()).collect()
        };
        let right = said(&plain).iter().zip(&truth).filter(|(said, truth)| **said == Some(**truth)).count();
        let attack_skill = normal.filter(|_| classes > 2).map(|normal| {
            let two = |counts: &Vec<u32>| {
                let benign = counts.get(normal as usize).copied().unwrap_or(0);
                vec![benign, counts.iter().sum::<u32>() - benign]
            };
            let counts: Vec<Vec<u32>> = self.counts.iter().map(two).collect();
            let totals = sums(&counts, 2);
            let verdicts: Vec<u32> = counts.iter().map(|counts| top(counts, &totals)).collect();
            let truth: Vec<u32> = truth.iter().map(|class| u32::from(*class != normal)).collect();
            skill(&truth, &said(&verdicts), 2)
        });
        Power {
            accuracy: right as f64 / truth.len().max(1) as f64,
            skill: skill(&truth, &said(&fair), classes),
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

/// The class with most rows, each divided by its total where totals are given; the first of equals.
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

/// Mean recall of the classes that occur, as above chance.
fn skill(truth: &[u32], said: &[Option<u32>], classes: usize) -> f64 {
    let (mut rows, mut right) = (vec![0u32; classes], vec![0u32; classes]);
    for (&truth, said) in truth.iter().zip(said) {
        let at = truth as usize;
        rows.get_mut(at).into_iter().for_each(|n| *n += 1);
        right.get_mut(at).into_iter().for_each(|n| *n += u32::from(*said == Some(truth)));
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

/// Groups of one column: a value each, or quantiles of the training rows where there are many.
pub(super) fn by_column(rows: &Rows, split: &Split, values: &[f64], nominal: bool) -> Power {
    let bins = Bins::new(values, nominal, &split.train, QUANTILES);
    let key = |row: usize| bins.of(values.get(row).copied().unwrap_or(f64::NAN));
    let groups = Groups::by_key(&rows.truth, rows.classes.len(), split, key);
    groups.power(&rows.truth, rows.classes.len(), rows.normal(), split)
}

/// The class of the training row nearest in a number, such as time or place.
pub(super) fn by_nearest(rows: &Rows, split: &Split, value: impl Fn(usize) -> f64) -> Power {
    let mut known: Vec<(f64, u32)> = split
        .train
        .iter()
        .map(|&row| (value(row), rows.truth.get(row).copied().unwrap_or_default()))
        .filter(|(value, _)| value.is_finite())
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = |row: &usize| -> Option<usize> {
        let at = value(*row);
        let after = known.partition_point(|(value, _)| *value < at);
        let before = after.checked_sub(1).and_then(|place| known.get(place));
        let class = match (before, known.get(after)) {
            _ if !at.is_finite() => return None,
            (Some(before), Some(after)) if at - before.0 > after.0 - at => after.1,
            (Some(one), _) | (None, Some(one)) => one.1,
            (None, None) => return None,
        };
        Some(class as usize)
    };
    let classes = rows.classes.len();
    // A group a class: what the nearest row is, is said.
    let counts = (0..classes).map(|class| (0..classes).map(|other| u32::from(other == class)).collect());
    let groups = Groups { counts: counts.collect(), of_test: split.test.iter().map(nearest).collect() };
    groups.power(&rows.truth, classes, rows.normal(), split)
}

/// Quantiles that a column with many values is cut into.
const QUANTILES: usize = 256;

/// A column's values as small numbers.
pub(super) struct Bins {
    nominal: bool,
    /// Lower bounds, ascending.
    edges: Vec<f64>,
}

impl Bins {
    /// From the training rows' values.
    pub(super) fn new(values: &[f64], nominal: bool, train: &[usize], most: usize) -> Bins {
        if nominal && most >= QUANTILES {
            return Bins { nominal, edges: Vec::new() };
        }
        let mut known: Vec<f64> = train
            .iter()
            .filter_map(|&row| values.get(row).copied())
            .filter(|value| !value.is_nan())
            .collect();
        known.sort_by(f64::total_cmp);
        let mut edges = known.clone();
        edges.dedup();
        if edges.len() > most {
            edges = (0..most).filter_map(|n| known.get(n * known.len() / most).copied()).collect();
            edges.dedup();
        }
        Bins { nominal: false, edges }
    }

    /// The bin of a value: 0 where it is missing.
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
            place: (0..n as u64).collect(),
            first_test_file: usize::MAX,
            ..Rows::default()
        }
    }

    #[test]
    fn skill_is_zero_for_noise_and_one_for_the_label_itself() {
        // Nine of ten rows are benign: accuracy flatters, skill does not.
        let truth: Vec<u32> = (0..3_000).map(|n| [0, 0, 0, 0, 0, 0, 0, 0, 1, 2][n * 7 % 10]).collect();
        let rows = rows(truth);
        let split = Split::new(&rows, 1);
        assert_eq!((split.train.len(), split.test.len()), (2_100, 900));
        // Drawn, not counted: values that fall evenly over the rows score below chance on those left out.
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
    fn the_nearest_row_gives_away_classes_that_follow_one_another() {
        let rows = rows((0..900).map(|n| n / 300).collect());
        let split = Split::new(&rows, 1);
        assert!(by_nearest(&rows, &split, |row| row as f64).skill > 0.98);
        let shuffled = by_nearest(&rows, &split, |row| ((row * 7919) % 900) as f64);
        assert!(shuffled.skill.abs() < 0.15, "{shuffled:?}");
        assert_eq!(by_nearest(&rows, &split, |_| f64::NAN).accuracy, 0.0);
    }

    #[test]
    fn a_class_of_one_row_is_training_only() {
        let split = Split::by_chance(&[0, 0, 0, 0, 1], &[0, 1, 2, 3, 4], 1);
        assert!(split.train.contains(&4) && !split.test.is_empty());
    }
}

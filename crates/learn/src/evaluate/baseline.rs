//! Trivial baselines: a model that does not beat them has learnt nothing.
//!
//! In: training rows. Out: probabilities (rows x classes, row-major, f32) for [`super::Predictions`], which are shares
//! of the classes in the training rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Inputs of a baseline do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// No training rows or no classes.
    #[error("a baseline needs at least one training row and one class")]
    Empty,
    /// Inputs and truth have different lengths.
    #[error("{inputs} training inputs for {rows} rows of truth")]
    Shape {
        /// Inputs given.
        inputs: usize,
        /// Rows of truth.
        rows: usize,
    },
    /// A class index out of range.
    #[error("training row {row}: class number {class}, but there are only {classes} classes")]
    UnknownClass {
        /// The row, from 0.
        row: usize,
        /// Its class index.
        class: u32,
        /// Number of classes.
        classes: usize,
    },
}

/// Feature values, rows x `width`, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The values; one that is not finite is missing.
    pub values: &'a [f32],
    /// Features per row.
    pub width: usize,
}

impl Matrix<'_> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    fn column(&self, feature: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(feature).step_by(self.width.max(1)).map(|&value| f64::from(value))
    }
}

/// Rows of each class.
type Counts = Vec<u64>;

/// Predicts the classes' training shares for every row: the most frequent class wins, the first of equals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Majority {
    shares: Vec<f32>,
}

impl Majority {
    /// Counts the classes of the training rows.
    ///
    /// # Errors
    /// No rows or no classes; a class index out of range.
    pub fn fit(truth: &[u32], classes: usize) -> Result<Self, BaselineError> {
        check(truth.len(), truth, classes)?;
        Ok(Self { shares: shares(&count(truth.iter().copied(), classes)) })
    }

    /// Probabilities of `rows` rows.
    pub fn predict(&self, rows: usize) -> Vec<f32> {
        self.shares.repeat(rows)
    }
}

/// One rule on one feature: up to as many intervals as classes. Thresholds are added greedily by Gini impurity; the
/// feature is the one that classifies most training rows correctly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stump {
    feature: usize,
    width: usize,
    intervals: Intervals,
}

impl Stump {
    /// Finds the rule on training rows.
    ///
    /// # Errors
    /// No rows, no features or no classes; lengths that differ; a class index out of range.
    pub fn fit(rows: Matrix<'_>, truth: &[u32], classes: usize) -> Result<Self, BaselineError> {
        check(rows.rows(), truth, classes)?;
        let mut best: Option<(u64, Self)> = None;
        for feature in 0..rows.width {
            let (intervals, right) = Intervals::fit(rows.column(feature), truth, classes);
            if best.as_ref().is_none_or(|(most, _)| right > *most) {
                best = Some((right, Self { feature, width: rows.width, intervals }));
            }
        }
        best.map(|(_, stump)| stump).ok_or(BaselineError::Empty)
    }

    /// The feature's column index.
    pub fn feature(&self) -> usize {
        self.feature
    }

    /// The thresholds, ascending; a value equal to a threshold is below it.
    pub fn thresholds(&self) -> &[f64] {
        &self.intervals.thresholds
    }

    /// Probabilities of rows with the training columns. In rows of another width the feature counts as missing.
    pub fn predict(&self, rows: Matrix<'_>) -> Vec<f32> {
        if rows.width == self.width {
            return rows.column(self.feature).flat_map(|value| self.intervals.at(value)).copied().collect();
        }
        (0..rows.rows()).flat_map(|_| self.intervals.at(f64::NAN)).copied().collect()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Intervals {
    thresholds: Vec<f64>,
    shares: Vec<Vec<f32>>,
    /// Shares of rows with a missing value.
    missing: Vec<f32>,
}

impl Intervals {
    /// Fits up to `classes` intervals; also returns how many training rows they classify correctly.
    fn fit(values: impl Iterator<Item = f64>, truth: &[u32], classes: usize) -> (Self, u64) {
        let mut runs: Vec<(f64, Counts)> = Vec::new();
        let (mut missing, mut rows) = (vec![0; classes], Vec::new());
        for (value, &class) in values.zip(truth) {
            if value.is_finite() {
                rows.push((value + 0.0, class));
            } else {
                missing[class as usize] += 1;
            }
        }
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for (value, class) in rows {
            match runs.last_mut() {
                Some((last, counts)) if *last == value => counts[class as usize] += 1,
                _ => runs.push((value, count(std::iter::once(class), classes))),
            }
        }
        // Leaves are ranges of runs; splits the leaf with the highest gain next.
        let mut leaves: Vec<_> = std::iter::once(0..runs.len()).collect();
        while leaves.len() < classes {
            let splits = leaves.iter().enumerate().filter_map(|(leaf, range)| {
                best_split(&runs[range.clone()], classes).map(|(gain, at)| (gain, leaf, range.start + at))
            });
            let Some((_, leaf, at)) = splits.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))) else {
                break;
            };
            let (start, end) = (leaves[leaf].start, leaves[leaf].end);
            leaves.splice(leaf..=leaf, [start..at, at..end]);
        }
        let between = |at: usize| runs[at - 1].0 + (runs[at].0 - runs[at - 1].0) / 2.0;
        let thresholds = leaves.iter().skip(1).map(|leaf| between(leaf.start)).collect();
        let counts: Vec<Counts> = leaves.into_iter().map(|leaf| total(&runs[leaf], classes)).collect();
        let most = |counts: &Counts| counts.iter().copied().max().unwrap_or(0);
        let right = counts.iter().map(most).sum::<u64>() + most(&missing);
        // Without missing values in training, a missing value gets the shares of all rows.
        let all =
            if missing.iter().all(|&n| n == 0) { count(truth.iter().copied(), classes) } else { missing };
        (
            Self { thresholds, shares: counts.iter().map(|c| shares(c)).collect(), missing: shares(&all) },
            right,
        )
    }

    fn at(&self, value: f64) -> &[f32] {
        // All training values may have been missing: then the one interval holds no rows.
        if !value.is_finite() || self.shares.iter().all(|leaf| leaf.iter().all(|&s| s == 0.0)) {
            return &self.missing;
        }
        &self.shares[self.thresholds.partition_point(|&threshold| threshold < value)]
    }
}

/// The split of `runs` that reduces rows x Gini impurity most: (gain, first run of the right part).
fn best_split(runs: &[(f64, Counts)], classes: usize) -> Option<(f64, usize)> {
    // rows x Gini = rows - sum of squares / rows, so that the gain is a difference of these sums.
    let purity = |counts: &[u64]| {
        let rows: u64 = counts.iter().sum();
        counts.iter().map(|&n| n as f64 * n as f64).sum::<f64>() / rows.max(1) as f64
    };
    let mut right = total(runs, classes);
    let whole = purity(&right);
    let mut left = vec![0; classes];
    let mut best: Option<(f64, usize)> = None;
    for (at, (_, counts)) in runs.iter().enumerate() {
        if at > 0 {
            let gain = purity(&left) + purity(&right) - whole;
            if gain > best.map_or(1e-9 * whole, |(most, _)| most) {
                best = Some((gain, at));
            }
        }
        for class in 0..classes {
            left[class] += counts[class];
            right[class] -= counts[class];
        }
    }
    best
}

fn total(runs: &[(f64, Counts)], classes: usize) -> Counts {
    let mut sum = vec![0; classes];
    for (_, counts) in runs {
        sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }
    sum
}

/// Predicts the class of the training row nearest in time: how much the timestamp alone reveals. Of two equally near
/// times the earlier one counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestInTime {
    moments: Vec<(f64, Vec<f32>)>,
    all: Vec<f32>,
}

impl NearestInTime {
    /// Stores the training rows' times in seconds (f64: f32 cannot resolve seconds of Unix time). Times that are not
    /// finite are skipped.
    ///
    /// # Errors
    /// No rows or no classes; lengths that differ; a class index out of range.
    pub fn fit(seconds: &[f64], truth: &[u32], classes: usize) -> Result<Self, BaselineError> {
        check(seconds.len(), truth, classes)?;
        let mut rows: Vec<(f64, u32)> = seconds.iter().copied().zip(truth.iter().copied()).collect();
        rows.retain(|(time, _)| time.is_finite());
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let moments = rows
            .chunk_by(|a, b| a.0 == b.0)
            .map(|rows| (rows[0].0, shares(&count(rows.iter().map(|row| row.1), classes))))
            .collect();
        Ok(Self { moments, all: shares(&count(truth.iter().copied(), classes)) })
    }

    /// Number of distinct training times.
    pub fn moments(&self) -> usize {
        self.moments.len()
    }

    /// Probabilities of rows at these times; the training shares for a time that is not finite.
    pub fn predict(&self, seconds: &[f64]) -> Vec<f32> {
        let nearest = |&time: &f64| {
            let after = self.moments.partition_point(|(moment, _)| *moment < time);
            let (before, after) = (after.checked_sub(1).map(|at| &self.moments[at]), self.moments.get(after));
            match (before, after) {
                _ if !time.is_finite() => &self.all,
                (Some(before), Some(after)) if time - before.0 > after.0 - time => &after.1,
                (Some(one), _) | (None, Some(one)) => &one.1,
                (None, None) => &self.all,
            }
        };
        seconds.iter().flat_map(nearest).copied().collect()
    }
}

/// Predicts the classes' shares among training rows with the same port; overall shares for other ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortOnly {
    /// Ports, ascending, and their shares.
    ports: Vec<(Option<u16>, Vec<f32>)>,
    all: Vec<f32>,
}

impl PortOnly {
    /// Counts classes by port, usually the responder's; `None` for a row without ports.
    ///
    /// # Errors
    /// No rows or no classes; lengths that differ; a class index out of range.
    pub fn fit(ports: &[Option<u16>], truth: &[u32], classes: usize) -> Result<Self, BaselineError> {
        check(ports.len(), truth, classes)?;
        let mut counts: BTreeMap<Option<u16>, Counts> = BTreeMap::new();
        for (&port, &class) in ports.iter().zip(truth) {
            counts.entry(port).or_insert_with(|| vec![0; classes])[class as usize] += 1;
        }
        let ports = counts.into_iter().map(|(port, counts)| (port, shares(&counts))).collect();
        Ok(Self { ports, all: shares(&count(truth.iter().copied(), classes)) })
    }

    /// Probabilities of rows with these ports.
    pub fn predict(&self, ports: &[Option<u16>]) -> Vec<f32> {
        let shares = |port: &Option<u16>| match self.ports.binary_search_by_key(port, |(known, _)| *known) {
            Ok(at) => &self.ports[at].1,
            Err(_) => &self.all,
        };
        ports.iter().flat_map(shares).copied().collect()
    }
}

fn check(inputs: usize, truth: &[u32], classes: usize) -> Result<(), BaselineError> {
    if inputs != truth.len() {
        return Err(BaselineError::Shape { inputs, rows: truth.len() });
    }
    if truth.is_empty() || classes == 0 {
        return Err(BaselineError::Empty);
    }
    match truth.iter().enumerate().find(|(_, class)| **class as usize >= classes) {
        Some((row, &class)) => Err(BaselineError::UnknownClass { row, class, classes }),
        None => Ok(()),
    }
}

fn count(truth: impl Iterator<Item = u32>, classes: usize) -> Counts {
    let mut counts = vec![0; classes];
    truth.for_each(|class| counts[class as usize] += 1);
    counts
}

fn shares(counts: &[u64]) -> Vec<f32> {
    let rows = counts.iter().sum::<u64>().max(1);
    counts.iter().map(|&n| (n as f64 / rows as f64) as f32).collect()
}

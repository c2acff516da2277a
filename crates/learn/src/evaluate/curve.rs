//! ROC and precision-recall curves, exact over the distinct scores.

use serde::{Deserialize, Serialize};

use super::share;

/// False-positive rates of the reported operating points.
const OPERATING_FPR: [f64; 2] = [1e-3, 1e-4];

/// Minimum distance of points on a stored curve (sum of both axes).
const POINT_DISTANCE: f64 = 1.0 / 256.0;

/// Rows ranked by score: counts of positives and negatives at or above each distinct score.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    steps: Vec<Step>,
    positives: u64,
    negatives: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    score: f64,
    true_positives: u64,
    false_positives: u64,
}

/// A point of a ROC curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// False-positive rate.
    pub fpr: f64,
    /// True-positive rate.
    pub tpr: f64,
    /// Rows with at least this score are predicted positive; `None` if no finite score does it.
    pub threshold: Option<f64>,
}

/// The true-positive rate at a bounded false-positive rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The false-positive rate allowed.
    pub max_fpr: f64,
    /// The highest true-positive rate of a threshold within it, without interpolation.
    pub tpr: Option<f64>,
    /// That threshold.
    pub threshold: Option<f64>,
    /// Why `tpr` is `None`.
    pub reason: Option<String>,
}

/// A ROC curve: true-positive rate over false-positive rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RocCurve {
    /// Positive rows.
    pub positives: u64,
    /// Negative rows.
    pub negatives: u64,
    /// Area under the whole curve (before thinning), ties counted half; `None` without positives or negatives.
    pub auc: Option<f64>,
    /// True-positive rates at small false-positive rates.
    pub tpr_at_fpr: Vec<OperatingPoint>,
    /// The curve from (0, 0) to (1, 1), thinned for plotting; empty if undefined.
    pub points: Vec<RocPoint>,
}

/// A point of a precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrPoint {
    /// TP / (TP + FN).
    pub recall: f64,
    /// TP / (TP + FP).
    pub precision: f64,
    /// Rows with at least this score are predicted positive; `None` if no finite score does it.
    pub threshold: Option<f64>,
}

/// A precision-recall curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrCurve {
    /// Positive rows.
    pub positives: u64,
    /// Negative rows.
    pub negatives: u64,
    /// Sum over thresholds of precision x recall gained (before thinning); `None` without positives.
    pub average_precision: Option<f64>,
    /// The curve by descending threshold, thinned for plotting; empty if undefined.
    pub points: Vec<PrPoint>,
}

impl Ranking {
    /// Ranks rows of (score, is positive). A score that is not finite counts against the model: a positive then ranks
    /// lowest, a negative highest.
    pub fn new(rows: impl Iterator<Item = (f64, bool)>) -> Self {
        let mut rows: Vec<(f64, bool)> = rows
            .map(|(score, positive)| match (score.is_finite(), positive) {
                (true, _) => (score + 0.0, positive),
                (false, true) => (f64::NEG_INFINITY, true),
                (false, false) => (f64::INFINITY, false),
            })
            .collect();
        rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (mut positives, mut negatives) = (0, 0);
        let mut steps: Vec<Step> = Vec::new();
        for (score, positive) in rows {
            if positive {
                positives += 1;
            } else {
                negatives += 1;
            }
            let step = Step { score, true_positives: positives, false_positives: negatives };
            match steps.last_mut() {
                Some(last) if last.score == score => *last = step,
                _ => steps.push(step),
            }
        }
        Self { steps, positives, negatives }
    }

    /// Area under the ROC curve: trapezoids over the distinct scores, summed in integers; equals the Mann-Whitney
    /// statistic (a tie counts one half). `None` without positives or without negatives.
    pub fn auc(&self) -> Option<f64> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let (mut twice_area, mut last) = (0_u128, (0_u64, 0_u64));
        for step in &self.steps {
            let width = u128::from(step.false_positives - last.0);
            twice_area += width * u128::from(step.true_positives + last.1);
            last = (step.false_positives, step.true_positives);
        }
        Some(twice_area as f64 / (2.0 * self.positives as f64 * self.negatives as f64))
    }

    /// Average precision: the sum of recall gained x precision by descending threshold, without interpolation. `None`
    /// without positives.
    pub fn average_precision(&self) -> Option<f64> {
        if self.positives == 0 {
            return None;
        }
        let (mut sum, mut last) = (0.0, 0);
        for step in &self.steps {
            sum += (step.true_positives - last) as f64 * step.precision();
            last = step.true_positives;
        }
        Some(sum / self.positives as f64)
    }

    /// The highest true-positive rate of a threshold whose false-positive rate is at most `max_fpr`. With fewer
    /// negatives than 1 / `max_fpr` the rate cannot be resolved: returns the reason instead.
    pub fn tpr_at(&self, max_fpr: f64) -> OperatingPoint {
        let needed = (1.0 / max_fpr).round();
        let reason = if self.positives == 0 {
            Some("there are no positive rows".to_owned())
        } else if (self.negatives as f64) < needed {
            Some(format!(
                "a false-positive rate of {max_fpr} needs {needed} negative rows; there are {}",
                self.negatives
            ))
        } else {
            None
        };
        if reason.is_some() {
            return OperatingPoint { max_fpr, tpr: None, threshold: None, reason };
        }
        let allowed = (self.negatives as f64 * max_fpr).floor() as u64;
        let within = self.steps.iter().take_while(|step| step.false_positives <= allowed).last();
        OperatingPoint {
            max_fpr,
            tpr: share(within.map_or(0, |step| step.true_positives), self.positives),
            threshold: within.and_then(Step::threshold),
            reason: None,
        }
    }

    /// The ROC curve, thinned; `to_threshold` maps a score of this ranking to the threshold to show.
    pub fn roc(&self, to_threshold: impl Fn(f64) -> f64) -> RocCurve {
        let mut points = Vec::new();
        if self.positives > 0 && self.negatives > 0 {
            points.push(RocPoint { fpr: 0.0, tpr: 0.0, threshold: None });
            points.extend(self.steps.iter().map(|step| RocPoint {
                fpr: step.false_positives as f64 / self.negatives as f64,
                tpr: step.true_positives as f64 / self.positives as f64,
                threshold: step.threshold().map(&to_threshold),
            }));
        }
        let operating = |&max_fpr: &f64| {
            let point = self.tpr_at(max_fpr);
            OperatingPoint { threshold: point.threshold.map(&to_threshold), ..point }
        };
        RocCurve {
            positives: self.positives,
            negatives: self.negatives,
            auc: self.auc(),
            tpr_at_fpr: OPERATING_FPR.iter().map(operating).collect(),
            points: thin(points, |point| (point.fpr, point.tpr)),
        }
    }

    /// The precision-recall curve, thinned; `to_threshold` as for [`Ranking::roc`].
    pub fn pr(&self, to_threshold: impl Fn(f64) -> f64) -> PrCurve {
        let mut points = Vec::new();
        if self.positives > 0 {
            points.extend(self.steps.iter().map(|step| PrPoint {
                recall: step.true_positives as f64 / self.positives as f64,
                precision: step.precision(),
                threshold: step.threshold().map(&to_threshold),
            }));
        }
        PrCurve {
            positives: self.positives,
            negatives: self.negatives,
            average_precision: self.average_precision(),
            points: thin(points, |point| (point.recall, point.precision)),
        }
    }
}

impl Step {
    fn precision(&self) -> f64 {
        share(self.true_positives, self.true_positives + self.false_positives).unwrap_or(0.0)
    }

    fn threshold(&self) -> Option<f64> {
        self.score.is_finite().then_some(self.score)
    }
}

/// Drops points inside straight runs, which leaves the area unchanged; then points close to the last retained one, but
/// not the first or last, and at small x only those within 10 % (for logarithmic axes).
fn thin<P: Copy>(points: Vec<P>, coordinates: impl Fn(&P) -> (f64, f64)) -> Vec<P> {
    let mut corners: Vec<P> = Vec::new();
    for point in points {
        if let [.., before, last] = corners.as_slice() {
            let (a, b, c) = (coordinates(before), coordinates(last), coordinates(&point));
            if (a.0 == b.0 && b.0 == c.0) || (a.1 == b.1 && b.1 == c.1) {
                corners.pop();
            }
        }
        corners.push(point);
    }
    if corners.len() as f64 <= 2.0 / POINT_DISTANCE {
        return corners;
    }
    let mut retained: Vec<P> = Vec::new();
    let end = corners.len() - 1;
    for (at, point) in corners.into_iter().enumerate() {
        let is_far = retained.last().is_none_or(|last| {
            let ((x0, y0), (x1, y1)) = (coordinates(last), coordinates(&point));
            (x1 - x0).abs() + (y1 - y0).abs() >= POINT_DISTANCE || (x1 > 0.0 && x1 > 1.1 * x0)
        });
        if is_far || at == end {
            retained.push(point);
        }
    }
    retained
}

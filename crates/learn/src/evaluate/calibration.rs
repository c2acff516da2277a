//! Calibration: how well probabilities match frequencies.

use serde::{Deserialize, Serialize};

use super::mean;

/// Number of equal-width bins of confidence.
const BINS: usize = 15;

/// Calibration of each row's highest probability, without rows whose scores are not finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of rows.
    pub rows: u64,
    /// Brier (1950): mean over rows of the sum over classes of (probability - truth)^2; 0 to 2, 0 is best.
    pub brier: f64,
    /// Expected calibration error (Guo et al. 2017): mean over rows of |accuracy - confidence| of their bin.
    pub ece: f64,
    /// The bins with rows, by ascending confidence.
    pub bins: Vec<CalibrationBin>,
}

/// Rows whose confidence is in (from, to]; the first bin includes 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Rows in the bin.
    pub rows: u64,
    /// Mean of their highest probability.
    pub confidence: f64,
    /// Share of them classified correctly.
    pub accuracy: f64,
}

impl Calibration {
    /// Calibration of `probabilities` (rows x `classes`, row-major) against `truth`; `None` if no row has finite
    /// scores.
    pub fn of(probabilities: &[f32], classes: usize, truth: &[u32]) -> Option<Self> {
        let rows = || probabilities.chunks_exact(classes.max(1)).zip(truth);
        let finite = || rows().filter(|(row, _)| row.iter().all(|p| p.is_finite()));
        let squared = |row: &[f32], truth: u32| -> f64 {
            let error = |(class, p): (u32, &f32)| f64::from(*p) - f64::from(u8::from(class == truth));
            (0_u32..).zip(row).map(error).map(|error| error * error).sum()
        };
        let brier = mean(finite().map(|(row, &truth)| squared(row, truth)))?;
        let mut bins = [(0_u64, 0.0_f64, 0_u64); BINS];
        for (row, &truth) in finite() {
            let Some(class) = super::top(row) else { continue };
            let confidence = f64::from(row[class as usize]);
            let at = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            let (rows, sum, correct) = &mut bins[at];
            *rows += 1;
            *sum += confidence;
            *correct += u64::from(class == truth);
        }
        let filled: Vec<CalibrationBin> = bins
            .iter()
            .enumerate()
            .filter(|(_, (rows, ..))| *rows > 0)
            .map(|(at, &(rows, sum, correct))| CalibrationBin {
                from: at as f64 / BINS as f64,
                to: (at + 1) as f64 / BINS as f64,
                rows,
                confidence: sum / rows as f64,
                accuracy: correct as f64 / rows as f64,
            })
            .collect();
        let rows: u64 = filled.iter().map(|bin| bin.rows).sum();
        let gap: f64 = filled.iter().map(|bin| bin.rows as f64 * (bin.accuracy - bin.confidence).abs()).sum();
        Some(Self { rows, brier, ece: gap / rows as f64, bins: filled })
    }
}

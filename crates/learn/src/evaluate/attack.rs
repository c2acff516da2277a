//! Binary figures: attack against normal.

use serde::{Deserialize, Serialize};

use super::{Confusion, PrCurve, Predictions, Ranking, RocCurve, Scores, mean, share};

/// Attack against normal. Every class but the normal one is an attack, and a row predicted as any attack is flagged.
/// A row without a verdict counts as a false negative or a false positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackView {
    /// Name of the normal class.
    pub normal: String,
    /// Attack rows.
    pub attacks: u64,
    /// Normal rows.
    pub normals: u64,
    /// Attack rows that were flagged.
    pub detected: u64,
    /// Normal rows that were flagged.
    pub false_alerts: u64,
    /// Share of attack rows that were flagged.
    pub recall: Option<f64>,
    /// Share of flagged rows that are attacks.
    pub precision: Option<f64>,
    /// Harmonic mean of precision and recall; `None` without attack rows.
    pub f1: Option<f64>,
    /// Share of normal rows that were flagged.
    pub false_positive_rate: Option<f64>,
    /// Mean of (1 - p(normal) - is attack)^2, 0 to 1, over rows with finite scores.
    pub brier: Option<f64>,
    /// ROC curve of the score 1 - p(normal).
    pub roc: Option<RocCurve>,
    /// Precision-recall curve of the score 1 - p(normal).
    pub pr: Option<PrCurve>,
}

impl AttackView {
    /// Computes the figures of checked predictions; `None` without a normal class.
    pub(super) fn of(predictions: &Predictions<'_>, confusion: &Confusion) -> Option<Self> {
        let normal = predictions.normal?;
        let at = normal as usize;
        let (mut attacks, mut detected, mut normals, mut false_alerts) = (0, 0, 0, 0);
        for (class, row) in confusion.counts.iter().enumerate() {
            let rows: u64 = row.iter().sum();
            let none = confusion.no_verdict[class];
            if class == at {
                normals = rows + none;
                false_alerts = normals - row[at];
            } else {
                attacks += rows + none;
                detected += rows - row[at];
            }
        }
        let mut view = Self {
            normal: confusion.classes[at].clone(),
            attacks,
            normals,
            detected,
            false_alerts,
            recall: share(detected, attacks),
            precision: share(detected, detected + false_alerts),
            f1: share(2 * detected, attacks + detected + false_alerts).filter(|_| attacks > 0),
            false_positive_rate: share(false_alerts, normals),
            brier: None,
            roc: None,
            pr: None,
        };
        if let Scores::Probabilities(values) = predictions.scores {
            let rows = || {
                let rows = values.chunks_exact(predictions.classes.len()).zip(predictions.truth);
                rows.map(move |(row, &truth)| {
                    let finite = row.iter().all(|p| p.is_finite());
                    (if finite { f64::from(row[at]) } else { f64::NAN }, truth != normal)
                })
            };
            // Ranked by -p(normal): 1 - p would round different small p to the same score.
            let ranking = Ranking::new(rows().map(|(p, attack)| (-p, attack)));
            view.roc = Some(ranking.roc(|score| 1.0 + score));
            view.pr = Some(ranking.pr(|score| 1.0 + score));
            let off = |(p, attack): (f64, bool)| 1.0 - p - f64::from(u8::from(attack));
            view.brier = mean(rows().filter(|(p, _)| p.is_finite()).map(off).map(|off| off * off));
        }
        Some(view)
    }
}

//! All figures of one model on one set of rows.

use serde::{Deserialize, Serialize};

use super::{
    AttackView, Averages, Calibration, ClassMetrics, Confusion, EvaluateError, PrCurve, Predictions, Ranking,
    RocCurve, Scores, mean,
};

/// All figures of one model on one set of rows, serialised in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of rows.
    pub rows: u64,
    /// Rows without a verdict because a score was not finite; they count as wrong.
    pub rows_without_verdict: u64,
    /// Share of rows classified correctly; `None` without rows, as all figures below.
    pub accuracy: Option<f64>,
    /// Mean recall over the classes present in the truth.
    pub balanced_accuracy: Option<f64>,
    /// Matthews correlation coefficient (see [`Confusion::mcc`]).
    pub mcc: Option<f64>,
    /// Unweighted averages over the classes present in the truth.
    pub macro_average: Averages,
    /// Averages weighted by the classes' rows.
    pub weighted_average: Averages,
    /// Mean area under the one-vs-rest ROC curves that are defined.
    pub macro_auc: Option<f64>,
    /// Figures of each class.
    pub per_class: Vec<ClassMetrics>,
    /// True by predicted class.
    pub confusion: Confusion,
    /// Attack against normal; `None` without a normal class.
    pub attack: Option<AttackView>,
    /// Calibration of the probabilities; `None` if only classes were predicted.
    pub calibration: Option<Calibration>,
    /// Curves of each class against all others; empty if only classes were predicted.
    pub one_vs_rest: Vec<OneVsRest>,
    /// Caveats about the figures.
    pub notes: Vec<String>,
}

/// The curves of one class against all others; the score is the class's probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneVsRest {
    /// The positive class.
    pub class: String,
    /// Its ROC curve.
    pub roc: RocCurve,
    /// Its precision-recall curve.
    pub pr: PrCurve,
}

impl Evaluation {
    /// Evaluates predictions.
    ///
    /// # Errors
    /// Shapes or class indices do not fit.
    pub fn of(predictions: &Predictions<'_>) -> Result<Self, EvaluateError> {
        predictions.check()?;
        let confusion = Confusion::count(predictions.classes, predictions.truth, &predictions.predicted());
        let (mut one_vs_rest, mut calibration) = (Vec::new(), None);
        if let Scores::Probabilities(values) = predictions.scores {
            one_vs_rest = curves(predictions, values);
            calibration = Calibration::of(values, predictions.classes.len(), predictions.truth);
        }
        Ok(Self {
            rows: confusion.rows(),
            rows_without_verdict: confusion.no_verdict.iter().sum(),
            accuracy: confusion.accuracy(),
            balanced_accuracy: confusion.balanced_accuracy(),
            mcc: confusion.mcc(),
            macro_average: confusion.macro_average(),
            weighted_average: confusion.weighted_average(),
            macro_auc: mean(one_vs_rest.iter().filter_map(|class| class.roc.auc)),
            per_class: confusion.per_class(),
            attack: AttackView::of(predictions, &confusion),
            notes: notes(&confusion),
            confusion,
            calibration,
            one_vs_rest,
        })
    }

    /// Recall of attacks at a false-positive rate of at most `max_fpr`; `None` except for 1e-3 and 1e-4.
    pub fn attack_tpr_at(&self, max_fpr: f64) -> Option<f64> {
        let points = &self.attack.as_ref()?.roc.as_ref()?.tpr_at_fpr;
        points.iter().find(|point| point.max_fpr == max_fpr)?.tpr
    }
}

fn curves(predictions: &Predictions<'_>, values: &[f32]) -> Vec<OneVsRest> {
    let width = predictions.classes.len();
    let one = |(class, name): (usize, &String)| {
        let rows = values.chunks_exact(width).zip(predictions.truth).map(|(row, &truth)| {
            let finite = row.iter().all(|p| p.is_finite());
            (if finite { f64::from(row[class]) } else { f64::NAN }, truth as usize == class)
        });
        let ranking = Ranking::new(rows);
        OneVsRest { class: name.clone(), roc: ranking.roc(|score| score), pr: ranking.pr(|score| score) }
    };
    predictions.classes.iter().enumerate().map(one).collect()
}

fn notes(confusion: &Confusion) -> Vec<String> {
    let mut notes = Vec::new();
    let names_of = |matches: &dyn Fn(&ClassMetrics) -> bool| {
        let classes = confusion.per_class();
        let names: Vec<_> =
            classes.iter().filter(|class| matches(class)).map(|class| class.class.clone()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if confusion.rows() == 0 {
        return vec!["There are no rows: all figures are undefined.".to_owned()];
    }
    if let Some(names) = names_of(&|class| class.support == 0) {
        notes.push(format!("Excluded from the averages, without rows in this data: {names}."));
    }
    if let Some(names) = names_of(&|class| class.support > 0 && class.predicted == 0) {
        notes.push(format!("Never predicted, so precision counts as 0: {names}."));
    }
    let present = confusion.support().iter().filter(|rows| **rows > 0).count();
    if present == 1 {
        notes.push(
            "All rows are of one class: the figures do not show whether classes are distinguished."
                .to_owned(),
        );
    }
    let none: u64 = confusion.no_verdict.iter().sum();
    if none > 0 {
        notes.push(format!("{none} rows have a score that is not a finite number; they count as wrong."));
    }
    notes
}

//! Figures of a detector's verdicts on flows.

use serde::{Deserialize, Serialize};

use super::{
    bound::{count_upper_95, share_upper_95},
    classified::{CaptureSpan, Classes, ClassifiedFlow, FlaggedAt},
    detection::{Attack, Quantiles, attacks},
};
use crate::evaluate::{Calibration, Confusion, OperatingPoint, PrCurve, Ranking, RocCurve, mean, share};

/// Figures over flows, serialised in this order. `None` (JSON `null`) if the data does not support a figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Flows.
    pub flows: u64,
    /// Share classified correctly.
    pub accuracy: Option<f64>,
    /// Mean F1 over the classes that have flows.
    pub macro_f1: Option<f64>,
    /// Matthews correlation coefficient over all classes.
    pub mcc: Option<f64>,
    /// Share of the attacks' flows that were flagged, as any class.
    pub recall: Option<f64>,
    /// Share of attacks among the flagged flows.
    pub precision: Option<f64>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Share of the benign flows that were flagged.
    pub false_positive_rate: Option<f64>,
    /// Its upper bound, 95 % one-sided (Clopper-Pearson).
    pub false_positive_rate_upper_95: Option<f64>,
    /// Benign flows that were flagged: false positives.
    pub false_alerts: u64,
    /// Benign flows.
    pub benign_flows: u64,
    /// Flows of attacks.
    pub attack_flows: u64,
    /// Hours of packet time, summed over the captures; all of them contain benign traffic.
    pub hours: f64,
    /// False positives per 24 hours.
    pub false_alerts_per_day: Option<f64>,
    /// Its upper bound, 95 % one-sided (Poisson).
    pub false_alerts_per_day_upper_95: Option<f64>,
    /// Area under the precision-recall curve (average precision), attack against benign.
    pub pr_auc: Option<f64>,
    /// Area under the ROC curve, attack against benign.
    pub roc_auc: Option<f64>,
    /// Recall at false-positive rates of 1e-3 and 1e-4.
    pub tpr_at_fpr: Vec<OperatingPoint>,
    /// Mean over the classes of the area under the one-vs-rest precision-recall curve.
    pub macro_pr_auc: Option<f64>,
    /// Benign flows in captures with an attacker.
    pub benign_in_attacks: Benign,
    /// Benign flows in captures without one.
    pub benign_elsewhere: Benign,
    /// Figures of each class.
    pub per_class: Vec<ClassFigures>,
    /// Truth by verdict.
    pub confusion: Confusion,
    /// Attacks: pairs of capture and attack class.
    pub attacks: u64,
    /// Attacks with at least one flagged flow.
    pub attacks_detected: u64,
    /// Packets until a flow was flagged, over the attacks' flagged flows.
    pub packets_to_detection: Quantiles,
    /// Seconds from a flow's first packet until it was flagged.
    pub seconds_to_detection: Quantiles,
    /// Seconds from an attack's first packet until a flow was flagged.
    pub seconds_to_first_alert: Quantiles,
    /// Figures of each attack.
    pub per_attack: Vec<Attack>,
    /// Calibration of the probabilities; `None` for a detector without.
    pub calibration: Option<Calibration>,
    /// Precision-recall curve, attack against benign.
    pub pr_curve: PrCurve,
    /// ROC curve, attack against benign.
    pub roc_curve: RocCurve,
    /// Why figures are missing.
    pub notes: Vec<String>,
}

/// Figures of a subset of the benign flows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Benign {
    /// Flows.
    pub flows: u64,
    /// Flagged flows: false positives.
    pub false_alerts: u64,
    /// Their share.
    pub false_positive_rate: Option<f64>,
    /// Its upper bound, 95 % one-sided.
    pub false_positive_rate_upper_95: Option<f64>,
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// The class's name.
    pub class: String,
    /// Flows of the class.
    pub flows: u64,
    /// Flows classified as the class.
    pub predicted: u64,
    /// Share of correct ones among the flows classified as the class; `None` without any.
    pub precision: Option<f64>,
    /// Share of the class's flows classified as the class.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall; `None` if the class has no flows.
    pub f1: Option<f64>,
    /// Share of the class's flows flagged as any attack.
    pub flagged: Option<f64>,
    /// Area under the one-vs-rest precision-recall curve.
    pub pr_auc: Option<f64>,
}

impl Figures {
    /// Computes the figures of flows; `flow.capture` indexes `captures`.
    pub fn of(classes: &Classes, captures: &[CaptureSpan], flows: &[ClassifiedFlow]) -> Figures {
        let normal = classes.normal();
        let confusion = confusion(classes, flows);
        let is_attack = |flow: &&ClassifiedFlow| flow.truth != normal;
        let is_flagged = |flow: &&ClassifiedFlow| flow.predicted != normal;
        let attack_flows = flows.iter().filter(is_attack).count() as u64;
        let benign_flows = flows.len() as u64 - attack_flows;
        let flagged = flows.iter().filter(is_flagged).count() as u64;
        let true_positives = flows.iter().filter(is_attack).filter(is_flagged).count() as u64;
        let false_alerts = flagged - true_positives;
        let hours = hours(captures);
        let ranking = Ranking::new(flows.iter().map(|f| (f.score, f.truth != normal)));
        let (pr_curve, roc_curve) = (ranking.pr(|score| score), ranking.roc(|score| score));
        let per_attack = attacks(classes, captures, flows);
        let per_class = per_class(classes, &confusion, flows);
        let detected = || flows.iter().filter(is_attack).filter_map(|flow| Some((flow, flow.flagged_at?)));
        let secs = |(flow, at): (&ClassifiedFlow, FlaggedAt)| {
            at.time_nanos.saturating_sub(flow.first_nanos) as f64 * 1e-9
        };
        let is_attacked =
            |flow: &ClassifiedFlow| captures.get(flow.capture as usize).is_some_and(|c| c.is_attacked);
        let benign = |in_attacks: bool| {
            let subset = || flows.iter().filter(|f| f.truth == normal && is_attacked(f) == in_attacks);
            Benign::of(subset().count() as u64, subset().filter(is_flagged).count() as u64)
        };
        let all = Benign::of(benign_flows, false_alerts);
        let per_day = |events: f64| (hours > 0.0).then(|| events / hours * 24.0);
        Figures {
            flows: flows.len() as u64,
            accuracy: confusion.accuracy(),
            macro_f1: confusion.macro_average().f1,
            mcc: confusion.mcc(),
            recall: share(true_positives, attack_flows),
            precision: share(true_positives, flagged),
            f1: share(2 * true_positives, attack_flows + flagged).filter(|_| attack_flows > 0),
            false_positive_rate: all.false_positive_rate,
            false_positive_rate_upper_95: all.false_positive_rate_upper_95,
            false_alerts,
            benign_flows,
            attack_flows,
            hours,
            false_alerts_per_day: per_day(false_alerts as f64),
            false_alerts_per_day_upper_95: per_day(count_upper_95(false_alerts)),
            pr_auc: pr_curve.average_precision.filter(|_| benign_flows > 0),
            roc_auc: roc_curve.auc,
            tpr_at_fpr: roc_curve.tpr_at_fpr.clone(),
            macro_pr_auc: mean(per_class.iter().filter_map(|class| class.pr_auc)),
            benign_in_attacks: benign(true),
            benign_elsewhere: benign(false),
            attacks: per_attack.len() as u64,
            attacks_detected: per_attack
                .iter()
                .filter(|attack| attack.seconds_to_first_alert.is_some())
                .count() as u64,
            packets_to_detection: Quantiles::of(detected().map(|(_, at)| at.packets as f64).collect()),
            seconds_to_detection: Quantiles::of(detected().map(secs).collect()),
            seconds_to_first_alert: Quantiles::of(
                per_attack.iter().filter_map(|attack| attack.seconds_to_first_alert).collect(),
            ),
            calibration: calibration(classes, flows),
            notes: notes(benign_flows, attack_flows, &roc_curve),
            per_attack,
            per_class,
            confusion,
            pr_curve,
            roc_curve,
        }
    }

    /// Recall at a false-positive rate of at most `max_fpr`; `None` except for 1e-3 and 1e-4.
    pub fn tpr_at(&self, max_fpr: f64) -> Option<f64> {
        self.tpr_at_fpr.iter().find(|point| point.max_fpr == max_fpr)?.tpr
    }
}

impl Benign {
    fn of(flows: u64, false_alerts: u64) -> Benign {
        Benign {
            flows,
            false_alerts,
            false_positive_rate: share(false_alerts, flows),
            false_positive_rate_upper_95: share_upper_95(false_alerts, flows),
        }
    }
}

/// Truth by verdict: all classes of the model, and others that occur.
fn confusion(classes: &Classes, flows: &[ClassifiedFlow]) -> Confusion {
    let occurs = |class: u32| flows.iter().any(|flow| flow.truth == class || flow.predicted == class);
    let shown: Vec<u32> = (0..classes.names().len() as u32)
        .filter(|&class| (class as usize) < classes.known() || occurs(class))
        .collect();
    let index = |class: u32| shown.iter().position(|&k| k == class).map(|at| at as u32);
    let names: Vec<String> =
        shown.iter().filter_map(|&class| classes.names().get(class as usize).cloned()).collect();
    let truth: Vec<u32> = flows.iter().map(|flow| index(flow.truth).unwrap_or(u32::MAX)).collect();
    let predicted: Vec<Option<u32>> = flows.iter().map(|flow| index(flow.predicted)).collect();
    Confusion::count(&names, &truth, &predicted)
}

fn per_class(classes: &Classes, confusion: &Confusion, flows: &[ClassifiedFlow]) -> Vec<ClassFigures> {
    let normal = classes.normal();
    let one = |class: crate::evaluate::ClassMetrics| {
        let index = classes.index(&class.class);
        let of_class = || flows.iter().filter(|flow| flow.truth == index);
        let flagged = of_class().filter(|flow| flow.predicted != normal).count() as u64;
        let p = |flow: &ClassifiedFlow| flow.probabilities.get(index as usize).copied().map(f64::from);
        let has_probabilities = flows.iter().all(|flow| p(flow).is_some());
        let ranking = || Ranking::new(flows.iter().filter_map(|f| Some((p(f)?, f.truth == index))));
        ClassFigures {
            flows: class.support,
            predicted: class.predicted,
            precision: (!class.precision_undefined).then_some(class.precision),
            recall: class.recall,
            f1: class.f1,
            flagged: share(flagged, class.support),
            pr_auc: if has_probabilities { ranking().average_precision() } else { None },
            class: class.class,
        }
    };
    confusion.per_class().into_iter().map(one).collect()
}

/// Flows of classes that the model does not have count as errors.
fn calibration(classes: &Classes, flows: &[ClassifiedFlow]) -> Option<Calibration> {
    let known = classes.known();
    if flows.iter().any(|flow| flow.probabilities.len() != known) {
        return None;
    }
    let probabilities: Vec<f32> = flows.iter().flat_map(|flow| flow.probabilities.iter().copied()).collect();
    let truth: Vec<u32> = flows.iter().map(|flow| flow.truth).collect();
    Calibration::of(&probabilities, known, &truth)
}

fn hours(captures: &[CaptureSpan]) -> f64 {
    let nanos = captures.iter().filter_map(|c| c.span_nanos).map(|(from, to)| to.saturating_sub(from) as f64);
    nanos.sum::<f64>() / 3.6e12
}

fn notes(benign: u64, attack: u64, roc: &RocCurve) -> Vec<String> {
    let mut notes = Vec::new();
    if benign == 0 {
        notes.push("No benign flows: the false-positive rate is undefined.".to_owned());
    }
    if attack == 0 {
        notes.push("No attack flows: recall is undefined.".to_owned());
    }
    let reasons = roc.tpr_at_fpr.iter().filter_map(|point| point.reason.clone());
    if benign > 0 && attack > 0 {
        notes.extend(reasons.map(|reason| format!("Undefined: {reason}.")));
    }
    notes
}

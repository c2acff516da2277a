//! What a detector's calls are worth.

use serde::{Deserialize, Serialize};

use super::{
    bound::{count_upper_95, share_upper_95},
    detection::{Attack, Quantiles, attacks},
    judged::{CaptureSpan, Classes, JudgedFlow},
};
use crate::evaluate::{Calibration, Confusion, OperatingPoint, PrCurve, Ranking, RocCurve};

/// Figures over flows, in the order in which they serialise. `None` (JSON `null`) where the data cannot say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Flows judged.
    pub flows: u64,
    /// Share called by their very class.
    pub accuracy: Option<f64>,
    /// Mean F1 over the classes that have flows.
    pub macro_f1: Option<f64>,
    /// Matthews' correlation coefficient over all classes.
    pub mcc: Option<f64>,
    /// Share of the attacks' flows that were called an attack, by whatever name.
    pub recall: Option<f64>,
    /// Share of attacks among the flows that were called one.
    pub precision: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Share of the benign flows that were called an attack.
    pub false_positive_rate: Option<f64>,
    /// The highest rate that so few false alerts in so many benign flows allow, 95 % one-sided (Clopper-Pearson).
    pub false_positive_rate_upper_95: Option<f64>,
    /// Benign flows that were called an attack.
    pub false_alerts: u64,
    /// Benign flows.
    pub benign_flows: u64,
    /// Flows of attacks.
    pub attack_flows: u64,
    /// Hours of packet time, summed over the captures: benign hosts were at work in all of them.
    pub hours: f64,
    /// False alerts in 24 hours of such traffic.
    pub false_alerts_per_day: Option<f64>,
    /// The highest mean that so few false alerts in so many hours allow, 95 % one-sided (Poisson).
    pub false_alerts_per_day_upper_95: Option<f64>,
    /// Area under the precision-recall curve (average precision), attack against benign, by score.
    pub pr_auc: Option<f64>,
    /// Area under the ROC curve, attack against benign, by score.
    pub roc_auc: Option<f64>,
    /// Share of the attacks' flows over the score that 1 in 1,000 and 1 in 10,000 benign flows reach.
    pub tpr_at_fpr: Vec<OperatingPoint>,
    /// Mean over the classes of the area under the precision-recall curve of each against all others.
    pub macro_pr_auc: Option<f64>,
    /// Benign flows in captures where somebody attacks: bystanders.
    pub benign_in_attacks: Benign,
    /// Benign flows in captures where nobody does.
    pub benign_elsewhere: Benign,
    /// Each class.
    pub per_class: Vec<ClassFigures>,
    /// Truth against calls.
    pub confusion: Confusion,
    /// Attacks: a class in a capture each.
    pub attacks: u64,
    /// Those of which a flow at least was called an attack.
    pub attacks_detected: u64,
    /// A flow's packets until it was called, over flows of attacks that were.
    pub packets_to_detection: Quantiles,
    /// Seconds from a flow's first packet to its call.
    pub seconds_to_detection: Quantiles,
    /// Seconds from an attack's first packet to its first alert.
    pub seconds_to_first_alert: Quantiles,
    /// Each attack.
    pub per_attack: Vec<Attack>,
    /// Whether probabilities mean what they say; `None` for a detector without.
    pub calibration: Option<Calibration>,
    /// Precision and recall, attack against benign, by falling score.
    pub pr_curve: PrCurve,
    /// False and true positives, by falling score.
    pub roc_curve: RocCurve,
    /// What a reader must know to read the figures right.
    pub notes: Vec<String>,
}

/// Benign flows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Benign {
    /// Flows.
    pub flows: u64,
    /// Those called an attack.
    pub false_alerts: u64,
    /// The share.
    pub false_positive_rate: Option<f64>,
    /// Its upper bound, 95 % one-sided.
    pub false_positive_rate_upper_95: Option<f64>,
}

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Its name.
    pub class: String,
    /// Its flows.
    pub flows: u64,
    /// Flows called so.
    pub called: u64,
    /// Right calls of all calls; `None` where it was never called.
    pub precision: Option<f64>,
    /// Right calls of all its flows.
    pub recall: Option<f64>,
    /// Harmonic mean of the two; `None` where it has no flows.
    pub f1: Option<f64>,
    /// Share of its flows that were called any attack.
    pub flagged: Option<f64>,
    /// Area under the precision-recall curve of its probability against all other flows.
    pub pr_auc: Option<f64>,
}

impl Figures {
    /// Judges flows of captures.
    pub fn of(classes: &Classes, captures: &[CaptureSpan], flows: &[JudgedFlow]) -> Figures {
        let normal = classes.normal();
        let confusion = confusion(classes, flows);
        let is_attack = |flow: &&JudgedFlow| flow.truth != normal;
        let is_called = |flow: &&JudgedFlow| flow.called != normal;
        let attack_flows = flows.iter().filter(is_attack).count() as u64;
        let benign_flows = flows.len() as u64 - attack_flows;
        let called = flows.iter().filter(is_called).count() as u64;
        let found = flows.iter().filter(is_attack).filter(is_called).count() as u64;
        let false_alerts = called - found;
        let hours = hours(captures);
        let ranking = Ranking::new(flows.iter().map(|f| (f.score, f.truth != normal)));
        let (pr_curve, roc_curve) = (ranking.pr(|score| score), ranking.roc(|score| score));
        let per_attack = attacks(classes, captures, flows);
        let per_class = per_class(classes, &confusion, flows);
        let detected =
            || flows.iter().filter(is_attack).filter_map(|flow| flow.alert.map(|alert| (flow, alert)));
        let secs = |(flow, alert): (&JudgedFlow, super::Alert)| {
            alert.time_nanos.saturating_sub(flow.first_nanos) as f64 * 1e-9
        };
        let attacked = |flow: &JudgedFlow| captures.get(flow.capture as usize).is_some_and(|c| c.is_attacked);
        let benign = |in_attacks: bool| {
            let of_kind = || flows.iter().filter(|f| f.truth == normal && attacked(f) == in_attacks);
            Benign::of(of_kind().count() as u64, of_kind().filter(is_called).count() as u64)
        };
        let all = Benign::of(benign_flows, false_alerts);
        let a_day = |events: f64| (hours > 0.0).then(|| events / hours * 24.0);
        Figures {
            flows: flows.len() as u64,
            accuracy: confusion.accuracy(),
            macro_f1: confusion.macro_average().f1,
            mcc: confusion.mcc(),
            recall: share(found, attack_flows),
            precision: share(found, called),
            f1: share(2 * found, attack_flows + called).filter(|_| attack_flows > 0),
            false_positive_rate: all.false_positive_rate,
            false_positive_rate_upper_95: all.false_positive_rate_upper_95,
            false_alerts,
            benign_flows,
            attack_flows,
            hours,
            false_alerts_per_day: a_day(false_alerts as f64),
            false_alerts_per_day_upper_95: a_day(count_upper_95(false_alerts)),
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
            packets_to_detection: Quantiles::of(detected().map(|(_, alert)| alert.packets as f64).collect()),
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

    /// Share of the attacks' flows flagged while at most `max_fpr` of the benign ones are; 1e-3 and 1e-4 are known.
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

/// Truth against calls; classes of the model always, others where they occur.
fn confusion(classes: &Classes, flows: &[JudgedFlow]) -> Confusion {
    let occurs = |class: u32| flows.iter().any(|flow| flow.truth == class || flow.called == class);
    let kept: Vec<u32> = (0..classes.names().len() as u32)
        .filter(|&class| (class as usize) < classes.known() || occurs(class))
        .collect();
    let place = |class: u32| kept.iter().position(|&k| k == class).map(|at| at as u32);
    let names: Vec<String> =
        kept.iter().filter_map(|&class| classes.names().get(class as usize).cloned()).collect();
    let truth: Vec<u32> = flows.iter().map(|flow| place(flow.truth).unwrap_or(u32::MAX)).collect();
    let called: Vec<Option<u32>> = flows.iter().map(|flow| place(flow.called)).collect();
    Confusion::count(&names, &truth, &called)
}

fn per_class(classes: &Classes, confusion: &Confusion, flows: &[JudgedFlow]) -> Vec<ClassFigures> {
    let normal = classes.normal();
    let one = |class: crate::evaluate::ClassMetrics| {
        let number = classes.number(&class.class);
        let of_class = || flows.iter().filter(|flow| flow.truth == number);
        let flagged = of_class().filter(|flow| flow.called != normal).count() as u64;
        let p = |flow: &JudgedFlow| flow.probabilities.get(number as usize).copied().map(f64::from);
        let ranked = flows.iter().all(|flow| p(flow).is_some());
        let ranking = || Ranking::new(flows.iter().filter_map(|f| Some((p(f)?, f.truth == number))));
        ClassFigures {
            flows: class.support,
            called: class.predicted,
            precision: (!class.precision_undefined).then_some(class.precision),
            recall: class.recall,
            f1: class.f1,
            flagged: share(flagged, class.support),
            pr_auc: if ranked { ranking().average_precision() } else { None },
            class: class.class,
        }
    };
    confusion.per_class().into_iter().map(one).collect()
}

/// Flows of classes that the model does not know count as called wrongly.
fn calibration(classes: &Classes, flows: &[JudgedFlow]) -> Option<Calibration> {
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
        notes.push("There is no benign flow: nothing can be said about false alerts.".to_owned());
    }
    if attack == 0 {
        notes.push("No flow belongs to an attack: nothing can be said about what is found.".to_owned());
    }
    let reasons = roc.tpr_at_fpr.iter().filter_map(|point| point.reason.clone());
    if benign > 0 && attack > 0 {
        notes.extend(reasons.map(|reason| format!("No figure: {reason}.")));
    }
    notes
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

//! Evaluation of a detector per flow, on labelled recordings.
//!
//! In: recordings (a manifest and its captures) and a detector. Out: [`Figures`] per class and overall: false
//! positives, attacks detected, time to detection, calibration; and the same for baselines on the same flows.
//!
//! A flow is a conversation under the flow policy `live`. Its class is its capture's scenario if one of its endpoints
//! is an attacker, otherwise `normal`. Figures count the detector's verdicts, not the most probable class.

mod baselines;
mod bound;
mod classified;
mod classify;
mod detection;
mod figures;
mod folds;
mod rules;
mod source;

pub use baselines::{Baseline, Baselines, rules};
pub use bound::{count_upper_95, share_upper_95};
pub use classified::{CaptureSpan, Classes, ClassifiedFlow, FlaggedAt, UNKNOWN};
pub use classify::{ClassifiedFlows, FlowsError, classify};
pub use detection::{Attack, Quantiles, detection_curve};
pub use figures::{Benign, ClassFigures, Figures};
pub use folds::Spread;
pub use rules::rules_in_words;
pub use source::{LabelledCapture, manifest_of};

//! Detectors judged flow by flow on recordings: what counts before anything else.
//!
//! In: recordings (a manifest and its captures) and, of every flow in them, what a detector said. Out: [`Figures`]:
//! per class and over all, how many false alerts the benign flows allow, which attacks were noticed and after how
//! long, and whether the probabilities mean what they say.
//!
//! A flow is a conversation of the policy `live`. Its class is its capture's scenario where an attacker is one of its
//! ends, else `normal`; it is the detector's call, not the highest probability, that is counted.

mod baselines;
mod bound;
mod detection;
mod figures;
mod folds;
mod judged;
mod rules;
mod source;
mod walk;

pub use baselines::{Baseline, Baselines, rules};
pub use bound::{count_upper_95, share_upper_95};
pub use detection::{Attack, Quantiles, detection_curve};
pub use figures::{Benign, ClassFigures, Figures};
pub use folds::Spread;
pub use judged::{Alert, CaptureSpan, Classes, JudgedFlow, UNKNOWN};
pub use rules::rules_in_words;
pub use source::{Labelled, manifest_of};
pub use walk::{FlowsError, Judged, judge};

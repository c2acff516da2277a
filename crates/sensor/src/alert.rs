//! What leaves the sensor: records and alerts, in the forms that other tools read.
//!
//! In: what detectors find ([`Finding`]). [`incident`] folds that into alerts, [`rules`] are detectors beside the model,
//! [`eve`] writes what Suricata's readers read.

pub mod eve;
mod finding;
mod flow_ref;
pub mod incident;
pub mod rules;
pub mod settings;
pub mod signature;
mod suppress;

pub use finding::{Detector, Finding, RuleId};
pub use flow_ref::{FlowRef, flow_id};
pub use incident::{Alert, Incident, Incidents, Stage};
pub use suppress::{Daily, Network, Subject, Suppression};

//! What leaves the sensor: records and alerts, in the forms that other tools read.

pub mod eve;
mod finding;

pub use finding::{Detector, Finding, RuleId};

//! The data path of the sensor, in order: `capture -> flow -> feature -> detect -> alert`; [`pipeline`] runs it.
//!
//! Time is packet time only. Hostile packets are data: counted and named, never a panic.

#![deny(unsafe_code)]

pub mod alert;
pub mod capture;
pub mod detect;
pub mod feature;
pub mod flow;
pub mod inspect;
pub mod metrics;
pub mod output;
pub mod pipeline;

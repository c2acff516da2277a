//! The data path of Citronella, in order: `capture -> flow -> feature -> detect -> alert`.
//!
//! It knows packet time only; hostile packets are data, counted and named, never a panic.

#![deny(unsafe_code)]

pub mod alert;
pub mod capture;
pub mod detect;
pub mod feature;
pub mod flow;
pub mod inspect;
pub mod output;
pub mod pipeline;

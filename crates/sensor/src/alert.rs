//! Alerts: findings become incidents, and incidents become events.
//!
//! In: the [`Finding`](crate::detect::Finding)s of detection, and time. Out: [`Event`]s to a [`Sink`]. [`engine`] runs
//! it; [`incident`] groups findings, [`rules`] detect exact conditions, [`signature`] names classes and rules, [`drift`]
//! compares benign scores with the thresholds. Limits: [`settings`].

pub mod drift;
pub mod engine;
mod event;
mod flow_ref;
pub mod incident;
pub mod rules;
pub mod settings;
pub mod signature;
mod suppress;

pub use event::{Alert, Event, Sink, SinkError, Stats};
pub use flow_ref::{FlowRef, flow_id};
pub use suppress::{Daily, Network, Subject, Suppression};

//! The configuration of `detect`: a TOML file and command-line arguments, resolved once into an immutable plan.
//!
//! In: [`DetectArgs`] (what the command line gave; every field optional) and [`ConfigFile`] (the TOML file). Out:
//! [`DetectPlan`], whose values are in range and free of conflicts. Precedence: command line, then file, then default.
//! [`RuntimePlan`] is the part of the plan that can change while the sensor runs; it is resolved again on SIGHUP.

mod args;
mod check;
mod error;
mod eve;
mod file;
mod filter;
mod load;
mod plan;
mod suggest;

pub use args::{DetectArgs, Sandbox};
pub use check::{RING_MIB, SNAPLEN, THREADS, is_valid_rate};
pub use error::ConfigError;
pub use eve::{EveKind, EveSection};
pub use file::{CaptureSection, ConfigFile, DetectSection, StateSection};
pub use filter::FilterArgs;
pub use plan::{Destination, DetectPlan, EvePlan, Input, Interfaces, Recordings, RuntimePlan, SummaryFormat};

/// A TOML file with every key, its default and its meaning.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

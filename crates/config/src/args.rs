//! The arguments as given on the command line, before defaults and the file apply.

use std::path::PathBuf;

use citronella_nn::Precision;

use crate::{eve::EveKind, filter::FilterArgs};

/// The arguments of `detect`. `None`, an empty list or `false` means that the argument was not given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectArgs {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `-r`: captures, read in this order; `-` is stdin.
    pub recordings: Vec<PathBuf>,
    /// `--replay-speed`: a multiple of the recorded pace; 0 is as fast as possible.
    pub replay_speed: Option<f64>,
    /// `-i`.
    pub interfaces: Vec<String>,
    /// `--snaplen`, in bytes.
    pub snaplen: Option<u32>,
    /// `--ring-mib`.
    pub ring_mib: Option<u32>,
    /// `--no-promiscuous`.
    pub no_promiscuous: bool,
    /// `--ignore-outgoing`.
    pub ignore_outgoing: bool,
    /// `--user`: `NAME` or `NAME:GROUP`.
    pub user: Option<String>,
    /// `--require-sandbox`, `--no-sandbox`.
    pub sandbox: Option<Sandbox>,
    /// `--port`, `--net`, `--filter`.
    pub filter: FilterArgs,
    /// `--model`.
    pub model: Option<PathBuf>,
    /// `--precision`.
    pub precision: Option<Precision>,
    /// `--threads`.
    pub threads: Option<u16>,
    /// `--false-alerts-per-day`.
    pub false_alerts_per_day: Option<f32>,
    /// `--eve`; `-` is stdout.
    pub eve: Option<PathBuf>,
    /// `--eve-types`.
    pub eve_types: Vec<EveKind>,
    /// `--log-passwords`.
    pub log_passwords: bool,
    /// `--state`.
    pub state: Option<PathBuf>,
    /// `--verdicts`; `-` is stdout.
    pub verdicts: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
}

/// How strictly the process confines itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Every step that the kernel supports; what is missing is reported.
    #[default]
    BestEffort,
    /// Every step, or the run is refused.
    Required,
    /// None.
    Off,
}

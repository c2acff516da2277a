//! The sections of the TOML file, as serde reads them.

use std::path::PathBuf;

use citronella_sensor::alert::{
    Network, Suppression,
    settings::{AlertSettings, RuleSettings, Settings},
};
use serde::{Deserialize, Serialize};

use crate::eve::EveSection;

/// The whole file. [`ConfigFile::load`] reads and checks one; the default is what an empty file means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// `[detect]`.
    pub detect: DetectSection,
    /// `[capture]`.
    pub capture: CaptureSection,
    /// `[eve]`.
    pub eve: EveSection,
    /// `[state]`.
    pub state: StateSection,
    /// `[alerts]`.
    pub alerts: AlertSettings,
    /// `[rules]`.
    pub rules: RuleSettings,
    /// `[[suppress]]`.
    pub suppress: Vec<Suppression>,
}

/// `[detect]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectSection {
    /// Model file; without it the embedded model.
    pub model: Option<PathBuf>,
    /// Number of threads; without it 1.
    pub threads: Option<u16>,
    /// False positives a day for which the model's thresholds are chosen; without it the thresholds of the model file.
    pub false_alerts_per_day: Option<f32>,
}

/// `[capture]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureSection {
    /// Interfaces to capture from; `any` is all of them.
    pub interfaces: Vec<String>,
    /// TCP or UDP ports, of source or destination; empty: all.
    pub ports: Vec<u16>,
    /// Networks or addresses, of source or destination; empty: all.
    pub networks: Vec<Network>,
    /// Filter expression in tcpdump's syntax.
    pub filter: Option<String>,
    /// Bytes captured of a packet.
    pub snaplen: u32,
    /// Size in MiB of the ring buffer of one thread and interface.
    pub ring_mib: u32,
    /// Whether packets for other hosts are captured.
    pub promiscuous: bool,
    /// Whether packets that this host sends are left out.
    pub ignore_outgoing: bool,
}

impl Default for CaptureSection {
    fn default() -> CaptureSection {
        CaptureSection {
            interfaces: Vec::new(),
            ports: Vec::new(),
            networks: Vec::new(),
            filter: None,
            snaplen: 262_144,
            ring_mib: 32,
            promiscuous: true,
            ignore_outgoing: false,
        }
    }
}

/// `[state]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateSection {
    /// Folder in which state is stored; without it state is lost when the process ends.
    pub folder: Option<PathBuf>,
}

impl ConfigFile {
    /// The settings of alerts, rules and suppression.
    pub fn settings(&self) -> Settings {
        Settings { alerts: self.alerts.clone(), rules: self.rules, suppress: self.suppress.clone() }
    }
}

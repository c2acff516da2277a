//! Which records are written, and where to.

use std::path::{Path, PathBuf};

use citronella_sensor::alert::eve::EveOptions;
use serde::{Deserialize, Serialize};

use crate::config::Configuration;

/// What of alerts can be given on the command line.
#[derive(clap::Args)]
pub(crate) struct AlertArguments {
    /// Read the configuration from a TOML file (`citronella config show`); the command line goes before it
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    pub(crate) config: Option<PathBuf>,
    /// Choose the model's thresholds for so many benign flows called an attack a day [default: the model's own, 1]
    #[arg(long, value_name = "N", value_parser = per_day, help_heading = "Alerts")]
    pub(crate) false_alerts_per_day: Option<f32>,
    /// Write EVE JSON records, as Suricata's, into FILE; - is stdout, in place of the summary
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    eve: Option<PathBuf>,
    /// Which EVE records are written; all but alert and stats follow every connection and cost speed [default: alert,stats]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', help_heading = "Alerts")]
    eve_types: Vec<EveKind>,
    /// Write the passwords of CONNECTs into the records; else only their lengths
    #[arg(long, help_heading = "Alerts")]
    log_passwords: bool,
    /// Keep hosts' counts and open incidents in DIR over a restart
    #[arg(long, value_name = "DIR", help_heading = "Alerts")]
    state: Option<PathBuf>,
}

fn per_day(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if f32::is_finite(number) && number >= 0.0 => Ok(number),
        _ => Err("expected a number such as 1 or 0.1".to_owned()),
    }
}

impl AlertArguments {
    /// What the configuration is called in messages.
    pub(crate) fn name(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("configuration"))
    }

    /// Puts what was given in the place of what the file says.
    pub(crate) fn go_before(&self, configuration: &mut Configuration) {
        if self.false_alerts_per_day.is_some() {
            configuration.detect.false_alerts_per_day = self.false_alerts_per_day;
        }
        let eve = &mut configuration.eve;
        if self.eve.is_some() {
            eve.file.clone_from(&self.eve);
        }
        if !self.eve_types.is_empty() {
            eve.types.clone_from(&self.eve_types);
        }
        eve.log_passwords |= self.log_passwords;
        if self.state.is_some() {
            configuration.state.folder.clone_from(&self.state);
        }
    }
}

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EveKind {
    Alert,
    Stats,
    Flow,
    Mqtt,
    Anomaly,
    Tls,
}

/// `[eve]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EveChoice {
    /// None are written without it; `-` is stdout.
    pub(crate) file: Option<PathBuf>,
    /// Types of records.
    pub(crate) types: Vec<EveKind>,
    /// MiB at which the file is moved to `FILE.1`; 0: never.
    pub(crate) rotate_mib: u64,
    /// Moved files that are kept.
    pub(crate) keep: u32,
    /// MiB of records that may wait to be written.
    pub(crate) queue_mib: usize,
    /// Passwords of CONNECTs are written; else their lengths.
    pub(crate) log_passwords: bool,
    /// Bytes of a text or payload that are written.
    pub(crate) max_text: usize,
}

impl Default for EveChoice {
    fn default() -> EveChoice {
        EveChoice {
            file: None,
            types: vec![EveKind::Alert, EveKind::Stats],
            rotate_mib: 0,
            keep: 5,
            queue_mib: 64,
            log_passwords: false,
            max_text: EveOptions::default().text_bytes,
        }
    }
}

impl EveChoice {
    pub(crate) fn is_stdout(&self) -> bool {
        self.file.as_deref() == Some(Path::new("-"))
    }

    /// The file, unless it is stdout.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        self.file.as_ref().filter(|_| !self.is_stdout())
    }

    pub(crate) fn options(&self) -> EveOptions {
        let has = |kind| self.types.contains(&kind);
        EveOptions {
            alert: has(EveKind::Alert),
            stats: has(EveKind::Stats),
            flow: has(EveKind::Flow),
            mqtt: has(EveKind::Mqtt),
            anomaly: has(EveKind::Anomaly),
            tls: has(EveKind::Tls),
            log_passwords: self.log_passwords,
            text_bytes: self.max_text,
            ..EveOptions::default()
        }
    }
}

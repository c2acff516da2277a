//! `[eve]`: which EVE records are written, and where.

use std::{path::PathBuf, str::FromStr};

use citronella_eve::EveOptions;
use serde::{Deserialize, Serialize};

use crate::suggest::did_you_mean;

/// A type of EVE record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EveKind {
    /// Incidents that open, continue and close.
    Alert,
    /// Counters of the sensor, every 10 s.
    Stats,
    /// One record for each flow that ended.
    Flow,
    /// MQTT transactions.
    Mqtt,
    /// Protocol violations.
    Anomaly,
    /// TLS ClientHellos.
    Tls,
}

impl EveKind {
    /// All types.
    pub const ALL: [EveKind; 6] =
        [EveKind::Alert, EveKind::Stats, EveKind::Flow, EveKind::Mqtt, EveKind::Anomaly, EveKind::Tls];
    /// Their names, in the order of [`EveKind::ALL`].
    pub const NAMES: [&str; 6] = ["alert", "stats", "flow", "mqtt", "anomaly", "tls"];
}

impl FromStr for EveKind {
    type Err = String;

    fn from_str(text: &str) -> Result<EveKind, String> {
        let position = EveKind::NAMES.iter().position(|name| *name == text);
        position.and_then(|position| EveKind::ALL.get(position).copied()).ok_or_else(|| {
            let known = EveKind::NAMES.join(", ");
            format!("{text:?} is not one of {known}{}", did_you_mean(text, &EveKind::NAMES))
        })
    }
}

/// `[eve]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EveSection {
    /// Output file; `-` is stdout. Without it no records are written.
    pub file: Option<PathBuf>,
    /// Record types.
    pub types: Vec<EveKind>,
    /// Size in MiB at which the file is rotated to `FILE.1`; 0: never.
    pub rotate_mib: u64,
    /// Number of rotated files that are retained.
    pub keep: u32,
    /// Size in MiB of the queue between detection and the writer.
    pub queue_mib: usize,
    /// Whether passwords of CONNECT messages are written; otherwise only their lengths.
    pub log_passwords: bool,
    /// Bytes of a text or payload after which it is truncated.
    pub max_text: usize,
}

impl Default for EveSection {
    fn default() -> EveSection {
        EveSection {
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

impl EveSection {
    /// What the EVE writer writes.
    pub fn options(&self) -> EveOptions {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn record_types_have_the_same_names_on_the_command_line_and_in_the_file() {
        for (kind, name) in EveKind::ALL.into_iter().zip(EveKind::NAMES) {
            assert_eq!(name.parse::<EveKind>().unwrap(), kind);
            let section = toml::from_str::<EveSection>(&format!("types = ['{name}']")).unwrap();
            assert_eq!(section.types, [kind]);
        }
        assert!("alerts".parse::<EveKind>().unwrap_err().contains("did you mean `alert`?"));
    }
}

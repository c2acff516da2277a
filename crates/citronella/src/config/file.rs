//! The configuration file: read, refused with the place and the nearest known key, checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use citronella_sensor::alert::{
    Suppression,
    settings::{AlertSettings, RuleSettings, Settings},
    signature::RULES,
};
use citronella_sensor::capture::expression::Expression;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::detect::EveChoice;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Configuration {
    pub(crate) detect: DetectSection,
    pub(crate) capture: CaptureSection,
    pub(crate) eve: EveChoice,
    pub(crate) state: StateSection,
    pub(crate) alerts: AlertSettings,
    pub(crate) rules: RuleSettings,
    pub(crate) suppress: Vec<Suppression>,
}

/// `[detect]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DetectSection {
    pub(crate) model: Option<PathBuf>,
    pub(crate) threads: Option<u16>,
    pub(crate) false_alerts_per_day: Option<f32>,
}

/// `[capture]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CaptureSection {
    pub(crate) interfaces: Vec<String>,
    pub(crate) ports: Vec<u16>,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) filter: Option<String>,
    pub(crate) snaplen: u32,
    pub(crate) ring_mib: u32,
    pub(crate) promiscuous: bool,
    pub(crate) ignore_outgoing: bool,
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
pub(crate) struct StateSection {
    pub(crate) folder: Option<PathBuf>,
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is no TOML, has a key that is not known or a value that cannot be: with its line.
    pub(crate) fn load(path: &Path) -> Result<Configuration> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let configuration: Configuration = match toml::from_str(&text) {
            Ok(configuration) => configuration,
            Err(error) => {
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map(|before| format!(":{}", before.matches('\n').count() + 1));
                bail!("{}{}: {}", path.display(), line.unwrap_or_default(), in_words(error.message()));
            }
        };
        configuration.check(path)?;
        Ok(configuration)
    }

    /// What alerts and rules are set to.
    pub(crate) fn settings(&self) -> Settings {
        Settings { alerts: self.alerts.clone(), rules: self.rules, suppress: self.suppress.clone() }
    }

    fn check(&self, path: &Path) -> Result<()> {
        let (alerts, capture) = (&self.alerts, &self.capture);
        let rising = alerts.updates_secs.windows(2).all(|pair| pair[0] < pair[1]);
        let empty = self.suppress.iter().position(|entry| *entry == Suppression::default());
        for (good, what) in [
            (
                self.detect.false_alerts_per_day.is_none_or(|per_day| per_day.is_finite() && per_day >= 0.0),
                "detect.false_alerts_per_day: has to be 0 or more",
            ),
            (alerts.flows >= 1, "alerts.flows: has to be 1 or more"),
            (alerts.flows_of.values().all(|flows| *flows >= 1), "alerts.flows_of: has to be 1 or more"),
            (alerts.window_secs >= 1, "alerts.window_secs: has to be 1 or more"),
            ((0.0..=60.0).contains(&alerts.settle_secs), "alerts.settle_secs: has to be between 0 and 60"),
            ((0.0..=1.0).contains(&alerts.minor_share), "alerts.minor_share: has to be between 0 and 1"),
            (alerts.quiet_secs >= 1, "alerts.quiet_secs: has to be 1 or more"),
            (rising && !alerts.updates_secs.contains(&0), "alerts.updates_secs: have to rise, from 1 on"),
            (alerts.per_minute >= 1, "alerts.per_minute: has to be 1 or more"),
            (
                (1..=1 << 20).contains(&alerts.max_incidents),
                "alerts.max_incidents: has to be between 1 and 1048576",
            ),
            (
                self.detect.threads.is_none_or(|threads| (1..=256).contains(&threads)),
                "detect.threads: has to be between 1 and 256",
            ),
            ((64..=262_144).contains(&capture.snaplen), "capture.snaplen: has to be between 64 and 262144"),
            ((1..=4_096).contains(&capture.ring_mib), "capture.ring_mib: has to be between 1 and 4096"),
            ((1..=65_536).contains(&self.eve.queue_mib), "eve.queue_mib: has to be between 1 and 65536"),
            (self.eve.rotate_mib <= 1 << 30, "eve.rotate_mib: has to be 1073741824 or less"),
            (
                empty.is_none(),
                "suppress: an entry without a key would fit nothing; give it one, or leave it out",
            ),
        ] {
            ensure!(good, "{}: {what}", path.display());
        }
        Ok(())
    }

    /// Whether its filter can be read. Not where it is read again: it stays what it was, and names and services are not
    /// to be looked up within a sandbox.
    ///
    /// # Errors
    /// It cannot, or the program was built without libpcap.
    pub(crate) fn check_filter(&self, path: &Path) -> Result<()> {
        let Some(filter) = &self.capture.filter else { return Ok(()) };
        Expression::new(filter).with_context(|| format!("{}: capture.filter", path.display()))?;
        Ok(())
    }

    /// Whether the classes that it names are the model's, or rules.
    ///
    /// # Errors
    /// One is neither, with the nearest that is.
    pub(crate) fn check_names(&self, path: &Path, classes: &[String]) -> Result<()> {
        let classes: Vec<&str> = classes.iter().skip(1).map(String::as_str).chain(["unknown"]).collect();
        let rules = RULES.iter().map(|rule| rule.key);
        let both: Vec<&str> = classes.iter().copied().chain(rules).collect();
        // What has a default may stand there whatever the model's classes are.
        let default = AlertSettings::default();
        let chosen = self.alerts.flows_of.keys().filter(|name| !default.flows_of.contains_key(*name));
        let flows_of = chosen.map(|name| ("alerts.flows_of", name, &classes));
        let suppress = self.suppress.iter().filter_map(|entry| entry.class.as_ref());
        for (place, name, known) in flows_of.chain(suppress.map(|name| ("suppress.class", name, &both))) {
            ensure!(
                known.contains(&name.as_str()),
                "{}: {place}: {name:?} is none of {}{}",
                path.display(),
                known.join(", "),
                did_you_mean(name, known)
            );
        }
        Ok(())
    }
}

/// The message of the TOML reader, with the nearest key where one is not known.
fn in_words(message: &str) -> String {
    let message = message.trim();
    let Some(rest) =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))
    else {
        return message.to_owned();
    };
    let quoted: Vec<&str> = rest.split('`').step_by(2).collect();
    let Some((name, known)) = quoted.split_first() else { return message.to_owned() };
    let known: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    format!("unknown {what} `{name}`{}; known here: {}", did_you_mean(name, &known), known.join(", "))
}

/// `; did you mean ...?` where something is near enough.
fn did_you_mean(name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|other| (strsim::jaro_winkler(name, other), other));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, other)) if likeness > 0.7 => format!("; did you mean `{other}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_has_every_key_and_its_default() {
        let text = super::super::DEFAULTS;
        let defaults = Configuration::default();
        assert_eq!(toml::from_str::<Configuration>(text).unwrap(), defaults);
        // Keys without a default stand there as comments.
        let uncommented = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") || rest.starts_with("[[") => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        let all = toml::from_str::<Configuration>(&uncommented).unwrap();
        assert!(all.detect.model.is_some() && all.detect.threads.is_some());
        assert!(all.detect.false_alerts_per_day.is_some());
        assert!(all.eve.file.is_some() && all.state.folder.is_some());
        let entry = toml::Value::try_from(&all.suppress[0]).unwrap();
        assert_eq!(entry.as_table().unwrap().len(), 7);
        let written = toml::Value::try_from(&defaults).unwrap();
        for (section, keys) in written.as_table().unwrap() {
            for key in keys.as_table().into_iter().flat_map(|table| table.keys()) {
                let shown =
                    text.contains(&format!("\n{key} = ")) || text.contains(&format!("[{section}.{key}]"));
                assert!(shown, "{section}.{key}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_nearest_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        for (text, says) in [
            (
                "[alerts]\nflws = 3\n",
                &["c.toml:2: unknown key `flws`; did you mean `flows`?", "window_secs"][..],
            ),
            ("\n\n[alert]\n", &["c.toml:3: unknown key `alert`; did you mean `alerts`?"]),
            ("[rules]\nheld = true\n", &["c.toml:2", "a number above 0, or false"]),
            ("[rules]\nheld = -1\n", &["c.toml:2", "a number above 0, or false"]),
            ("[eve]\ntypes = ['alerts']\n", &["c.toml:2: unknown value `alerts`; did you mean `alert`?"]),
            ("[alerts]\nflows = 'many'\n", &["c.toml:2", "invalid type"]),
            ("[alerts\n", &["c.toml:1"]),
            ("[alerts]\nupdates_secs = [300, 60]\n", &["alerts.updates_secs: have to rise"]),
            ("[[suppress]]\nsource = '10.0.0'\n", &["c.toml:2", "no address"]),
            ("[[suppress]]\n", &["suppress: an entry without a key"]),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = format!("{:#}", Configuration::load(&path).unwrap_err());
            for part in says {
                assert!(message.contains(part), "{part:?} is not in {message}");
            }
        }
        std::fs::write(&path, "[rules]\nheld = false\n[alerts.flows_of]\nscan_B = 2\n").unwrap();
        let configuration = Configuration::load(&path).unwrap();
        let classes = ["normal", "scan_A"].map(str::to_owned);
        let message = configuration.check_names(&path, &classes).unwrap_err().to_string();
        assert!(message.contains("did you mean `scan_A`?"), "{message}");
    }
}

//! Settings of alerts and rules: the tables `[alerts]`, `[rules]` and `[[suppress]]` of the configuration.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Suppression;

/// What has to detect an attack before an alert is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Corroboration {
    /// The model or a rule.
    #[default]
    Any,
    /// The model, with or without a rule.
    Model,
    /// The model and a rule.
    ModelAndRule,
}

/// How findings become alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Flows of one initiator and class that the model has to flag within `window_secs`.
    pub flows: u32,
    /// The same for single classes.
    pub flows_of: BTreeMap<String, u32>,
    /// Packet time in seconds.
    pub window_secs: u32,
    /// Seconds between enough findings and the alert, in which the dominant class becomes clear.
    pub settle_secs: f64,
    /// A class with less than this share of the findings of another class of the same initiator opens no incident.
    pub minor_share: f32,
    /// Seconds without a finding after which an incident is closed.
    pub quiet_secs: u32,
    /// Seconds after its start at which an ongoing incident is reported again; beyond the last one the interval doubles.
    pub updates_secs: Vec<u32>,
    /// What has to detect it.
    pub corroboration: Corroboration,
    /// Most alerts per minute; further incidents wait, further updates are omitted.
    pub per_minute: u32,
    /// Most open incidents, and most candidates.
    pub max_incidents: usize,
}

impl Default for AlertSettings {
    fn default() -> AlertSettings {
        AlertSettings {
            flows: 3,
            flows_of: BTreeMap::from([("flood".to_owned(), 1), ("slowite".to_owned(), 6)]),
            window_secs: 60,
            settle_secs: 2.0,
            minor_share: 0.1,
            quiet_secs: 300,
            updates_secs: vec![60, 300, 1_800],
            corroboration: Corroboration::Any,
            per_minute: 60,
            max_incidents: 4_096,
        }
    }
}

/// The count at which a rule raises a finding, or `false`: the rule is off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(pub Option<f32>);

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(threshold) => to.serialize_f32(threshold),
            None => to.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Threshold, D::Error> {
        struct ThresholdVisitor;
        impl de::Visitor<'_> for ThresholdVisitor {
            type Value = Threshold;
            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("a number above 0, or false")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Threshold, E> {
                if on { Err(E::invalid_value(de::Unexpected::Bool(on), &self)) } else { Ok(Threshold(None)) }
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Threshold, E> {
                if number > 0.0 && number.is_finite() {
                    Ok(Threshold(Some(number as f32)))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(number), &self))
                }
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Threshold, E> {
                self.visit_f64(number as f64)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Threshold, E> {
                self.visit_f64(number as f64)
            }
        }
        from.deserialize_any(ThresholdVisitor)
    }
}

const fn at(threshold: f32) -> Threshold {
    Threshold(Some(threshold))
}

/// Thresholds of the rules. Counts decay with a time constant of 60 s (10 s for `violations`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSettings {
    /// Connections of a host that were silent for more than one and a half times their keep-alive, over about 60 s.
    pub keep_alive: Threshold,
    /// Accepted MQTT connections that a host holds without using them.
    pub held: Threshold,
    /// MQTT logins of a host refused over about 60 s.
    pub refused_mqtt: Threshold,
    /// SSH logins of a host refused over about 60 s.
    pub refused_ssh: Threshold,
    /// User names that were new to a host over about 60 s.
    pub user_names: Threshold,
    /// Client identifiers that were new to a host over about 60 s.
    pub client_ids: Threshold,
    /// A subscription to `#` or `$SYS` by a host first seen at least this many seconds after the sensor started.
    pub wildcard: Threshold,
    /// MQTT messages on a host's connections that violate the standard, over about 10 s.
    pub violations: Threshold,
}

impl Default for RuleSettings {
    fn default() -> RuleSettings {
        RuleSettings {
            keep_alive: at(5.0),
            held: at(20.0),
            refused_mqtt: at(10.0),
            refused_ssh: at(20.0),
            user_names: at(10.0),
            client_ids: at(120.0),
            wildcard: at(600.0),
            violations: at(20.0),
        }
    }
}

/// All settings of the alert engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[alerts]`.
    pub alerts: AlertSettings,
    /// `[rules]`.
    pub rules: RuleSettings,
    /// `[[suppress]]`.
    pub suppress: Vec<Suppression>,
}

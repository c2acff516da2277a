//! Suppression of findings by initiator, target, class or rule, and time.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

/// An entry of the suppression list: a finding that matches all of its fields raises no incident, and is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// The initiator's address or network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Network>,
    /// The responder's address or network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Network>,
    /// The responder's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A class of the model, or a rule's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Time of day in UTC, `22:00-04:30`; spans midnight if the first time is the later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Daily>,
    /// From this time on, `2026-11-24T10:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<jiff::Timestamp>,
    /// Until this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<jiff::Timestamp>,
}

/// The finding that an entry is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The initiator.
    pub source: IpAddr,
    /// The responder.
    pub target: (IpAddr, u16),
    /// Class and rule key of the finding.
    pub names: [&'a str; 2],
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
}

impl Suppression {
    /// Whether all fields match. An entry without fields matches nothing.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        if *self == Suppression::default() {
            return false;
        }
        let second = subject.time_nanos.div_euclid(1_000_000_000);
        self.source.is_none_or(|net| net.0.contains(&subject.source))
            && self.target.is_none_or(|net| net.0.contains(&subject.target.0))
            && self.port.is_none_or(|port| port == subject.target.1)
            && self.class.as_deref().is_none_or(|class| subject.names.contains(&class))
            && self.daily.is_none_or(|daily| daily.contains(second.rem_euclid(86_400)))
            && self.from.is_none_or(|from| from.as_second() <= second)
            && self.until.is_none_or(|until| second < until.as_second())
    }
}

/// A network as `10.0.0.0/8`, or an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(pub IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Network, String> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Network)
            .map_err(|_| format!("{text:?} is neither an address nor a network such as 10.1.0.0/16"))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.0.to_string()
    }
}

/// A time of day in UTC, first inclusive, last exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Daily {
    from: Time,
    to: Time,
}

impl Daily {
    fn contains(self, second_of_day: i64) -> bool {
        let second = |time: Time| i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60;
        let (from, to) = (second(self.from), second(self.to));
        if from <= to {
            (from..to).contains(&second_of_day)
        } else {
            second_of_day >= from || second_of_day < to
        }
    }
}

impl TryFrom<String> for Daily {
    type Error = String;

    fn try_from(text: String) -> Result<Daily, String> {
        let time = |part: &str| Time::strptime("%H:%M", part.trim()).ok();
        let both = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        both.map(|(from, to)| Daily { from, to })
            .ok_or_else(|| format!("{text:?} is not a time of day such as 22:00-04:30"))
    }
}

impl From<Daily> for String {
    fn from(daily: Daily) -> String {
        format!("{}-{}", daily.from.strftime("%H:%M"), daily.to.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(source: &str, class: &'static str, hour: i64) -> Subject<'static> {
        Subject {
            source: source.parse().unwrap(),
            target: ("10.0.0.9".parse().unwrap(), 1883),
            names: [class, ""],
            time_nanos: (20_000 * 86_400 + hour * 3_600) * 1_000_000_000,
        }
    }

    fn entry(text: &str) -> Suppression {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_field_must_match() {
        let scanner = entry("source = '10.1.0.0/16'\nclass = 'scan_A'\ndaily = '22:00-04:30'");
        assert!(scanner.matches(&subject("10.1.2.3", "scan_A", 23)));
        assert!(scanner.matches(&subject("10.1.2.3", "scan_A", 4)));
        assert!(!scanner.matches(&subject("10.1.2.3", "scan_A", 5)));
        assert!(!scanner.matches(&subject("10.2.2.3", "scan_A", 23)));
        assert!(!scanner.matches(&subject("10.1.2.3", "flood", 23)));
        assert!(!Suppression::default().matches(&subject("10.1.2.3", "flood", 1)));
    }

    #[test]
    fn target_port_and_dates() {
        assert!(entry("target = '10.0.0.9'\nport = 1883").matches(&subject("::1", "flood", 0)));
        assert!(!entry("target = '10.0.0.9'\nport = 22").matches(&subject("::1", "flood", 0)));
        assert!(entry("until = '2024-10-05T00:00:00Z'").matches(&subject("::1", "flood", 0)));
        assert!(!entry("until = '2024-10-04T00:00:00Z'").matches(&subject("::1", "flood", 0)));
        assert!(!entry("from = '2024-10-04T00:00:01Z'").matches(&subject("::1", "flood", 0)));
    }

    #[test]
    fn errors_name_the_field() {
        for (text, expected) in [
            ("source = '10.0.0'", "neither an address"),
            ("daily = '25:00-26:00'", "not a time of day"),
            ("sauce = 1", "unknown field"),
        ] {
            let error = toml::from_str::<Suppression>(text).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
        let written = entry("source = '10.1.0.0/16'\ndaily = '22:00-04:30'");
        assert_eq!(toml::from_str::<Suppression>(&toml::to_string(&written).unwrap()).unwrap(), written);
    }
}

//! Rules beside the model: few and exact, each with a number of its own and a threshold in the configuration.
//!
//! In: the [`PacketFacts`] that a packet brought. Out: [`Finding`]s. A rule keeps nothing itself: what it compares is counted
//! by the host already, so that a packet costs O(1), and most cost nothing.

use super::settings::{RuleSettings, Threshold};
use super::signature::RULES;
use super::{Detector, Finding, RuleId};
use crate::feature::sequence::PacketFacts;
use crate::flow::Flow;

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    settings: RuleSettings,
    /// The sensor's first packet: a host that was there within [`RuleSettings::wildcard`] of it is not new.
    began_nanos: Option<i64>,
}

/// Where a packet stands.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Of the packet, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// Its number in the capture.
    pub packet: u64,
    /// Its flow, the packet counted.
    pub flow: &'a Flow,
    /// Number of the model's classes.
    pub classes: u32,
}

impl Rules {
    /// With these thresholds.
    pub fn new(settings: RuleSettings) -> Rules {
        Rules { settings, began_nanos: None }
    }

    /// Other thresholds from now on.
    pub fn set(&mut self, settings: RuleSettings) {
        self.settings = settings;
    }

    /// The sensor began at this time, unless it is known already.
    #[inline]
    pub fn begin(&mut self, time_nanos: i64) {
        self.began_nanos.get_or_insert(time_nanos);
    }

    /// When the sensor began.
    pub fn began_nanos(&self) -> Option<i64> {
        self.began_nanos
    }

    /// Judges what a packet brought.
    pub fn judge(&self, facts: &PacketFacts, seen: &Seen<'_>, mut tell: impl FnMut(&Finding)) {
        let set = &self.settings;
        // The order of `RULES`.
        let counts: [(Threshold, bool, f32); RULES.len()] = [
            (set.keep_alive, facts.overdue, facts.overdue_60s),
            (set.held, facts.holds, facts.held as f32),
            (set.refused_mqtt, facts.refused_mqtt, facts.refused_60s),
            (set.refused_ssh, facts.refused_ssh, facts.refused_60s),
            (set.user_names, facts.connects, facts.users_60s),
            (set.client_ids, facts.connects, facts.clients_60s),
            (set.wildcard, facts.wildcard, self.secs_until_known(facts)),
            (set.violations, facts.violates, facts.violations_10s),
        ];
        for (rule, (threshold, concerns, count)) in RULES.iter().zip(counts) {
            let Threshold(Some(threshold)) = threshold else { continue };
            if concerns && count >= threshold {
                tell(&Finding {
                    time_nanos: seen.time_nanos,
                    packet: Some(seen.packet),
                    initiator: facts.actor,
                    flow: *seen.flow,
                    class: seen.classes,
                    score: count,
                    threshold,
                    packets: seen.flow.packets().min(u32::MAX.into()) as u32,
                    detector: Detector::Rule(RuleId(rule.signature.id)),
                });
            }
        }
    }

    /// Seconds from the sensor's begin until the host was first seen.
    fn secs_until_known(&self, facts: &PacketFacts) -> f32 {
        let began = self.began_nanos.unwrap_or(facts.known_since_nanos);
        facts.known_since_nanos.saturating_sub(began) as f32 * 1e-9
    }
}

//! Rules: few and exact, each with a signature id and a threshold in the configuration.
//!
//! In: the [`PacketFacts`] of a packet. Out: [`Finding`]s. Rules are stateless: they compare counts that the host
//! table holds already, in O(1) per packet; most packets have no facts and cost nothing. A new rule is a row of
//! [`RULES`](super::signature::RULES), a key of [`RuleSettings`] and a line of [`Rules::judge`].

use super::settings::{RuleSettings, Threshold};
use super::signature::RULES;
use crate::detect::{Finding, FindingSource, RuleContext, RuleId};
use crate::feature::sequence::PacketFacts;

/// The rules with their thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    settings: RuleSettings,
    /// Time of the sensor's first packet: a host seen within [`RuleSettings::wildcard`] of it is not new.
    started_nanos: Option<i64>,
}

impl Rules {
    /// Rules with these thresholds.
    pub fn new(settings: RuleSettings) -> Rules {
        Rules { settings, started_nanos: None }
    }

    /// Changes the thresholds.
    pub fn set(&mut self, settings: RuleSettings) {
        self.settings = settings;
    }

    /// Sets the time at which the sensor started, unless it is known already.
    #[inline]
    pub fn start(&mut self, time_nanos: i64) {
        self.started_nanos.get_or_insert(time_nanos);
    }

    /// The time at which the sensor started.
    pub fn started_nanos(&self) -> Option<i64> {
        self.started_nanos
    }

    /// Evaluates all rules on a packet.
    pub fn judge(&self, facts: &PacketFacts, context: &RuleContext<'_>, mut emit: impl FnMut(&Finding)) {
        let set = &self.settings;
        // In the order of `RULES`.
        let counts: [(&str, Threshold, bool, f32); RULES.len()] = [
            ("keep_alive", set.keep_alive, facts.overdue, facts.overdue_60s),
            ("held", set.held, facts.holds, facts.held as f32),
            ("refused_mqtt", set.refused_mqtt, facts.refused_mqtt, facts.refused_60s),
            ("refused_ssh", set.refused_ssh, facts.refused_ssh, facts.refused_60s),
            ("user_names", set.user_names, facts.connects, facts.users_60s),
            ("client_ids", set.client_ids, facts.connects, facts.clients_60s),
            ("wildcard", set.wildcard, facts.wildcard, self.secs_until_known(facts)),
            ("violations", set.violations, facts.violates, facts.violations_10s),
        ];
        for (rule, (key, threshold, concerns, count)) in RULES.iter().zip(counts) {
            debug_assert_eq!(rule.key, key);
            let Threshold(Some(threshold)) = threshold else { continue };
            if concerns && count >= threshold {
                emit(&Finding {
                    time_nanos: context.time_nanos,
                    packet: Some(context.packet),
                    initiator: facts.actor,
                    flow: *context.flow,
                    class: context.classes,
                    score: count,
                    threshold,
                    packets: context.flow.packets().min(u32::MAX.into()) as u32,
                    source: FindingSource::Rule(RuleId(rule.signature.id)),
                });
            }
        }
    }

    /// Seconds from the sensor's start to the host's first packet.
    fn secs_until_known(&self, facts: &PacketFacts) -> f32 {
        let started = self.started_nanos.unwrap_or(facts.known_since_nanos);
        facts.known_since_nanos.saturating_sub(started) as f32 * 1e-9
    }
}

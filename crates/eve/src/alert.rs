//! `alert` records: an incident opened, updated and closed, in Suricata's fields; the rest is in `alert.context`, which
//! Suricata's schema leaves open.

use citronella_sensor::{
    alert::{
        Alert, FlowRef,
        incident::{CloseReason, Incident},
        signature::{self, ATTACK_VERSION, GID, REVISION, Signature, Technique},
    },
    detect::RuleId,
};

use crate::json::Json;
use crate::record::{FlowTuple, Head, Recorder};
use crate::time::Timestamps;

/// The stage of an incident that a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Opened,
    Updated,
    Closed(CloseReason),
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Opened => "begin",
            Stage::Updated => "update",
            Stage::Closed(_) => "end",
        }
    }
}

impl From<&FlowRef> for FlowTuple {
    fn from(flow: &FlowRef) -> FlowTuple {
        FlowTuple { id: flow.id, src: flow.src, dst: flow.dst, protocol: flow.protocol }
    }
}

impl Recorder {
    /// An incident's record.
    pub(crate) fn alert(&mut self, alert: &Alert, stage: Stage) {
        let Incident { flow, key, .. } = &alert.incident;
        // Closing has no packet of its own.
        let packet = alert.incident.packet.filter(|_| !matches!(stage, Stage::Closed(_)));
        let community_id = community_id_of(flow);
        let name = FlowTuple::from(flow);
        let head = Head {
            kind: "alert",
            time_nanos: alert.time_nanos,
            packet,
            flow: Some(name),
            community_id: &community_id,
        };
        let target = if flow.src.0 == key.initiator { flow.dst } else { flow.src };
        self.any(head, |json, times| {
            json.object("alert", |json| {
                signature_fields(json, &alert.signature);
                json.object("source", |json| json.text("ip", &key.initiator.to_string()));
                json.object("target", |json| {
                    json.text("ip", &target.0.to_string());
                    json.number("port", target.1);
                });
                json.object("context", |json| context(json, times, alert, stage));
            });
            json.object("flow", |json| {
                let ([to_server, to_client], [bytes_out, bytes_back]) = (flow.packets, flow.bytes);
                json.number("pkts_toserver", to_server);
                json.number("pkts_toclient", to_client);
                json.number("bytes_toserver", bytes_out);
                json.number("bytes_toclient", bytes_back);
                json.text("start", &times.format(flow.first_nanos));
                let has_ports = matches!(flow.protocol, 6 | 17);
                json.text("src_ip", &flow.src.0.to_string());
                json.text("dest_ip", &flow.dst.0.to_string());
                if has_ports {
                    json.number("src_port", flow.src.1);
                    json.number("dest_port", flow.dst.1);
                }
            });
        });
    }

    /// Records were lost: how many, and how many alerts among them.
    pub(crate) fn records_lost(&mut self, time_nanos: i64, records: u64, alerts: u64) {
        let head = Head { kind: "alert", time_nanos, packet: None, flow: None, community_id: "" };
        self.any(head, |json, _| {
            json.object("alert", |json| {
                signature_fields(json, &signature::RECORDS_LOST);
                json.object("context", |json| {
                    json.number("records_lost", records);
                    json.number("alerts_lost", alerts);
                });
            });
        });
    }
}

fn community_id_of(flow: &FlowRef) -> String {
    let (from, to) = (Some(flow.src.1), Some(flow.dst.1));
    community_id::calculate_community_id(0, flow.src.0, flow.dst.0, from, to, flow.protocol, false)
        .unwrap_or_default()
}

fn signature_fields(json: &mut Json<'_>, signature: &Signature) {
    json.text("action", "allowed");
    json.number("gid", GID);
    json.number("signature_id", signature.id);
    json.number("rev", REVISION);
    json.text("signature", signature.name);
    json.text("category", signature.category);
    json.number("severity", signature.severity);
    let techniques = signature.techniques;
    if techniques.is_empty() {
        return;
    }
    json.object("metadata", |json| {
        let mut list =
            |key: &str, of: fn(&Technique) -> &'static str| json.texts(key, techniques.iter().map(of));
        list("mitre_technique_id", |technique| technique.id);
        list("mitre_technique_name", |technique| technique.name);
        list("mitre_tactic_id", |technique| technique.tactic_id);
        list("mitre_tactic_name", |technique| technique.tactic_name);
        json.texts("mitre_attack_version", [ATTACK_VERSION]);
    });
}

fn context(json: &mut Json<'_>, times: &mut Timestamps, alert: &Alert, stage: Stage) {
    let incident = &alert.incident;
    json.number("incident", incident.id);
    json.text("stage", stage.name());
    if let Stage::Closed(reason) = stage {
        json.text("end", reason_name(reason));
    }
    json.text("class", &alert.class);
    json.text("detected_by", incident.detected_by().name());
    json.text("explanation", &explanation(alert));
    if incident.flows_by_model > 0 {
        json.text("model", &alert.model);
    }
    json.decimal("score", incident.score);
    json.decimal("threshold", incident.threshold);
    if !incident.reasons.is_empty() {
        json.array("reasons", |list| {
            for (feature, weight) in &incident.reasons {
                list.push_object(|json| {
                    json.text("feature", feature);
                    json.decimal("log_odds", *weight);
                });
            }
        });
    }
    json.text("first_seen", &times.format(incident.first_nanos));
    json.text("last_seen", &times.format(incident.last_nanos));
    json.number("flows", incident.flows);
    json.number("flows_by_model", incident.flows_by_model);
    json.number("findings_by_rules", incident.findings_by_rules);
    if !incident.rules.is_empty() {
        json.array("rules", |list| incident.rules.iter().for_each(|RuleId(id)| list.push_number(*id)));
    }
    json.number("packets_until_flagged", incident.packets);
    json.number("findings_of_other_classes", incident.other_findings);
    if !incident.related_rules.is_empty() {
        json.array("related_rules", |list| {
            incident.related_rules.iter().for_each(|RuleId(id)| list.push_number(*id));
        });
    }
    let targets: Vec<String> = incident.targets.iter().map(ToString::to_string).collect();
    json.texts("targets", targets.iter().map(String::as_str));
    if incident.more_targets {
        json.flag("more_targets", true);
    }
    json.number("target_ports", incident.ports.len());
    if incident.more_ports {
        json.flag("more_target_ports", true);
    }
}

fn reason_name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Quiet => "quiet",
        CloseReason::Evicted => "evicted",
        CloseReason::Finished => "finished",
    }
}

/// The incident in a sentence.
fn explanation(alert: &Alert) -> String {
    let incident = &alert.incident;
    let many = |count: usize, more: bool, what: &str| {
        let (least, s) = (if more { "more than " } else { "" }, if count == 1 { "" } else { "s" });
        format!("{least}{count} {what}{s}")
    };
    let secs = incident.last_nanos.saturating_sub(incident.first_nanos).max(0) as f64 * 1e-9;
    let hosts = many(incident.targets.len(), incident.more_targets, "host");
    let ports = many(incident.ports.len(), incident.more_ports, "port");
    let flows = many(incident.flows as usize, false, "flow");
    let rules: Vec<&str> =
        incident.rules.iter().filter_map(|id| signature::rule(*id)).map(|rule| rule.key).collect();
    let by = match (incident.flows_by_model > 0, rules.is_empty()) {
        (true, true) => format!("flagged as {} by the model", alert.class),
        (true, false) => format!("flagged as {} by the model and by {}", alert.class, rule_list(&rules)),
        (false, _) => format!("flagged by {}", rule_list(&rules)),
    };
    format!("{flows} from {} to {hosts} and {ports} within {secs:.1} s, {by}", incident.key.initiator)
}

fn rule_list(rules: &[&str]) -> String {
    match rules {
        [rule] => format!("the rule {rule}"),
        rules => format!("the rules {}", rules.join(", ")),
    }
}

//! Signatures of alerts: id, name, category, severity and MITRE ATT&CK techniques of each class and rule.
//!
//! Ids lie in the range that Suricata reserves for local rules; categories are those of Suricata's classification.
//! docs/eve.md explains the choice of techniques.

use crate::detect::RuleId;

/// The version of MITRE ATT&CK that defines the techniques and tactics.
pub const ATTACK_VERSION: &str = "18";
/// Generator id of all signatures, that of Suricata's own rules.
pub const GID: u32 = 1;
/// Revision of all signatures.
pub const REVISION: u32 = 1;

/// An ATT&CK technique and its tactic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Technique {
    /// Id, such as `T1046`.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The tactic's id, such as `TA0007`.
    pub tactic_id: &'static str,
    /// The tactic's name.
    pub tactic_name: &'static str,
}

const fn technique(
    id: &'static str,
    name: &'static str,
    tactic_id: &'static str,
    tactic_name: &'static str,
) -> Technique {
    Technique { id, name, tactic_id, tactic_name }
}

const SERVICE_DISCOVERY: Technique = technique("T1046", "Network Service Discovery", "TA0007", "Discovery");
const SYSTEM_DISCOVERY: Technique = technique("T0846", "Remote System Discovery", "TA0102", "Discovery");
const GUESSING: Technique =
    technique("T1110.001", "Brute Force: Password Guessing", "TA0006", "Credential Access");
/// Which sub-technique it is depends on the passwords.
const BRUTE_FORCE: Technique = technique("T1110", "Brute Force", "TA0006", "Credential Access");
const SERVICE_FLOOD: Technique =
    technique("T1499.002", "Endpoint Denial of Service: Service Exhaustion Flood", "TA0040", "Impact");
const EXPLOITATION: Technique = technique(
    "T1499.004",
    "Endpoint Denial of Service: Application or System Exploitation",
    "TA0040",
    "Impact",
);
const ICS_DENIAL: Technique = technique("T0814", "Denial of Service", "TA0107", "Inhibit Response Function");
const TAGS: Technique = technique("T0861", "Point & Tag Identification", "TA0100", "Collection");

/// The signature of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `signature_id` in EVE.
    pub id: u32,
    /// `signature`.
    pub name: &'static str,
    /// `category`.
    pub category: &'static str,
    /// 1 is the highest.
    pub severity: u8,
    /// ATT&CK techniques; none where none applies.
    pub techniques: &'static [Technique],
}

const SCAN: &str = "Detection of a Network Scan";
const LOGIN: &str = "Attempted User Privilege Gain";
const DENIAL: &str = "Attempted Denial of Service";
const BAD: &str = "Potentially Bad Traffic";

/// Classes of the embedded model, by name.
const CLASSES: [(&str, Signature); 8] = [
    (
        "unknown",
        Signature {
            id: 1_883_000,
            name: "CITRONELLA unknown behaviour",
            category: BAD,
            severity: 3,
            techniques: &[],
        },
    ),
    (
        "scan_A",
        Signature {
            id: 1_883_001,
            name: "CITRONELLA port and service scan",
            category: SCAN,
            severity: 3,
            techniques: &[SERVICE_DISCOVERY, SYSTEM_DISCOVERY],
        },
    ),
    (
        "scan_sU",
        Signature {
            id: 1_883_002,
            name: "CITRONELLA UDP port scan",
            category: SCAN,
            severity: 3,
            techniques: &[SERVICE_DISCOVERY, SYSTEM_DISCOVERY],
        },
    ),
    (
        "sparta",
        Signature {
            id: 1_883_003,
            name: "CITRONELLA SSH password guessing",
            category: LOGIN,
            severity: 1,
            techniques: &[GUESSING],
        },
    ),
    (
        "mqtt_bruteforce",
        Signature {
            id: 1_883_004,
            name: "CITRONELLA MQTT password guessing",
            category: LOGIN,
            severity: 1,
            techniques: &[GUESSING],
        },
    ),
    (
        "flood",
        Signature {
            id: 1_883_005,
            name: "CITRONELLA MQTT publish flood",
            category: DENIAL,
            severity: 2,
            techniques: &[SERVICE_FLOOD, ICS_DENIAL],
        },
    ),
    (
        "slowite",
        Signature {
            id: 1_883_006,
            name: "CITRONELLA MQTT connections held without use (SlowITe)",
            category: DENIAL,
            severity: 2,
            techniques: &[SERVICE_FLOOD, ICS_DENIAL],
        },
    ),
    (
        "malformed",
        Signature {
            id: 1_883_007,
            name: "CITRONELLA malformed MQTT messages",
            category: DENIAL,
            severity: 2,
            techniques: &[EXPLOITATION, ICS_DENIAL],
        },
    ),
];

/// A class that the table does not list: the class's index is added to the id.
const OTHER_CLASS: Signature = Signature {
    id: 1_883_050,
    name: "CITRONELLA attack of a custom class",
    category: BAD,
    severity: 2,
    techniques: &[],
};

/// Records were lost.
pub const RECORDS_LOST: Signature = Signature {
    id: 1_883_200,
    name: "CITRONELLA records were lost: the sink does not keep up",
    category: "Not Suspicious Traffic",
    severity: 3,
    techniques: &[],
};

/// The signature of a model's class, by its name and index.
pub fn of_class(name: &str, index: u32) -> Signature {
    match CLASSES.iter().find(|(class, _)| *class == name) {
        Some((_, signature)) => *signature,
        None => Signature { id: OTHER_CLASS.id + index.min(49), ..OTHER_CLASS },
    }
}

/// A rule: its key in the configuration, the model's class that it corresponds to, and its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Key under `[rules]` in the configuration.
    pub key: &'static str,
    /// The model's class that its findings support.
    pub class: Option<&'static str>,
    /// The signature of an incident that it alone has detected.
    pub signature: Signature,
}

/// All rules, in the order of [`Rules::judge`](super::rules::Rules::judge).
pub const RULES: [Rule; 8] = [
    Rule {
        key: "keep_alive",
        class: Some("slowite"),
        signature: Signature {
            id: 1_883_101,
            name: "CITRONELLA MQTT keep-alive not kept",
            category: DENIAL,
            severity: 3,
            techniques: &[SERVICE_FLOOD, ICS_DENIAL],
        },
    },
    Rule {
        key: "held",
        class: Some("slowite"),
        signature: Signature {
            id: 1_883_102,
            name: "CITRONELLA MQTT connections held open without use",
            category: DENIAL,
            severity: 2,
            techniques: &[SERVICE_FLOOD, ICS_DENIAL],
        },
    },
    Rule {
        key: "refused_mqtt",
        class: Some("mqtt_bruteforce"),
        signature: Signature {
            id: 1_883_103,
            name: "CITRONELLA MQTT logins refused",
            category: LOGIN,
            severity: 2,
            techniques: &[GUESSING],
        },
    },
    Rule {
        key: "refused_ssh",
        class: Some("sparta"),
        signature: Signature {
            id: 1_883_104,
            name: "CITRONELLA SSH logins refused",
            category: LOGIN,
            severity: 2,
            techniques: &[GUESSING],
        },
    },
    Rule {
        key: "user_names",
        class: Some("mqtt_bruteforce"),
        signature: Signature {
            id: 1_883_105,
            name: "CITRONELLA many MQTT user names from one host",
            category: LOGIN,
            severity: 2,
            techniques: &[BRUTE_FORCE],
        },
    },
    Rule {
        key: "client_ids",
        class: None,
        signature: Signature {
            id: 1_883_106,
            name: "CITRONELLA many MQTT client identifiers from one host",
            category: BAD,
            severity: 3,
            techniques: &[],
        },
    },
    Rule {
        key: "wildcard",
        class: None,
        signature: Signature {
            id: 1_883_107,
            name: "CITRONELLA new MQTT client subscribes to everything",
            category: "Attempted Information Leak",
            severity: 2,
            techniques: &[TAGS],
        },
    },
    Rule {
        key: "violations",
        class: Some("malformed"),
        signature: Signature {
            id: 1_883_108,
            name: "CITRONELLA MQTT messages break the standard",
            category: DENIAL,
            severity: 2,
            techniques: &[EXPLOITATION, ICS_DENIAL],
        },
    },
];

/// The rule with this signature id.
pub fn rule(id: RuleId) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.signature.id == id.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_local_and_unique() {
        let mut ids: Vec<u32> = CLASSES.iter().map(|(_, s)| s.id).collect();
        ids.extend(RULES.iter().map(|rule| rule.signature.id));
        ids.extend((0..60).map(|index| of_class("another", index).id).take(50));
        ids.push(RECORDS_LOST.id);
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(ids.iter().all(|id| (1_000_000..2_000_000).contains(id)));
        assert_eq!(rule(RuleId(1_883_104)).map(|rule| rule.key), Some("refused_ssh"));
    }
}

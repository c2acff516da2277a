//! The part of Suricata's EVE schema (8.0.7) that applies to our records; its objects allow no further members.
#![allow(dead_code)]

use serde_json::Value;

/// Object and type: names of the members that may have it. `list` may be empty, `some` may not; `open` is anything.
/// `properties` stands for the object of that name in every MQTT message.
const FIELDS: &str = "
. text: app_proto app_proto_orig community_id dest_ip direction event_type in_iface pcap_filename proto src_ip timestamp
. integer: dest_port flow_id icmp_code icmp_type pcap_cnt src_port tx_id
alert text: action category signature
alert integer: gid rev severity signature_id
alert open: context metadata
alert.source text: ip
alert.source integer: port
alert.target text: ip
alert.target integer: port
anomaly text: app_proto event layer type
anomaly integer: code
flow text: action dest_ip end reason src_ip start state
flow integer: age bytes_toclient bytes_toserver dest_port pkts_toclient pkts_toserver src_port tx_cnt
flow flag: alerted emergency
metadata some: pktvars
metadata open: flowints pktvars[]
mqtt.connack flag: dup retain session_present
mqtt.connack integer: qos return_code
mqtt.connect text: client_id password protocol_string username
mqtt.connect flag: dup retain
mqtt.connect integer: protocol_version qos
mqtt.connect.flags flag: clean_session password username will will_retain
mqtt.connect.will text: message topic
mqtt.disconnect flag: dup retain
mqtt.disconnect integer: qos reason_code
mqtt.pingreq flag: dup retain
mqtt.pingreq integer: qos
mqtt.pingresp flag: dup retain
mqtt.pingresp integer: qos
mqtt.puback flag: dup retain
mqtt.puback integer: message_id qos reason_code
mqtt.pubcomp flag: dup retain
mqtt.pubcomp integer: message_id qos reason_code
mqtt.publish flag: dup retain truncated
mqtt.publish text: message topic
mqtt.publish integer: message_id qos skipped_length
mqtt.pubrec flag: dup retain
mqtt.pubrec integer: message_id qos reason_code
mqtt.pubrel flag: dup retain
mqtt.pubrel integer: message_id qos reason_code
mqtt.suback flag: dup retain
mqtt.suback integer: message_id qos qos_granted[]
mqtt.suback some: qos_granted
mqtt.subscribe flag: dup retain
mqtt.subscribe integer: message_id qos
mqtt.subscribe some: topics
mqtt.subscribe.topics[] integer: qos
mqtt.subscribe.topics[] text: topic
mqtt.unsuback flag: dup retain
mqtt.unsuback integer: message_id qos reason_codes[]
mqtt.unsuback some: reason_codes
mqtt.unsubscribe flag: dup retain
mqtt.unsubscribe integer: message_id qos
mqtt.unsubscribe some: topics
mqtt.unsubscribe text: topics[]
properties text: assigned_client_identifier authentication_data authentication_method content_type correlation_data reason_string response_information response_topic server_reference
properties integer: maximum_packet_size maximum_qos message_expiry_interval payload_format_indicator receive_maximum request_problem_information request_response_information retain_available server_keep_alive session_expiry_interval shared_subscription_available subscription_identifier subscription_identifier_available topic_alias topic_alias_maximum wildcard_subscription_available will_delay_interval
properties list: user_properties
properties.user_properties[] text: key value
stats integer: uptime
stats.capture integer: kernel_drops kernel_packets
stats.decoder integer: bytes pkts
stats.detect integer: alert alert_queue_overflow alerts_suppressed
stats.flow integer: active total
stats.flow.mgr integer: flows_evicted
tcp flag: ack cwr ecn fin psh rst syn urg
tcp text: state tcp_flags tcp_flags_tc tcp_flags_ts
tls text: ja4 sni
tls list: client_alpns
tls text: client_alpns[]
tls.client_handshake text: version
";

/// Messages whose object has `properties`.
const WITH_PROPERTIES: [&str; 9] =
    ["connack", "connect", "disconnect", "puback", "pubcomp", "publish", "pubrec", "pubrel", "subscribe"];

/// The schema's violations in a record, as text; none if it validates.
pub(crate) fn faults(event: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(members) = event.as_object() else { return vec!["not an object".to_owned()] };
    for key in ["event_type", "timestamp"] {
        if !members.contains_key(key) {
            faults.push(format!("no {key}"));
        }
    }
    let time = event["timestamp"].as_str().unwrap_or_default();
    if time.len() != 31 || !time.ends_with("+0000") || time.as_bytes()[10] != b'T' {
        faults.push(format!("timestamp {time:?}"));
    }
    check_members(event, "", &mut faults);
    for (key, list) in event["alert"]["metadata"].as_object().into_iter().flatten() {
        if !list.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string)) {
            faults.push(format!("alert.metadata.{key} is not a list of strings"));
        }
    }
    faults
}

fn check_members(value: &Value, path: &str, faults: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                member_of(if path.is_empty() { "." } else { path }, key, &inner, member, faults);
            }
        }
        _ => faults.push(format!("{path} is not an object")),
    }
}

fn member_of(object: &str, key: &str, path: &str, value: &Value, faults: &mut Vec<String>) {
    let allowed = types(object, key);
    let has = |name: &str| allowed.contains(&name);
    let good = match value {
        _ if has("open") => true,
        Value::String(_) => has("text"),
        Value::Bool(_) => has("flag"),
        Value::Number(number) => has("integer") && (number.is_u64() || number.is_i64()),
        Value::Array(elements) => {
            let element = format!("{key}[]");
            for each in elements {
                member_of(object, &element, &format!("{path}[]"), each, faults);
            }
            has("list") || (has("some") && !elements.is_empty())
        }
        Value::Object(_) => {
            let inside = if is_properties(path) { "properties".to_owned() } else { path.to_owned() };
            let inside = inside.replace("mqtt.connect.will.properties", "properties");
            if !is_known(&inside) {
                faults.push(format!("{path} is not in the schema"));
                return;
            }
            return check_members(value, &inside, faults);
        }
        Value::Null => false,
    };
    if !good {
        faults.push(format!("{path} = {value}"));
    }
}

fn is_properties(path: &str) -> bool {
    let of = path.strip_prefix("mqtt.").and_then(|path| path.strip_suffix(".properties"));
    of.is_some_and(|of| of == "connect.will" || WITH_PROPERTIES.contains(&of))
}

fn is_known(object: &str) -> bool {
    object == "mqtt" || rows().any(|(known, ..)| known == object || known.starts_with(&format!("{object}.")))
}

fn types(object: &str, key: &str) -> Vec<&'static str> {
    rows()
        .filter(|(known, _, keys)| *known == object && keys.split(' ').any(|k| k == key))
        .map(|row| row.1)
        .collect()
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    FIELDS.lines().filter(|line| !line.is_empty()).map(|line| {
        let (head, keys) = line.split_once(": ").unwrap();
        let (object, kind) = head.split_once(' ').unwrap();
        (object, kind, keys)
    })
}

//! One EVE record: the fields that all have, and those of each type.

use citronella_wire::{
    TcpFlags,
    mqtt::{Direction, Observed, Violation},
    tls::ClientHello,
};

use super::json::Json;
use super::time::Timestamps;
use crate::flow::fragments::Fault;
use crate::flow::sessions::{Application, BadFragment, FlowEnd, Place};
use crate::flow::{EndReason, Flow, Phase};

/// A text of the wire in a record that has no option for it.
const TEXT_BYTES: usize = 1_024;

/// Builds records, one at a time.
#[derive(Default)]
pub(super) struct Recorder {
    line: Vec<u8>,
    times: Timestamps,
    capture: Option<String>,
    /// Flows of a capture are numbered from here on.
    first_flow: u64,
    highest_flow: u64,
}

impl Recorder {
    pub(super) fn begin_capture(&mut self, name: Option<&str>) {
        self.capture = name.map(str::to_owned);
        self.first_flow = self.highest_flow;
    }

    /// The record built last, with its line end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The flow's Community ID, version 1 with seed 0; ICMP by type and code, where they are known.
    pub(super) fn community_id(&self, flow: &Flow, icmp: Option<(u8, u8)>) -> String {
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        let (from, to) = match icmp {
            Some((kind, code)) => (u16::from(kind), u16::from(code)),
            None => (src_port, dst_port),
        };
        let protocol = flow.key().protocol();
        community_id::calculate_community_id(0, src, dst, Some(from), Some(to), protocol, false)
            .unwrap_or_default()
    }

    fn record(
        &mut self,
        place: Place<'_>,
        kind: &str,
        community_id: &str,
        fill: impl FnOnce(&mut Json<'_>, &mut Timestamps),
    ) {
        let Recorder { line, times, capture, first_flow, highest_flow } = self;
        let flow = place.flow;
        let number = *first_flow + flow.id + 1;
        *highest_flow = number.max(*highest_flow);
        let mut json = head(line, times.format(place.time_nanos), Some(number), place.packet, capture, kind);
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        let protocol = flow.key().protocol();
        let has_ports = matches!(protocol, 6 | 17);
        json.text("src_ip", &src.to_string());
        if has_ports {
            json.number("src_port", src_port);
        }
        json.text("dest_ip", &dst.to_string());
        if has_ports {
            json.number("dest_port", dst_port);
        }
        json.text("proto", protocol_name(protocol));
        if !community_id.is_empty() {
            json.text("community_id", community_id);
        }
        fill(&mut json, times);
        line.extend_from_slice(b"}\n");
    }

    pub(super) fn transaction(&mut self, place: Place<'_>, community_id: &str, number: u64, members: &[u8]) {
        self.record(place, "mqtt", community_id, |json, _| {
            json.number("tx_id", number.saturating_sub(1));
            json.raw_object("mqtt", members);
        });
    }

    pub(super) fn anomaly(
        &mut self,
        place: Place<'_>,
        community_id: &str,
        direction: Direction,
        observed: &Observed<'_>,
        event: &str,
        violations: &[Violation],
    ) {
        self.record(place, "anomaly", community_id, |json, _| {
            json.number("tx_id", observed.exchange.number.saturating_sub(1));
            json.object("anomaly", |json| {
                json.text("app_proto", "mqtt");
                json.text("type", "applayer");
                json.text("event", event);
                json.text("layer", "proto_parser");
                json.text(
                    "direction",
                    if direction == Direction::ToServer { "to_server" } else { "to_client" },
                );
                json.text("message", citronella_wire::mqtt::kind::name(observed.header.kind));
                if !observed.complete_view {
                    json.flag("complete_view", false);
                }
                json.array("violations", |list| {
                    for rule in violations.iter().map(|violation| violation.rule()) {
                        list.push_object(|json| {
                            json.text("id", rule.id);
                            if let Some(clause) = rule.clause {
                                json.text("clause", clause);
                            }
                            json.text("text", rule.text);
                        });
                    }
                });
            });
        });
    }

    pub(super) fn stream_fault(
        &mut self,
        place: Place<'_>,
        community_id: &str,
        event: &str,
        from_initiator: bool,
        bytes: Option<u64>,
    ) {
        self.record(place, "anomaly", community_id, |json, _| {
            json.object("anomaly", |json| {
                json.text("type", "stream");
                json.text("event", event);
                json.text("direction", if from_initiator { "to_server" } else { "to_client" });
                if let Some(bytes) = bytes {
                    json.number("missing_bytes", bytes);
                }
            });
        });
    }

    /// A fragment of a datagram belongs to no flow yet.
    pub(super) fn fragment_fault(&mut self, fragment: &BadFragment) {
        let Recorder { line, times, capture, .. } = self;
        let BadFragment { fault, time_nanos, packet, src, dst, protocol } = *fragment;
        let mut json = head(line, times.format(time_nanos), None, Some(packet), capture, "anomaly");
        json.text("src_ip", &src.to_string());
        json.text("dest_ip", &dst.to_string());
        json.text("proto", protocol_name(protocol));
        json.object("anomaly", |json| {
            json.text("type", "decode");
            json.text("event", fragment_event(fault, src.is_ipv4()));
            json.text("fault", fault.name());
        });
        line.extend_from_slice(b"}\n");
    }

    pub(super) fn client_hello(&mut self, place: Place<'_>, community_id: &str, hello: &ClientHello) {
        self.record(place, "tls", community_id, |json, _| {
            json.object("tls", |json| {
                if let Some(name) = &hello.sni {
                    json.bytes("sni", name, TEXT_BYTES);
                }
                json.text("version_offered", &hello.version_name());
                json.text("ja4", &hello.ja4());
                if !hello.alpn.is_empty() {
                    json.array("client_alpns", |list| {
                        hello.alpn.iter().for_each(|protocol| list.push_bytes(protocol, TEXT_BYTES));
                    });
                }
                if hello.malformed {
                    json.flag("malformed", true);
                }
            });
        });
    }

    pub(super) fn flow(&mut self, end: &FlowEnd<'_>, community_id: &str) {
        let flow = end.flow;
        let place = Place { flow, time_nanos: flow.last_nanos, packet: None };
        let [initiator, responder] = &flow.sides;
        let [wire_out, wire_back] = end.wire_bytes;
        self.record(place, "flow", community_id, |json, times| {
            if let Some((kind, code)) = end.icmp {
                json.number("icmp_type", kind);
                json.number("icmp_code", code);
            }
            match end.application {
                Application::Unknown => {}
                Application::Mqtt | Application::MqttOverWebSocket => json.text("app_proto", "mqtt"),
                Application::Tls => json.text("app_proto", "tls"),
            }
            if end.application == Application::MqttOverWebSocket {
                json.text("app_proto_orig", "websocket");
            }
            json.object("flow", |json| {
                json.number("pkts_toserver", initiator.packets);
                json.number("pkts_toclient", responder.packets);
                json.number("bytes_toserver", wire_out);
                json.number("bytes_toclient", wire_back);
                json.text("start", &times.format(flow.first_nanos));
                json.text("end", &times.format(flow.last_nanos));
                let seconds = |nanos: i64| nanos.div_euclid(1_000_000_000);
                json.number("age", (seconds(flow.last_nanos) - seconds(flow.first_nanos)).max(0));
                json.text("state", state_name(flow.phase));
                json.text("reason", reason_name(end.reason));
                json.flag("alerted", false);
            });
            if flow.key().protocol() == 6 {
                json.object("tcp", |json| tcp(json, end));
            }
        });
    }
}

/// Begins a record with the fields that all have.
fn head<'a>(
    line: &'a mut Vec<u8>,
    time: impl AsRef<str>,
    flow: Option<u64>,
    packet: Option<u64>,
    capture: &Option<String>,
    kind: &str,
) -> Json<'a> {
    line.clear();
    line.push(b'{');
    let mut json = Json::members(line, true);
    json.text("timestamp", time.as_ref());
    if let Some(flow) = flow {
        json.number("flow_id", flow);
    }
    if let Some(packet) = packet {
        json.number("pcap_cnt", packet);
    }
    if let Some(capture) = capture {
        json.text("pcap_filename", capture);
    }
    json.text("event_type", kind);
    json
}

/// Suricata's name for what is wrong with a fragment.
fn fragment_event(fault: Fault, is_ipv4: bool) -> &'static str {
    match (fault, is_ipv4) {
        (Fault::Overlap | Fault::Conflict | Fault::End, true) => "decoder.ipv4.frag_overlap",
        (Fault::Overlap | Fault::Conflict | Fault::End, false) => "decoder.ipv6.frag_overlap",
        (Fault::TooLong, true) => "decoder.ipv4.frag_pkt_too_large",
        (Fault::TooLong, false) => "decoder.ipv6.frag_pkt_too_large",
        (Fault::Length, true) => "decoder.ipv4.frag_invalid_length",
        (Fault::Length, false) => "decoder.ipv6.frag_invalid_length",
    }
}

fn tcp(json: &mut Json<'_>, end: &FlowEnd<'_>) {
    let [there, back] = end.tcp_flags;
    let all = TcpFlags(there.0 | back.0);
    for (key, flags) in [("tcp_flags", all), ("tcp_flags_ts", there), ("tcp_flags_tc", back)] {
        json.text(key, &format!("{:02x}", flags.0 & 0xff));
    }
    let names = [
        ("syn", all.syn()),
        ("fin", all.fin()),
        ("rst", all.rst()),
        ("psh", all.psh()),
        ("ack", all.ack()),
        ("urg", all.urg()),
        ("ecn", all.ece()),
        ("cwr", all.cwr()),
    ];
    names.iter().filter(|(_, set)| *set).for_each(|(name, _)| json.flag(name, true));
    let state = match end.flow.phase {
        Phase::Unanswered => "syn_sent",
        Phase::Answered => "established",
        Phase::Finished | Phase::Reset => "closed",
    };
    json.text("state", state);
}

fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        6 => "TCP",
        17 => "UDP",
        1 => "ICMP",
        58 => "IPv6-ICMP",
        47 => "GRE",
        132 => "SCTP",
        _ => "unassigned",
    }
}

/// Suricata's states of a flow.
fn state_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unanswered => "new",
        Phase::Answered => "established",
        Phase::Finished | Phase::Reset => "closed",
    }
}

/// Suricata's reasons: it, too, ends a closed flow by a time-out.
fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Finished | EndReason::Reset | EndReason::Idle | EndReason::Active => "timeout",
        EndReason::Evicted => "forced",
        EndReason::Capture => "shutdown",
    }
}

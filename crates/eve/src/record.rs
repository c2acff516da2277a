//! One EVE record: the common fields and those of each type.

use std::net::IpAddr;

use citronella_sensor::{
    alert::flow_id,
    flow::{
        EndReason, Flow, Phase,
        fragments::Fault,
        sessions::{Application, BadFragment, EventContext, FlowEnd},
    },
};
use citronella_wire::{
    TcpFlags,
    mqtt::{Direction, Observed, Violation},
    tls::ClientHello,
};

use crate::json::Json;
use crate::time::Timestamps;

/// Limit of texts from the wire in records without an option for it.
const TEXT_BYTES: usize = 1_024;

/// Builds records, one at a time.
#[derive(Default)]
pub(crate) struct Recorder {
    line: Vec<u8>,
    times: Timestamps,
    capture: Option<String>,
    /// The interface of live traffic.
    interface: Option<String>,
}

/// The fields with which all records start.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) kind: &'a str,
    pub(crate) time_nanos: i64,
    pub(crate) packet: Option<u64>,
    pub(crate) flow: Option<FlowTuple>,
    pub(crate) community_id: &'a str,
}

/// A flow's id and endpoints.
#[derive(Clone, Copy)]
pub(crate) struct FlowTuple {
    pub(crate) id: u64,
    pub(crate) src: (IpAddr, u16),
    pub(crate) dst: (IpAddr, u16),
    pub(crate) protocol: u8,
}

impl From<&Flow> for FlowTuple {
    fn from(flow: &Flow) -> FlowTuple {
        FlowTuple { id: flow_id(flow), src: flow.src(), dst: flow.dst(), protocol: flow.key().protocol() }
    }
}

impl Recorder {
    pub(crate) fn begin_capture(&mut self, name: Option<&str>) {
        self.capture = name.map(str::to_owned);
    }

    pub(crate) fn set_interface(&mut self, name: Option<&str>) {
        self.interface = name.map(str::to_owned);
    }

    /// The latest record, with its line feed.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The flow's Community ID, version 1 with seed 0; ICMP by type and code, where they are known.
    pub(crate) fn community_id(&self, flow: &Flow, icmp: Option<(u8, u8)>) -> String {
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
        context: EventContext<'_>,
        kind: &str,
        community_id: &str,
        fill: impl FnOnce(&mut Json<'_>, &mut Timestamps),
    ) {
        let EventContext { flow, time_nanos, packet } = context;
        self.any(Head { kind, time_nanos, packet, flow: Some(flow.into()), community_id }, fill);
    }

    /// Any record.
    pub(crate) fn any(&mut self, head: Head<'_>, fill: impl FnOnce(&mut Json<'_>, &mut Timestamps)) {
        let Recorder { line, times, capture, interface } = self;
        line.clear();
        line.push(b'{');
        let mut json = Json::members(line, true);
        json.text("timestamp", &times.format(head.time_nanos));
        if let Some(flow) = head.flow {
            json.number("flow_id", flow.id);
        }
        if let Some(interface) = interface {
            json.text("in_iface", interface);
        } else if let Some(packet) = head.packet {
            json.number("pcap_cnt", packet);
        }
        if let Some(capture) = capture {
            json.text("pcap_filename", capture);
        }
        json.text("event_type", head.kind);
        if let Some(FlowTuple { src: (src, src_port), dst: (dst, dst_port), protocol, .. }) = head.flow {
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
        }
        if !head.community_id.is_empty() {
            json.text("community_id", head.community_id);
        }
        fill(&mut json, times);
        line.extend_from_slice(b"}\n");
    }

    pub(crate) fn transaction(
        &mut self,
        context: EventContext<'_>,
        community_id: &str,
        number: u64,
        members: &[u8],
        more: &[u8],
    ) {
        self.record(context, "mqtt", community_id, |json, _| {
            json.number("tx_id", number.saturating_sub(1));
            json.raw_object("mqtt", members);
            if !more.is_empty() {
                json.object("metadata", |json| json.raw_array("pktvars", more));
            }
        });
    }

    pub(crate) fn anomaly(
        &mut self,
        context: EventContext<'_>,
        community_id: &str,
        direction: Direction,
        observed: &Observed<'_>,
        event: &str,
        violations: &[Violation],
    ) {
        self.record(context, "anomaly", community_id, |json, _| {
            json.number("tx_id", observed.exchange.number.saturating_sub(1));
            json.object("anomaly", |json| {
                json.text("app_proto", "mqtt");
                json.text("type", "applayer");
                json.text("event", event);
                json.text("layer", "proto_parser");
            });
            json.text("direction", if direction == Direction::ToServer { "to_server" } else { "to_client" });
            pktvars(json, |list| {
                for rule in violations.iter().map(|violation| violation.rule()) {
                    list.push_object(|json| {
                        json.text("violation", rule.id);
                        if let Some(clause) = rule.clause {
                            json.text("clause", clause);
                        }
                        json.text("text", rule.text);
                    });
                }
                list.push_object(|json| {
                    json.text("message", citronella_wire::mqtt::kind::name(observed.header.kind));
                });
                if !observed.complete_view {
                    list.push_object(|json| json.flag("complete_view", false));
                }
            });
        });
    }

    pub(crate) fn stream_fault(
        &mut self,
        context: EventContext<'_>,
        community_id: &str,
        event: &str,
        from_initiator: bool,
        bytes: Option<u64>,
    ) {
        self.record(context, "anomaly", community_id, |json, _| {
            json.object("anomaly", |json| {
                json.text("type", "stream");
                json.text("event", event);
            });
            json.text("direction", if from_initiator { "to_server" } else { "to_client" });
            if let Some(bytes) = bytes {
                pktvars(json, |list| list.push_object(|json| json.number("missing_bytes", bytes)));
            }
        });
    }

    /// A fragment does not belong to a flow yet.
    pub(crate) fn fragment_fault(&mut self, fragment: &BadFragment) {
        let BadFragment { fault, time_nanos, packet, src, dst, protocol } = *fragment;
        let head = Head { kind: "anomaly", time_nanos, packet: Some(packet), flow: None, community_id: "" };
        self.any(head, |json, _| {
            json.text("src_ip", &src.to_string());
            json.text("dest_ip", &dst.to_string());
            json.text("proto", protocol_name(protocol));
            json.object("anomaly", |json| {
                json.text("type", "decode");
                json.text("event", fragment_event(fault, src.is_ipv4()));
            });
            pktvars(json, |list| list.push_object(|json| json.text("fault", fault.name())));
        });
    }

    pub(crate) fn client_hello(
        &mut self,
        context: EventContext<'_>,
        community_id: &str,
        hello: &ClientHello,
    ) {
        self.record(context, "tls", community_id, |json, _| {
            json.object("tls", |json| {
                if let Some(name) = &hello.sni {
                    json.bytes("sni", name, TEXT_BYTES);
                }
                json.object("client_handshake", |json| json.text("version", &hello.version_name()));
                json.text("ja4", &hello.ja4());
                if !hello.alpn.is_empty() {
                    json.array("client_alpns", |list| {
                        hello.alpn.iter().for_each(|protocol| list.push_bytes(protocol, TEXT_BYTES));
                    });
                }
            });
            if hello.malformed {
                pktvars(json, |list| list.push_object(|json| json.flag("malformed", true)));
            }
        });
    }

    pub(crate) fn flow(&mut self, end: &FlowEnd<'_>, community_id: &str) {
        let flow = end.flow;
        let context = EventContext { flow, time_nanos: flow.last_nanos, packet: None };
        let [initiator, responder] = &flow.sides;
        let [wire_out, wire_back] = end.wire_bytes;
        self.record(context, "flow", community_id, |json, times| {
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

/// Suricata's event for a bad fragment.
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

/// Fields beyond Suricata's schema: it leaves the objects of this list open, since they hold packet variables.
fn pktvars(json: &mut Json<'_>, fill: impl FnOnce(&mut Json<'_>)) {
    json.object("metadata", |json| json.array("pktvars", fill));
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

/// Suricata's name of a flow state.
fn state_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unanswered => "new",
        Phase::Answered => "established",
        Phase::Finished | Phase::Reset => "closed",
    }
}

/// Suricata's name of an end reason: Suricata, too, ends a closed flow by a timeout.
fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Finished | EndReason::Reset | EndReason::Idle | EndReason::Active => "timeout",
        EndReason::Evicted => "forced",
        EndReason::Capture => "shutdown",
    }
}

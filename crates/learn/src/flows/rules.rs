//! The baseline of ten threshold rules, as one would write them for Suricata.
//!
//! Each rule counts events of one kind per source and flags the flow of every event beyond `count` within `secs`
//! (Suricata's `detection_filter`, track by_src). The thresholds follow from the services' purpose; two were changed
//! after a look at run-2: 60 CONNECTs a minute flagged a benign sensor that reconnects for each message (now 100 in
//! 10 s), 200 PUBLISHes a second missed the flood (now 100). In: a capture. Out: the flagged flows with class and
//! time.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use citronella_sensor::{
    capture::{Capture, CaptureError},
    flow::{
        Flow, Phase,
        sessions::{Limits, SessionEvent, Sessions},
        table,
    },
};
use citronella_wire::mqtt::{Direction, Message};

/// A kind of event that a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// A TCP connection to a port other than those of MQTT, SSH and the web.
    OddTcpPort,
    /// A TCP connection that is reset or never answered.
    FailedTcp,
    /// A UDP datagram to a new port without an answer.
    UnansweredUdp,
    /// An ICMP destination unreachable, counted for its receiver.
    Unreachable,
    /// A connection to SSH's port.
    Ssh,
    /// A CONNACK with a refusal, counted for the client.
    Refused,
    /// A CONNECT.
    Connect,
    /// A PUBLISH from a client.
    Publish,
    /// A CONNECT with a keep-alive of ten minutes or more.
    LongKeepAlive,
    /// A client's message that violates the MQTT standard.
    Violation,
}

/// A threshold rule.
struct Rule {
    event: Event,
    /// Class of the flows that it flags.
    class: &'static str,
    /// Events of a source that do not flag.
    count: usize,
    /// Interval in seconds.
    secs: i64,
}

const fn rule(event: Event, class: &'static str, count: usize, secs: i64) -> Rule {
    Rule { event, class, count, secs }
}

/// The rules. If several flag a flow, the first in time decides its class.
const RULES: [Rule; 10] = [
    rule(Event::OddTcpPort, "scan_A", 20, 10),
    rule(Event::FailedTcp, "scan_A", 30, 10),
    rule(Event::UnansweredUdp, "scan_sU", 20, 10),
    rule(Event::Unreachable, "scan_sU", 10, 10),
    rule(Event::Ssh, "sparta", 5, 60),
    rule(Event::Refused, "mqtt_bruteforce", 5, 60),
    rule(Event::Connect, "mqtt_bruteforce", 100, 10),
    rule(Event::Publish, "flood", 100, 1),
    rule(Event::LongKeepAlive, "slowite", 10, 60),
    rule(Event::Violation, "malformed", 3, 60),
];

/// A description of each rule.
pub fn rules_in_words() -> impl Iterator<Item = String> {
    RULES.iter().map(|rule| {
        let what = match rule.event {
            Event::OddTcpPort => "TCP connections to ports other than MQTT, SSH and web",
            Event::FailedTcp => "TCP connections reset or not answered",
            Event::UnansweredUdp => "UDP flows without an answer",
            Event::Unreachable => "ICMP destination unreachable, sent to the source",
            Event::Ssh => "TCP connections to port 22",
            Event::Refused => "MQTT logins refused",
            Event::Connect => "MQTT CONNECTs",
            Event::Publish => "MQTT PUBLISHes",
            Event::LongKeepAlive => "MQTT CONNECTs with a keep-alive of 600 s or more",
            Event::Violation => "MQTT messages that break the standard",
        };
        format!("{}: more than {} {what} by one source in {} s", rule.class, rule.count, rule.secs)
    })
}

/// A flow that a rule flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flagged {
    /// The rule's class.
    pub(super) class: &'static str,
    /// When it was flagged, Unix nanoseconds.
    pub(super) time_nanos: i64,
}

struct Occurrence {
    time_nanos: i64,
    event: Event,
    source: IpAddr,
    flow: u64,
}

/// The flows of a capture that a rule flags, by flow id. Flows end as in detection.
pub(super) fn flagged(mut capture: Capture) -> Result<HashMap<u64, Flagged>, CaptureError> {
    let mut events = Vec::new();
    let mut sessions = Sessions::new(Limits { flows: table::Limits::default(), ..Limits::default() });
    loop {
        match capture.next() {
            Ok(Some(packet)) => sessions.packet(&packet, |event| collect(&event, &mut events)),
            Ok(None) => break,
            Err(fault) if fault.is_cut() => break,
            Err(fault) => return Err(fault),
        }
    }
    sessions.finish(|event| collect(&event, &mut events));
    events.sort_by_key(|event| event.time_nanos);
    Ok(apply(&events))
}

fn collect(event: &SessionEvent<'_>, events: &mut Vec<Occurrence>) {
    match event {
        SessionEvent::Message { context, direction, observed } => {
            let is_client = *direction == Direction::ToServer;
            let mut add = |event| {
                events.push(Occurrence {
                    time_nanos: context.time_nanos,
                    event,
                    source: context.flow.src().0,
                    flow: context.flow.id,
                });
            };
            match &observed.message {
                Message::Connect(connect) => {
                    add(Event::Connect);
                    if connect.keep_alive >= 600 {
                        add(Event::LongKeepAlive);
                    }
                }
                Message::Connack(connack) if !is_client && connack.code != 0 => add(Event::Refused),
                Message::Publish(_) if is_client => add(Event::Publish),
                _ => {}
            }
            // In a connection picked up mid-stream, a violation of the order may be the capture's fault.
            if is_client && observed.complete_view && !observed.violations.is_empty() {
                add(Event::Violation);
            }
        }
        SessionEvent::FlowEnded(end) => collect_flow(end.flow, end.icmp, events),
        _ => {}
    }
}

fn collect_flow(flow: &Flow, icmp: Option<(u8, u8)>, events: &mut Vec<Occurrence>) {
    let (src, (dst, port)) = (flow.src().0, flow.dst());
    let mut add =
        |time_nanos, event, source| events.push(Occurrence { time_nanos, event, source, flow: flow.id });
    let is_answered = flow.sides[1].packets > 0;
    match flow.key().protocol() {
        TCP => {
            if !matches!(port, 22 | 80 | 443 | 1883 | 8883) {
                add(flow.first_nanos, Event::OddTcpPort, src);
            }
            if !is_answered || flow.phase == Phase::Reset {
                add(flow.last_nanos, Event::FailedTcp, src);
            }
            if port == 22 {
                add(flow.first_nanos, Event::Ssh, src);
            }
        }
        UDP if !is_answered => add(flow.first_nanos, Event::UnansweredUdp, src),
        // Destination unreachable: type 3 (RFC 792), type 1 (RFC 4443).
        ICMP if icmp.is_some_and(|(kind, _)| kind == 3) => add(flow.first_nanos, Event::Unreachable, dst),
        ICMPV6 if icmp.is_some_and(|(kind, _)| kind == 1) => add(flow.first_nanos, Event::Unreachable, dst),
        _ => {}
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

fn apply(events: &[Occurrence]) -> HashMap<u64, Flagged> {
    let mut flagged: HashMap<u64, Flagged> = HashMap::new();
    let mut recent: HashMap<(usize, IpAddr), VecDeque<i64>> = HashMap::new();
    for event in events {
        for (number, rule) in RULES.iter().enumerate().filter(|(_, rule)| rule.event == event.event) {
            let times = recent.entry((number, event.source)).or_default();
            times.push_back(event.time_nanos);
            let from = event.time_nanos.saturating_sub(rule.secs * 1_000_000_000);
            while times.front().is_some_and(|time| *time < from) {
                times.pop_front();
            }
            if times.len() > rule.count {
                let flag = Flagged { class: rule.class, time_nanos: event.time_nanos };
                flagged.entry(event.flow).or_insert(flag);
            }
        }
    }
    flagged
}

//! State of one conversation from packet to packet.

use std::hash::BuildHasher;
use std::net::IpAddr;

use citronella_wire::mqtt::{self, kind};
use citronella_wire::{Frame, Transport};

use super::columns::{Feature, MAX_COUNT, WIDTH, log_scaled};
use super::mqtt::{Connection, Segment, SegmentMessages};
use super::service::{LoginOutcome, Recognition, Service, SshLogin};
use crate::flow::{Flow, FlowPacket};

/// A clock that steps back by more than this was set; by less, a packet came late.
const SET_BACK_NANOS: i64 = 60_000_000_000;
/// A time that no packet has.
const NEVER: i64 = i64::MIN;
const UDP: u8 = 17;

/// What a packet did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PacketEvents {
    /// A flow starts that was not picked up in mid-stream.
    pub(super) begins_flow: bool,
    /// A flow starts and awaits an answer.
    pub(super) is_unanswered: bool,
    /// The flow's first answer, in seconds after its first packet.
    pub(super) answered_after_secs: Option<f32>,
    /// An ICMP error.
    pub(super) is_icmp_error: bool,
    /// The service, where this packet shows it.
    pub(super) recognised: Option<Service>,
    pub(super) messages: SegmentMessages,
    /// Logins refused.
    pub(super) refused: u32,
    /// Logins accepted.
    pub(super) accepted: u32,
    /// The client had been silent for longer than its keep-alive allows.
    pub(super) is_overdue: bool,
    /// The connection is held without use from now on (`true`), or no longer.
    pub(super) held_changed: Option<bool>,
    /// The connection is open without a PUBLISH from now on (`true`), or no longer.
    pub(super) idle_changed: Option<bool>,
    /// The sender is the host whose behaviour is counted.
    pub(super) is_from_actor: bool,
    /// Bytes of the IP datagram.
    pub(super) len: u32,
}

impl PacketEvents {
    /// Whether the responder's counts change.
    pub(super) fn changes_responder(&self) -> bool {
        self.recognised.is_some()
            || self.refused > 0
            || self.is_unanswered
            || self.answered_after_secs.is_some()
    }
}

/// State of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveFlow {
    /// The behaviour counted is the responder's, not the initiator's.
    is_of_responder: bool,
    pub(super) protocol: u8,
    first_nanos: i64,
    last_nanos: i64,
    /// The client's last MQTT message; [`NEVER`] before it, and after its silence was reported.
    client_nanos: i64,
    is_mid_stream: bool,
    is_unanswered: bool,
    is_held: bool,
    is_idle: bool,
    is_over: bool,
    pub(super) is_new_endpoint: bool,
    pub(super) is_new_client: bool,
    /// A message preceded the CONNACK.
    has_early_message: bool,
    /// The responder's service, from this flow or an earlier one.
    service: Service,
    /// Recent logins that the responder's port refused, from all clients.
    pub(super) endpoint_refused: f32,
    /// Recent flows to the responder that failed, from all initiators.
    pub(super) responder_failed: f32,
    recognition: Recognition,
    mqtt: Connection,
    login: SshLogin,
    faults: u32,
}

const _: () = assert!(size_of::<LiveFlow>() <= 112, "memory a flow: see the level's documentation");

impl Default for LiveFlow {
    fn default() -> LiveFlow {
        LiveFlow {
            is_of_responder: false,
            protocol: 0,
            first_nanos: 0,
            last_nanos: 0,
            client_nanos: NEVER,
            is_mid_stream: false,
            is_unanswered: false,
            is_held: false,
            is_idle: false,
            is_over: false,
            is_new_endpoint: false,
            is_new_client: false,
            has_early_message: false,
            service: Service::Unknown,
            endpoint_refused: 0.0,
            responder_failed: 0.0,
            recognition: Recognition::default(),
            mqtt: Connection::default(),
            login: SshLogin::default(),
            faults: 0,
        }
    }
}

impl LiveFlow {
    /// A flow that starts with `packet`. `is_of_responder`: the behaviour counted is the responder's.
    pub(super) fn new(
        time_nanos: i64,
        packet: &FlowPacket,
        is_of_responder: bool,
        service: Service,
    ) -> LiveFlow {
        LiveFlow {
            is_of_responder,
            protocol: packet.key.protocol(),
            first_nanos: time_nanos,
            last_nanos: time_nanos,
            is_mid_stream: packet.tcp.is_some_and(|flags| !flags.syn()),
            service,
            ..LiveFlow::default()
        }
    }

    /// The host whose behaviour is counted.
    pub(super) fn actor(&self, flow: &Flow) -> IpAddr {
        if self.is_of_responder { flow.dst().0 } else { flow.src().0 }
    }

    /// Takes the next packet; `way` is 0 for the initiator's.
    pub(super) fn packet(
        &mut self,
        packet: &FlowPacket,
        frame: &Frame<'_>,
        way: usize,
        is_first: bool,
        limits: &mqtt::Limits,
        hash: &impl BuildHasher,
    ) -> PacketEvents {
        self.follow_clock(packet.time_nanos);
        let mut events = PacketEvents { len: packet.len, ..PacketEvents::default() };
        events.is_from_actor = (way == 1) == self.is_of_responder || packet.key.is_between_one_host();
        let is_error = matches!(frame.transport, Some(Transport::Icmp(icmp)) if icmp.is_error());
        if is_error {
            events.is_icmp_error = true;
            return events;
        }
        if is_first {
            events.begins_flow = !self.is_mid_stream;
            events.is_unanswered = way == 0;
            self.is_unanswered = way == 0;
        }
        let reset = packet.tcp.is_some_and(|flags| flags.rst());
        if way == 1 && self.is_unanswered {
            self.is_unanswered = false;
            if !reset {
                let secs = packet.time_nanos.saturating_sub(self.first_nanos).max(0) as f32 * 1e-9;
                events.answered_after_secs = Some(secs);
            }
        }
        events.is_overdue = self.is_overdue(packet.time_nanos);
        if let Some(Transport::Tcp(tcp)) = &frame.transport {
            if tcp.flags.syn() {
                self.mqtt.start(way, tcp.seq.wrapping_add(1));
            }
            let seq = tcp.seq.wrapping_add(u32::from(tcp.flags.syn()));
            if !tcp.flags.rst() {
                let segment = Segment { seq, bytes: frame.payload, wire_len: frame.payload_len };
                self.segment(way, segment, &mut events, limits, hash);
            }
            self.close(tcp.flags.fin() || tcp.flags.rst(), &mut events);
            self.update_held(&mut events);
        }
        self.has_early_message |= events.messages.early > 0;
        self.faults = self.faults.saturating_add(events.messages.faulty);
        if way == 0 && events.messages.messages > 0 {
            self.client_nanos = packet.time_nanos;
        }
        events
    }

    /// Shifts stored times where the recorder's clock was set back.
    fn follow_clock(&mut self, now_nanos: i64) {
        let back = self.last_nanos.saturating_sub(now_nanos);
        if back > SET_BACK_NANOS {
            self.first_nanos = self.first_nanos.saturating_sub(back);
            self.last_nanos = now_nanos;
            if self.client_nanos != NEVER {
                self.client_nanos = self.client_nanos.saturating_sub(back);
            }
        }
    }

    /// Whether the client of an open connection has been silent for longer than its keep-alive allows; `true` once per
    /// silence.
    fn is_overdue(&mut self, now_nanos: i64) -> bool {
        let Some(allowed) = mqtt::keep_alive_nanos(self.mqtt.keep_alive_secs) else { return false };
        if self.client_nanos == NEVER || !self.mqtt.handshake.is_accepted() || self.mqtt.is_closed {
            return false;
        }
        let is_overdue = now_nanos.saturating_sub(self.client_nanos) > allowed;
        if is_overdue {
            self.client_nanos = NEVER;
        }
        is_overdue
    }

    pub(super) fn service(&self) -> Service {
        self.service
    }

    fn segment(
        &mut self,
        way: usize,
        segment: Segment<'_>,
        events: &mut PacketEvents,
        limits: &mqtt::Limits,
        hash: &impl BuildHasher,
    ) {
        if segment.bytes.is_empty() {
            return;
        }
        if self.recognition.inspect(segment.bytes) {
            self.service = self.recognition.service;
            // A client that sends another protocol to a broker does not make it a web server.
            events.recognised = (way == 1 || self.service == Service::Mqtt).then_some(self.service);
        }
        match self.service {
            Service::Mqtt => {
                let messages = self.mqtt.segment(way, segment, limits, hash);
                match messages.connack {
                    Some(0) => events.accepted = 1,
                    Some(_) => events.refused = 1,
                    None => {}
                }
                events.messages = messages;
            }
            Service::Ssh => match self.login.segment(way, segment.bytes) {
                Some(LoginOutcome::Refused) => events.refused = 1,
                Some(LoginOutcome::Accepted) => events.accepted = 1,
                None => {}
            },
            Service::Unknown | Service::Tls | Service::Http => {}
        }
    }

    fn close(&mut self, is_end: bool, events: &mut PacketEvents) {
        if !is_end || self.is_over {
            return;
        }
        self.is_over = true;
        if self.service == Service::Ssh && self.login.is_fruitless() {
            events.refused += 1;
        }
    }

    /// Updates whether the connection counts as held and as idle.
    fn update_held(&mut self, events: &mut PacketEvents) {
        let mqtt = &self.mqtt;
        let (is_accepted, is_answered) = (mqtt.handshake.is_accepted(), mqtt.handshake.is_answered());
        let is_open = self.service == Service::Mqtt && !mqtt.is_closed && !self.is_over;
        // Idle from the TCP handshake on; where that was not seen, from the CONNACK on.
        let is_established = is_accepted || !(is_answered || self.is_mid_stream || self.is_unanswered);
        events.held_changed = change(&mut self.is_held, is_open && is_accepted && !mqtt.is_used);
        events.idle_changed = change(&mut self.is_idle, is_open && is_established && !mqtt.has_publish);
    }

    /// Clears whether the flow counts as held and as idle; returns what they were.
    pub(super) fn take_held(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.is_held), std::mem::take(&mut self.is_idle))
    }

    /// Records the time of the packet whose row was written.
    pub(super) fn set_last(&mut self, time_nanos: i64) {
        self.last_nanos = time_nanos;
    }

    /// Writes the features of the packet and its flow.
    pub(super) fn write(
        &self,
        events: &PacketEvents,
        packet: &FlowPacket,
        way: usize,
        flow: &Flow,
        features: &mut [f32; WIDTH],
    ) {
        let mut set = |feature: Feature, value: f32| features[feature as usize] = value;
        let secs = |since: i64| packet.time_nanos.saturating_sub(since).max(0) as f32 * 1e-9;
        let yes = |is: bool| f32::from(u8::from(is));
        set(Feature::FromInitiator, yes(way == 0));
        set(Feature::Udp, yes(self.protocol == UDP));
        set(Feature::Payload, log_scaled(packet.payload_len as f32, 4.0, 65_536.0));
        set(Feature::FlowGap, scaled_secs(secs(self.last_nanos)));
        set(Feature::Age, scaled_secs(secs(self.first_nanos)));
        set(Feature::Packets, log_scaled(flow.packets() as f32, 1.0, 1_000.0));
        if let Some(flags) = packet.tcp {
            set(Feature::Syn, yes(flags.syn()));
            set(Feature::Fin, yes(flags.fin()));
            set(Feature::Rst, yes(flags.rst()));
        }
        set(Feature::MidStream, yes(self.is_mid_stream));
        set(Feature::NewEndpoint, yes(self.is_new_endpoint));
        set(Feature::Mqtt, yes(self.service == Service::Mqtt));
        set(Feature::Ssh, yes(self.service == Service::Ssh));
        set(Feature::OtherService, yes(matches!(self.service, Service::Tls | Service::Http)));
        set(Feature::Accepted, yes(events.accepted > 0));
        set(Feature::Refused, yes(events.refused > 0));
        let messages = &events.messages;
        set(Feature::Connect, yes(messages.has(kind::CONNECT)));
        set(Feature::Publish, yes(messages.has(kind::PUBLISH)));
        let acknowledges = (kind::PUBACK..=kind::PUBCOMP).chain(kind::PINGREQ..=kind::PINGRESP);
        set(Feature::Ack, yes(acknowledges.into_iter().any(|kind| messages.has(kind))));
        set(Feature::Subscribe, yes((kind::SUBSCRIBE..=kind::UNSUBACK).any(|kind| messages.has(kind))));
        set(Feature::Disconnect, yes(messages.has(kind::DISCONNECT)));
        set(Feature::RemainingLength, log_scaled(messages.remaining_length as f32, 4.0, 65_536.0));
        set(Feature::Qos, f32::from(messages.qos.min(2)) / 2.0);
        set(Feature::KeepAlive, log_scaled(f32::from(self.mqtt.keep_alive_secs), 1.0, 65_536.0));
        set(Feature::HasUser, yes(self.mqtt.has_user));
        set(Feature::NewClient, yes(self.is_new_client));
        set(Feature::EarlyMessage, yes(self.has_early_message));
        set(Feature::Faulty, yes(messages.faulty > 0));
        set(Feature::FlowFaults, log_scaled(self.faults as f32, 1.0, 100.0));
        set(Feature::EndpointRefused60, log_scaled(self.endpoint_refused, 1.0, MAX_COUNT));
        set(Feature::ResponderFailed60, log_scaled(self.responder_failed, 1.0, MAX_COUNT));
    }
}

/// Sets a state; returns the new one if it changed.
fn change(state: &mut bool, is: bool) -> Option<bool> {
    (std::mem::replace(state, is) != is).then_some(is)
}

/// Scales a time in seconds: 1 ms is 0.15, 1 s is 0.57, 1,000 s and more are 1.
pub(super) fn scaled_secs(secs: f32) -> f32 {
    log_scaled(secs, 1e-4, 1_000.0)
}

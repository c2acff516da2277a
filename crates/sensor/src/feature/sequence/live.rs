//! One conversation as the sequence level keeps it: what has to be remembered from packet to packet.

use std::hash::BuildHasher;
use std::net::IpAddr;

use citronella_wire::mqtt::{self, kind};
use citronella_wire::{Frame, Transport};

use super::columns::{MOST_COUNT, Place, WIDTH, log_scaled};
use super::mqtt::{Connection, Said, Segment};
use super::service::{Answer, Login, Recognition, Service};
use crate::flow::{Flow, FlowPacket};

/// A step back of more than this is a clock that was set; less is a packet that came late.
const SET_BACK_NANOS: i64 = 60_000_000_000;
/// No time of a packet.
const NEVER: i64 = i64::MIN;
const UDP: u8 = 17;

/// What a packet did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Happened {
    /// A flow begins that was not picked up in mid-stream.
    pub(super) begins: bool,
    /// A flow begins and waits for an answer.
    pub(super) unanswered: bool,
    /// The flow's first answer, so many seconds after its begin.
    pub(super) answered_after_secs: Option<f32>,
    /// An ICMP error came.
    pub(super) failed: bool,
    /// The service is settled by this packet.
    pub(super) recognised: Option<Service>,
    pub(super) said: Said,
    pub(super) refused: u32,
    pub(super) accepted: u32,
    /// The client had been silent for longer than its keep-alive allows.
    pub(super) overdue: bool,
    /// The connection is held without use from now on, or no longer.
    pub(super) holds: Option<bool>,
    /// The connection is open without a PUBLISH so far from now on, or no longer.
    pub(super) idles: Option<bool>,
    /// The host whose behaviour counts sent it.
    pub(super) from_actor: bool,
    /// Bytes of the IP datagram.
    pub(super) len: u32,
}

impl Happened {
    /// Whether it changes what is known of the responder.
    pub(super) fn tells_of_responder(&self) -> bool {
        self.recognised.is_some() || self.refused > 0 || self.unanswered || self.answered_after_secs.is_some()
    }
}

/// What is remembered of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveFlow {
    /// Its behaviour is the responder's, not the initiator's.
    of_responder: bool,
    pub(super) protocol: u8,
    begun_nanos: i64,
    last_nanos: i64,
    /// The client's last message; [`NEVER`] before it, and where its silence was told.
    heard_nanos: i64,
    mid_stream: bool,
    waits: bool,
    held: bool,
    idle: bool,
    over: bool,
    pub(super) new_end: bool,
    pub(super) new_client: bool,
    /// A message did not wait for the answer to the CONNECT.
    hasty: bool,
    /// What the responder is known to speak.
    service: Service,
    /// Logins that the responder's port refused of late, whoever tried.
    pub(super) end_refused: f32,
    /// Flows to the responder that came to nothing of late, whoever began them.
    pub(super) peer_failed: f32,
    recognition: Recognition,
    mqtt: Connection,
    login: Login,
    faults: u32,
}

impl Default for LiveFlow {
    fn default() -> LiveFlow {
        LiveFlow {
            of_responder: false,
            protocol: 0,
            begun_nanos: 0,
            last_nanos: 0,
            heard_nanos: NEVER,
            mid_stream: false,
            waits: false,
            held: false,
            idle: false,
            over: false,
            new_end: false,
            new_client: false,
            hasty: false,
            service: Service::Unknown,
            end_refused: 0.0,
            peer_failed: 0.0,
            recognition: Recognition::default(),
            mqtt: Connection::default(),
            login: Login::default(),
            faults: 0,
        }
    }
}

impl LiveFlow {
    /// `of_responder`: its behaviour is the responder's.
    pub(super) fn new(
        time_nanos: i64,
        packet: &FlowPacket,
        of_responder: bool,
        service: Service,
    ) -> LiveFlow {
        let mid_stream = packet.tcp.is_some_and(|flags| !flags.syn());
        LiveFlow {
            of_responder,
            protocol: packet.key.protocol(),
            begun_nanos: time_nanos,
            last_nanos: time_nanos,
            mid_stream,
            service,
            ..LiveFlow::default()
        }
    }

    /// Whose behaviour it belongs to.
    pub(super) fn actor(&self, flow: &Flow) -> IpAddr {
        if self.of_responder { flow.dst().0 } else { flow.src().0 }
    }

    /// Takes the next packet; `way` is 0 for the initiator's.
    pub(super) fn packet(
        &mut self,
        packet: &FlowPacket,
        frame: &Frame<'_>,
        way: usize,
        begins: bool,
        limits: &mqtt::Limits,
        hash: &impl BuildHasher,
    ) -> Happened {
        self.follow_clock(packet.time_nanos);
        let mut happened = Happened { len: packet.len, ..Happened::default() };
        happened.from_actor = (way == 1) == self.of_responder || packet.key.is_between_one_host();
        let is_error = matches!(frame.transport, Some(Transport::Icmp(icmp)) if icmp.is_error());
        if is_error {
            happened.failed = true;
            return happened;
        }
        if begins {
            happened.begins = !self.mid_stream;
            happened.unanswered = way == 0;
            self.waits = way == 0;
        }
        let reset = packet.tcp.is_some_and(|flags| flags.rst());
        if way == 1 && self.waits {
            self.waits = false;
            if !reset {
                let secs = packet.time_nanos.saturating_sub(self.begun_nanos).max(0) as f32 * 1e-9;
                happened.answered_after_secs = Some(secs);
            }
        }
        happened.overdue = self.is_overdue(packet.time_nanos);
        if let Some(Transport::Tcp(tcp)) = &frame.transport {
            if tcp.flags.syn() {
                self.mqtt.begin(way, tcp.seq.wrapping_add(1));
            }
            let seq = tcp.seq.wrapping_add(u32::from(tcp.flags.syn()));
            if !tcp.flags.rst() {
                let segment = Segment { seq, bytes: frame.payload, wire_len: frame.payload_len };
                self.segment(way, segment, &mut happened, limits, hash);
            }
            self.end(tcp.flags.fin() || tcp.flags.rst(), &mut happened);
            self.hold(&mut happened);
        }
        self.hasty |= happened.said.hasty > 0;
        self.faults = self.faults.saturating_add(happened.said.faulty);
        if way == 0 && happened.said.messages > 0 {
            self.heard_nanos = packet.time_nanos;
        }
        happened
    }

    /// The recorder's clock may have been set back: what was remembered then goes back with it.
    fn follow_clock(&mut self, now_nanos: i64) {
        let back = self.last_nanos.saturating_sub(now_nanos);
        if back > SET_BACK_NANOS {
            self.begun_nanos = self.begun_nanos.saturating_sub(back);
            self.last_nanos = now_nanos;
            if self.heard_nanos != NEVER {
                self.heard_nanos = self.heard_nanos.saturating_sub(back);
            }
        }
    }

    /// Whether the client of an open connection has been silent for more than one and a half times its keep-alive
    /// (MQTT-3.1.2-24); true once a silence.
    fn is_overdue(&mut self, now_nanos: i64) -> bool {
        let secs = i64::from(self.mqtt.keep_alive_secs);
        if self.heard_nanos == NEVER || !self.mqtt.accepted || self.mqtt.closed || secs == 0 {
            return false;
        }
        let overdue = now_nanos.saturating_sub(self.heard_nanos) > secs * 1_500_000_000;
        if overdue {
            self.heard_nanos = NEVER;
        }
        overdue
    }

    pub(super) fn service(&self) -> Service {
        self.service
    }

    fn segment(
        &mut self,
        way: usize,
        segment: Segment<'_>,
        happened: &mut Happened,
        limits: &mqtt::Limits,
        hash: &impl BuildHasher,
    ) {
        if segment.bytes.is_empty() {
            return;
        }
        if self.recognition.look(segment.bytes) {
            self.service = self.recognition.service;
            // Whoever sends something else to a broker makes no web server of it.
            happened.recognised = (way == 1 || self.service == Service::Mqtt).then_some(self.service);
        }
        match self.service {
            Service::Mqtt => {
                let said = self.mqtt.segment(way, segment, limits, hash);
                match said.connack {
                    Some(0) => happened.accepted = 1,
                    Some(_) => happened.refused = 1,
                    None => {}
                }
                happened.said = said;
            }
            Service::Ssh => match self.login.segment(way, segment.bytes) {
                Some(Answer::Refused) => happened.refused = 1,
                Some(Answer::Accepted) => happened.accepted = 1,
                None => {}
            },
            Service::Unknown | Service::Tls | Service::Http => {}
        }
    }

    fn end(&mut self, ends: bool, happened: &mut Happened) {
        if !ends || self.over {
            return;
        }
        self.over = true;
        if self.service == Service::Ssh && self.login.is_fruitless() {
            happened.refused += 1;
        }
    }

    /// What of its host's connections to brokers the packet changed.
    fn hold(&mut self, happened: &mut Happened) {
        let mqtt = &self.mqtt;
        let open = self.service == Service::Mqtt && !mqtt.closed && !self.over;
        // From the begin on, or from the CONNACK where the begin was not seen.
        let begun = mqtt.accepted || !(mqtt.answered || self.mid_stream || self.waits);
        happened.holds = change(&mut self.held, open && mqtt.accepted && !mqtt.used);
        happened.idles = change(&mut self.idle, open && begun && !mqtt.published);
    }

    /// Whether the flow still counted as held, and as idle; it no longer does.
    pub(super) fn let_go(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.held), std::mem::take(&mut self.idle))
    }

    /// The packet has been written.
    pub(super) fn passed(&mut self, time_nanos: i64) {
        self.last_nanos = time_nanos;
    }

    /// Writes what the packet and its flow are.
    pub(super) fn write(
        &self,
        happened: &Happened,
        packet: &FlowPacket,
        way: usize,
        flow: &Flow,
        features: &mut [f32; WIDTH],
    ) {
        let mut set = |place: Place, value: f32| features[place as usize] = value;
        let secs = |since: i64| packet.time_nanos.saturating_sub(since).max(0) as f32 * 1e-9;
        let yes = |is: bool| f32::from(u8::from(is));
        set(Place::FromInitiator, yes(way == 0));
        set(Place::Udp, yes(self.protocol == UDP));
        set(Place::Payload, log_scaled(packet.payload_len as f32, 4.0, 65_536.0));
        set(Place::FlowGap, scaled_secs(secs(self.last_nanos)));
        set(Place::Age, scaled_secs(secs(self.begun_nanos)));
        set(Place::Packets, log_scaled(flow.packets() as f32, 1.0, 1_000.0));
        if let Some(flags) = packet.tcp {
            set(Place::Syn, yes(flags.syn()));
            set(Place::Fin, yes(flags.fin()));
            set(Place::Rst, yes(flags.rst()));
        }
        set(Place::MidStream, yes(self.mid_stream));
        set(Place::NewEnd, yes(self.new_end));
        set(Place::Mqtt, yes(self.service == Service::Mqtt));
        set(Place::Ssh, yes(self.service == Service::Ssh));
        set(Place::OtherService, yes(matches!(self.service, Service::Tls | Service::Http)));
        set(Place::Accepted, yes(happened.accepted > 0));
        set(Place::Refused, yes(happened.refused > 0));
        let said = &happened.said;
        set(Place::Connect, yes(said.has(kind::CONNECT)));
        set(Place::Publish, yes(said.has(kind::PUBLISH)));
        let acknowledges = (kind::PUBACK..=kind::PUBCOMP).chain(kind::PINGREQ..=kind::PINGRESP);
        set(Place::Ack, yes(acknowledges.into_iter().any(|kind| said.has(kind))));
        set(Place::Subscribe, yes((kind::SUBSCRIBE..=kind::UNSUBACK).any(|kind| said.has(kind))));
        set(Place::Disconnect, yes(said.has(kind::DISCONNECT)));
        set(Place::RemainingLength, log_scaled(said.remaining_length as f32, 4.0, 65_536.0));
        set(Place::Qos, f32::from(said.qos.min(2)) / 2.0);
        set(Place::KeepAlive, log_scaled(f32::from(self.mqtt.keep_alive_secs), 1.0, 65_536.0));
        set(Place::HasUser, yes(self.mqtt.has_user));
        set(Place::NewClient, yes(self.new_client));
        set(Place::Hasty, yes(self.hasty));
        set(Place::Faulty, yes(said.faulty > 0));
        set(Place::FlowFaults, log_scaled(self.faults as f32, 1.0, 100.0));
        set(Place::EndRefused60, log_scaled(self.end_refused, 1.0, MOST_COUNT));
        set(Place::PeerFailed60, log_scaled(self.peer_failed, 1.0, MOST_COUNT));
    }
}

/// Sets a state; the new one where it changed.
fn change(state: &mut bool, is: bool) -> Option<bool> {
    (std::mem::replace(state, is) != is).then_some(is)
}

/// 1 ms is 0.15, 1 s is 0.57, 1,000 s and more are 1.
pub(super) fn scaled_secs(secs: f32) -> f32 {
    log_scaled(secs, 1e-4, 1_000.0)
}

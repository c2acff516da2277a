//! Summary of captures: hosts, protocols, flows, MQTT versions and messages, in bounded memory.
//!
//! In: packets. Out: a [`Summary`], which serialises to the document of `citronella inspect --json`.

use std::{collections::BTreeMap, hash::Hash, net::IpAddr};

use citronella_wire::{Frame, Ip, Transport, decode_frame, mqtt};
use hashbrown::{HashMap, HashSet};
use serde::Serialize;

use crate::{
    capture::Packet,
    feature::packet::wireshark::protocol::Dissector,
    flow::{
        fragments::{self, Fragments},
        sessions::{Application, SessionEvent, Sessions},
    },
};

// Caps of the tables; beyond them, packets are only counted.
const MAX_HOSTS: usize = 100_000;
const MAX_FLOWS: usize = 2_000_000;
const MAX_TLS_CLIENTS: usize = 10_000;
/// Longest DNS name in bytes (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;

/// Randomly keyed: the author of a capture cannot choose colliding addresses.
type Random = foldhash::quality::RandomState;

/// A flow's two endpoints, the smaller first, and its IP protocol number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FlowKey {
    low: (IpAddr, u16),
    high: (IpAddr, u16),
    protocol: u8,
}

/// Traffic of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostTraffic {
    /// Packets it sent.
    pub packets_sent: u64,
    /// Packets it received.
    pub packets_received: u64,
    /// IP bytes it sent.
    pub bytes_sent: u64,
    /// IP bytes it received.
    pub bytes_received: u64,
}

/// A host and its traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its address.
    pub address: IpAddr,
    /// What it sent and received.
    #[serde(flatten)]
    pub traffic: HostTraffic,
}

/// Packets and bytes of one protocol, by Wireshark's name of the highest layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProtocolTraffic {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Distinct bidirectional 5-tuples over the whole capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flows {
    /// TCP.
    pub tcp: u64,
    /// UDP.
    pub udp: u64,
}

/// MQTT traffic, over TCP or WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mqtt {
    /// CONNECTs by version: 3.1, 3.1.1, 5 or unknown.
    pub versions: BTreeMap<&'static str, u64>,
    /// Control packets by type, in the standard's order.
    pub messages: Vec<(&'static str, u64)>,
    /// CONNACKs by return or reason code.
    pub connack_codes: BTreeMap<u8, u64>,
    /// Violations of the standard, by their id.
    pub violations: BTreeMap<&'static str, u64>,
}

/// A kind of TLS client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TlsClient {
    /// Its JA4 fingerprint.
    pub ja4: String,
    /// The requested server name, if any.
    pub sni: Option<String>,
}

/// A kind of TLS client and its number of ClientHellos.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsClients {
    /// The client.
    #[serde(flatten)]
    pub client: TlsClient,
    /// Number of ClientHellos.
    pub hellos: u64,
}

/// The contents of one or several captures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// All packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets cut at the snap length.
    pub cut_packets: u64,
    /// Time of the earliest packet, nanoseconds since 1970-01-01 UTC.
    pub first_seen_nanos: Option<i64>,
    /// Time of the latest packet.
    pub last_seen_nanos: Option<i64>,
    /// Packets by link type.
    pub link_types: BTreeMap<&'static str, u64>,
    /// Packets with a VLAN tag.
    pub vlan_packets: u64,
    /// Packets with a tunnel, by its kind; one level is decapsulated.
    pub tunnels: BTreeMap<&'static str, u64>,
    /// Packets that are not IP.
    pub not_ip_packets: u64,
    /// Partly decoded packets, by the reason.
    pub stopped: BTreeMap<String, u64>,
    /// IP reassembly.
    pub fragments: fragments::Counters,
    /// Traffic by the highest layer's name.
    pub protocols: BTreeMap<&'static str, ProtocolTraffic>,
    /// Hosts, the busiest first.
    pub hosts: Vec<Host>,
    /// Packets of hosts beyond the table's cap.
    pub hosts_beyond_cap_packets: u64,
    /// Distinct flows.
    pub flows: Flows,
    /// Packets of flows beyond the table's cap; these flows are not counted.
    pub flows_beyond_cap_packets: u64,
    /// Conversations by application, where recognised.
    pub applications: BTreeMap<&'static str, u64>,
    /// MQTT.
    pub mqtt: Mqtt,
    /// TLS clients, the most frequent first.
    pub tls_clients: Vec<TlsClients>,
    /// ClientHellos of kinds beyond the table's cap.
    pub tls_hellos_beyond_cap: u64,
}

/// Collects a [`Summary`].
pub struct Inspector {
    summary: Summary,
    fragments: Fragments,
    names: Dissector,
    hosts: HashMap<IpAddr, HostTraffic, Random>,
    flows: HashSet<FlowKey, Random>,
    /// `None` if the caller reads the sessions and passes their events.
    sessions: Option<Sessions>,
    totals: SessionTotals,
}

impl Default for Inspector {
    fn default() -> Inspector {
        Inspector { sessions: Some(Sessions::default()), ..Inspector::without_sessions() }
    }
}

/// Totals of session events.
#[derive(Default)]
struct SessionTotals {
    mqtt: Mqtt,
    messages: [u64; 16],
    applications: BTreeMap<&'static str, u64>,
    tls_clients: HashMap<TlsClient, u64, Random>,
    tls_hellos_beyond_cap: u64,
}

impl Inspector {
    /// An inspector that reads no sessions: the caller passes their events to [`Inspector::event`].
    pub fn without_sessions() -> Inspector {
        Inspector {
            summary: Summary::default(),
            fragments: Fragments::default(),
            names: Dissector::default(),
            hosts: HashMap::default(),
            flows: HashSet::default(),
            sessions: None,
            totals: SessionTotals::default(),
        }
    }

    /// Counts an event of a session.
    pub fn event(&mut self, event: &SessionEvent<'_>) {
        self.totals.add(event);
    }

    /// Counts a packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.frame(packet, &decode_frame(packet.link, packet.bytes));
    }

    /// [`Inspector::packet`] for a packet that was decoded already: `frame` is its frame.
    pub fn frame(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) {
        let Inspector { sessions, totals, .. } = self;
        if let Some(sessions) = sessions {
            sessions.frame(packet, frame, |event| totals.add(&event));
        }
        if !frame.is_fragment() {
            return self.add_datagram(packet, frame.ip.as_ref(), frame);
        }
        let mut fragments = std::mem::take(&mut self.fragments);
        let whole = fragments.frame(packet.time_nanos, *frame, |_| ());
        self.add_datagram(packet, frame.ip.as_ref(), &whole);
        self.fragments = fragments;
    }

    /// `ip` is the packet's own header, `frame` the reassembled datagram.
    fn add_datagram(&mut self, packet: &Packet<'_>, ip: Option<&Ip>, frame: &Frame<'_>) {
        let bytes = u64::from(packet.wire_len);
        let summary = &mut self.summary;
        summary.packets += 1;
        summary.bytes += bytes;
        summary.cut_packets += u64::from((packet.bytes.len() as u64) < bytes);
        let time = packet.time_nanos;
        summary.first_seen_nanos = Some(summary.first_seen_nanos.map_or(time, |first| first.min(time)));
        summary.last_seen_nanos = Some(summary.last_seen_nanos.map_or(time, |last| last.max(time)));
        *summary.link_types.entry(packet.link.name()).or_default() += 1;
        summary.vlan_packets += u64::from(!frame.vlans.is_empty());
        if let Some(tunnel) = frame.tunnel {
            *summary.tunnels.entry(tunnel.kind.name()).or_default() += 1;
        }
        if let Some(stop) = &frame.stop {
            let reason = format!("{}: {}", stop.layer.name(), stop.reason.name());
            *summary.stopped.entry(reason).or_default() += 1;
        }
        let shown = self.names.dissect(packet.time_nanos, frame);
        let protocol = summary.protocols.entry(shown.protocol).or_default();
        protocol.packets += 1;
        protocol.bytes += bytes;
        self.add_ip(ip, frame);
    }

    fn add_ip(&mut self, ip: Option<&Ip>, frame: &Frame<'_>) {
        let Some(ip) = ip else {
            self.summary.not_ip_packets += 1;
            return;
        };
        let length = u64::from(ip.total_len);
        if let Some(sender) = capped(&mut self.hosts, ip.src, MAX_HOSTS) {
            sender.packets_sent += 1;
            sender.bytes_sent += length;
        } else {
            self.summary.hosts_beyond_cap_packets += 1;
        }
        if let Some(receiver) = capped(&mut self.hosts, ip.dst, MAX_HOSTS) {
            receiver.packets_received += 1;
            receiver.bytes_received += length;
        }
        let (src_port, dst_port, protocol, count) = match &frame.transport {
            Some(Transport::Tcp(tcp)) => (tcp.src_port, tcp.dst_port, 6, &mut self.summary.flows.tcp),
            Some(Transport::Udp(udp)) => (udp.src_port, udp.dst_port, 17, &mut self.summary.flows.udp),
            _ => return,
        };
        let (from, to) = ((ip.src, src_port), (ip.dst, dst_port));
        let key = FlowKey { low: from.min(to), high: from.max(to), protocol };
        if self.flows.len() < MAX_FLOWS {
            *count += u64::from(self.flows.insert(key));
        } else if !self.flows.contains(&key) {
            self.summary.flows_beyond_cap_packets += 1;
        }
    }

    /// The summary so far.
    pub fn finish(mut self) -> Summary {
        let mut totals = self.totals;
        if let Some(mut sessions) = self.sessions {
            sessions.finish(|event| totals.add(&event));
        }
        let mut hosts: Vec<Host> =
            self.hosts.into_iter().map(|(address, traffic)| Host { address, traffic }).collect();
        hosts.sort_by_key(|host| {
            (std::cmp::Reverse(host.traffic.packets_sent + host.traffic.packets_received), host.address)
        });
        self.summary.hosts = hosts;
        self.summary.fragments = self.fragments.counters();
        let named = totals.messages.iter().enumerate().filter(|(_, count)| **count > 0);
        totals.mqtt.messages = named.map(|(kind, count)| (mqtt::kind::name(kind as u8), *count)).collect();
        self.summary.mqtt = totals.mqtt;
        self.summary.applications = totals.applications;
        let clients = totals.tls_clients.into_iter();
        let mut clients: Vec<_> = clients.map(|(client, hellos)| TlsClients { client, hellos }).collect();
        clients.sort_by(|a, b| b.hellos.cmp(&a.hellos).then_with(|| a.client.cmp(&b.client)));
        self.summary.tls_clients = clients;
        self.summary.tls_hellos_beyond_cap = totals.tls_hellos_beyond_cap;
        self.summary
    }
}

impl SessionTotals {
    fn add(&mut self, event: &SessionEvent<'_>) {
        match event {
            SessionEvent::Message { observed, .. } => {
                if let Some(count) = self.messages.get_mut(usize::from(observed.header.kind)) {
                    *count += 1;
                }
                for violation in observed.violations.iter() {
                    *self.mqtt.violations.entry(violation.rule().id).or_default() += 1;
                }
                match &observed.message {
                    mqtt::Message::Connect(connect) => {
                        *self.mqtt.versions.entry(version(connect)).or_default() += 1;
                    }
                    mqtt::Message::Connack(connack) => {
                        *self.mqtt.connack_codes.entry(connack.code).or_default() += 1;
                    }
                    _ => {}
                }
            }
            SessionEvent::ClientHello { hello, .. } => {
                let sni = hello.sni.as_ref().map(|name| {
                    let name = name.get(..LONGEST_NAME).unwrap_or(name);
                    String::from_utf8_lossy(name).into_owned()
                });
                let client = TlsClient { ja4: hello.ja4(), sni };
                match capped(&mut self.tls_clients, client, MAX_TLS_CLIENTS) {
                    Some(hellos) => *hellos += 1,
                    None => self.tls_hellos_beyond_cap += 1,
                }
            }
            SessionEvent::FlowEnded(end) if end.application != Application::Unknown => {
                *self.applications.entry(end.application.name()).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// The entry of `key`; a new one only while the table is below its cap.
fn capped<K: Hash + Eq, V: Default>(table: &mut HashMap<K, V, Random>, key: K, cap: usize) -> Option<&mut V> {
    if table.len() >= cap { table.get_mut(&key) } else { Some(table.entry(key).or_default()) }
}

/// The version of a CONNECT, by protocol name and level.
fn version(connect: &mqtt::Connect<'_>) -> &'static str {
    match (connect.protocol_name, connect.level & 0x7f) {
        (b"MQIsdp", 3) => "3.1",
        (b"MQTT", 4) => "3.1.1",
        (b"MQTT", 5) => "5",
        _ => "unknown",
    }
}

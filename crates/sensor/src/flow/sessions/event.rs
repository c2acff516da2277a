//! What [`super::Sessions`] tells.

use std::net::IpAddr;

use citronella_wire::{TcpFlags, mqtt, tls::ClientHello};

use crate::flow::fragments::Fault;
use crate::flow::{EndReason, Flow};

/// Where and when something was seen.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// Packet time, in nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// The packet's number in its capture; `None` for what the end of a flow brings to light.
    pub packet: Option<u64>,
}

/// What a flow carries, as far as it was recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Application {
    /// Nothing that is known here.
    #[default]
    Unknown,
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over WebSocket.
    MqttOverWebSocket,
    /// TLS.
    Tls,
}

impl Application {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Application::Unknown => "unknown",
            Application::Mqtt => "mqtt",
            Application::MqttOverWebSocket => "mqtt_over_websocket",
            Application::Tls => "tls",
        }
    }
}

/// A flow as it ended.
#[derive(Clone, Copy, Debug)]
pub struct FlowEnd<'a> {
    /// Its ends, times and packets.
    pub flow: &'a Flow,
    /// Why it ended.
    pub reason: EndReason,
    /// What it carried.
    pub application: Application,
    /// Bytes of whole frames on the wire: the initiator's, the responder's.
    pub wire_bytes: [u64; 2],
    /// All TCP flags seen: the initiator's, the responder's.
    pub tcp_flags: [TcpFlags; 2],
    /// Type and code of an ICMP flow's first message.
    pub icmp: Option<(u8, u8)>,
}

/// A fragment of an IP datagram with a fault. It belongs to no flow: the ports may be in another fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFragment {
    /// What is wrong with it.
    pub fault: Fault,
    /// Packet time, in nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// The packet's number in its capture.
    pub packet: u64,
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// IANA protocol number, as this fragment has it.
    pub protocol: u8,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub enum SessionEvent<'a> {
    /// An MQTT message, whole or as much of it as was kept; with its exchange and its violations.
    Message {
        /// Where.
        place: Place<'a>,
        /// From the client or to it. The client need not be the flow's initiator in a mid-stream pick-up.
        direction: mqtt::Direction,
        /// The message.
        observed: &'a mqtt::Observed<'a>,
    },
    /// Bytes of an MQTT connection are missing from the capture.
    Gap {
        /// Where.
        place: Place<'a>,
        /// Whose bytes.
        from_initiator: bool,
        /// How many.
        bytes: u64,
    },
    /// Bytes of a connection came again, and were others: somebody shows two receivers two streams.
    Conflict {
        /// Where.
        place: Place<'a>,
        /// Whose bytes.
        from_initiator: bool,
    },
    /// A fragment that overlaps others, contradicts them, or cannot be.
    BadFragment(BadFragment),
    /// A client's first TLS message.
    ClientHello {
        /// Where.
        place: Place<'a>,
        /// What it says.
        hello: &'a ClientHello,
    },
    /// A flow ended. Nothing of it follows.
    FlowEnded(FlowEnd<'a>),
}

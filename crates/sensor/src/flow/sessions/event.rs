//! Events of [`super::Sessions`].

use std::net::IpAddr;

use citronella_wire::{TcpFlags, mqtt, tls::ClientHello};

use crate::flow::fragments::Fault;
use crate::flow::{EndReason, Flow};

/// Flow, time and packet of an event.
#[derive(Clone, Copy, Debug)]
pub struct EventContext<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// Packet time, in nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// The packet's number in its capture; `None` for events at a flow's end.
    pub packet: Option<u64>,
}

/// The recognised application protocol of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Application {
    /// Not recognised.
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

/// An ended flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowEnd<'a> {
    /// Its endpoints, times and packets.
    pub flow: &'a Flow,
    /// Why it ended.
    pub reason: EndReason,
    /// Its application protocol.
    pub application: Application,
    /// Bytes of frames on the wire: the initiator's, the responder's.
    pub wire_bytes: [u64; 2],
    /// All TCP flags seen: the initiator's, the responder's.
    pub tcp_flags: [TcpFlags; 2],
    /// Type and code of the first message of an ICMP flow.
    pub icmp: Option<(u8, u8)>,
}

/// A faulty IP fragment. It belongs to no flow: the ports may be in another fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFragment {
    /// Its fault.
    pub fault: Fault,
    /// Packet time, in nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// The packet's number in its capture.
    pub packet: u64,
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// IANA protocol number in this fragment's header.
    pub protocol: u8,
}

/// An event of a session, a stream, a fragment or a flow.
#[derive(Clone, Copy, Debug)]
pub enum SessionEvent<'a> {
    /// An MQTT message, complete or cut, with its exchange and violations.
    Message {
        /// Flow, time and packet.
        context: EventContext<'a>,
        /// From or to the client, who need not be the flow's initiator after a mid-stream pickup.
        direction: mqtt::Direction,
        /// The message.
        observed: &'a mqtt::Observed<'a>,
    },
    /// Bytes of an MQTT connection are missing from the capture.
    Gap {
        /// Flow, time and packet.
        context: EventContext<'a>,
        /// Whether the bytes are the initiator's.
        from_initiator: bool,
        /// Number of bytes.
        bytes: u64,
    },
    /// A retransmission with other bytes: two receivers may see two streams.
    Conflict {
        /// Flow, time and packet.
        context: EventContext<'a>,
        /// Whether the bytes are the initiator's.
        from_initiator: bool,
    },
    /// A fragment that overlaps or contradicts others, or is invalid.
    BadFragment(BadFragment),
    /// A TLS ClientHello.
    ClientHello {
        /// Flow, time and packet.
        context: EventContext<'a>,
        /// Its contents.
        hello: &'a ClientHello,
    },
    /// A flow ended; its last event.
    FlowEnded(FlowEnd<'a>),
}

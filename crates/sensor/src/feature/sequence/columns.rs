//! The sequence level's schema: one table for the names, the places in the vector, `docs/schema.md` and the model.

use crate::feature::schema::{Column, Kind, Role};

macro_rules! features {
    ($($place:ident $name:literal $unit:literal $meaning:literal;)*) => {
        /// The place of a feature in the vector.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(super) enum Place { $($place,)* }

        /// The columns of the sequence level: numbers between 0 and 1, a vector a packet.
        pub const SEQUENCE: [Column; [$(Place::$place),*].len()] = [
            $(Column {
                name: $name,
                kind: Kind::Float,
                role: Role::Feature,
                unit: $unit,
                wireshark: "",
                meaning: $meaning,
            },)*
        ];
    };
}

/// Numbers in a vector.
pub const WIDTH: usize = SEQUENCE.len();

features! {
    // The packet and its flow.
    FromInitiator "from_initiator" "0 or 1" "the initiator sent it";
    Tcp "tcp" "0 or 1" "TCP";
    Udp "udp" "0 or 1" "UDP; neither is ICMP";
    Payload "payload_len" "log bytes" "payload after the transport header";
    FlowGap "flow_gap" "log seconds" "since the flow's last packet";
    HostGap "host_gap" "log seconds" "since the initiator's last packet in any flow";
    Age "flow_age" "log seconds" "since the flow's first packet";
    Packets "flow_packets" "log packets" "of the flow so far, both ends";
    Syn "syn" "0 or 1" "TCP SYN";
    Fin "fin" "0 or 1" "TCP FIN";
    Rst "rst" "0 or 1" "TCP RST";
    Push "psh" "0 or 1" "TCP PSH";
    MidStream "mid_stream" "0 or 1" "a TCP flow whose begin was not seen";
    // The service, from the bytes of this flow or of another to the same end.
    Mqtt "mqtt" "0 or 1" "the responder speaks MQTT";
    Tls "tls" "0 or 1" "the responder speaks TLS";
    Ssh "ssh" "0 or 1" "the responder speaks SSH";
    Http "http" "0 or 1" "the responder speaks HTTP";
    // MQTT: what begins in this packet, and the connection so far.
    Connect "mqtt_connect" "0 or 1" "a CONNECT";
    Accepted "mqtt_accepted" "0 or 1" "a CONNACK with code 0";
    Refused "mqtt_refused" "0 or 1" "a CONNACK with another code";
    Publish "mqtt_publish" "0 or 1" "a PUBLISH";
    Ack "mqtt_ack" "0 or 1" "a PUBACK, PUBREC, PUBREL or PUBCOMP";
    Subscribe "mqtt_subscribe" "0 or 1" "a SUBSCRIBE, UNSUBSCRIBE or an answer to one";
    Ping "mqtt_ping" "0 or 1" "a PINGREQ or PINGRESP";
    Disconnect "mqtt_disconnect" "0 or 1" "a DISCONNECT";
    RemainingLength "mqtt_remaining_length" "log bytes" "of the first message";
    Qos "mqtt_qos" "half" "highest QoS of a PUBLISH";
    KeepAlive "mqtt_keep_alive" "log seconds" "of the connection's CONNECT";
    HasUser "mqtt_has_user" "0 or 1" "the connection's CONNECT names a user";
    Faulty "mqtt_faulty" "0 or 1" "a message with violations";
    FlowFaults "mqtt_flow_faults" "log messages" "messages with violations in the flow so far";
    // The initiator's recent behaviour: decayed counts.
    Flows10 "host_flows_10s" "log count" "flows begun";
    Flows60 "host_flows_60s" "log count" "flows begun";
    Failed10 "host_failed_10s" "log count" "flows not answered, or by RST or an ICMP error";
    Failed60 "host_failed_60s" "log count" "flows not answered, or by RST or an ICMP error";
    Ports60 "host_ports_60s" "log count" "responder ports new to it";
    Hosts60 "host_hosts_60s" "log count" "responders new to it";
    Refused10 "host_refused_10s" "log count" "logins refused";
    Refused60 "host_refused_60s" "log count" "logins refused";
    Accepted60 "host_accepted_60s" "log count" "logins accepted";
    Publishes10 "host_publishes_10s" "log count" "PUBLISH messages sent";
    Publishes60 "host_publishes_60s" "log count" "PUBLISH messages sent";
    Bytes10 "host_bytes_10s" "log bytes" "sent";
    Clients60 "host_clients_60s" "log count" "client identifiers new to it";
    Users60 "host_users_60s" "log count" "user names new to it";
    Violations10 "host_violations_10s" "log count" "messages with violations";
    Violations60 "host_violations_60s" "log count" "messages with violations";
    Held "host_held" "log count" "accepted MQTT connections, open and not used";
}

const _: () = assert!(WIDTH <= 48, "the sequence level has 48 features or fewer");

/// `ln(1 + x / unit) / ln(1 + most / unit)`, between 0 and 1: 0 at 0, 1 from `most` on.
#[inline]
pub(super) fn log_scaled(x: f32, unit: f32, most: f32) -> f32 {
    ((x / unit).ln_1p() / (most / unit).ln_1p()).clamp(0.0, 1.0)
}

//! The sequence level's schema: one table for column names, indices in the vector, `docs/schema.md` and the model.

use crate::feature::schema::{Column, Kind, Role};

macro_rules! features {
    ($($feature:ident $name:literal $unit:literal $meaning:literal;)*) => {
        /// Index of a feature in the vector.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(super) enum Feature { $($feature,)* }

        /// The columns of the sequence level, one vector per packet: numbers between 0 and 1.
        pub const SEQUENCE: [Column; [$(Feature::$feature),*].len()] = [
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

/// Features in a vector.
pub const WIDTH: usize = SEQUENCE.len();

features! {
    // The packet and its flow.
    FromInitiator "from_initiator" "0 or 1" "the initiator sent it";
    Udp "udp" "0 or 1" "UDP";
    Payload "payload_len" "log bytes" "payload after the transport header";
    FlowGap "flow_gap" "log seconds" "time since the flow's previous packet";
    HostGap "host_gap" "log seconds" "time since the initiator's previous packet in any flow";
    Age "flow_age" "log seconds" "time since the flow's first packet";
    Packets "flow_packets" "log packets" "packets of the flow so far, in both directions";
    Syn "syn" "0 or 1" "TCP SYN";
    Fin "fin" "0 or 1" "TCP FIN";
    Rst "rst" "0 or 1" "TCP RST";
    MidStream "mid_stream" "0 or 1" "a TCP flow whose start was not captured";
    NewEndpoint "new_end" "0 or 1" "the flow goes to a responder and port that the initiator had not contacted recently";
    // The service, from the bytes of this flow or of an earlier one to the same endpoint.
    Mqtt "mqtt" "0 or 1" "the responder speaks MQTT";
    Ssh "ssh" "0 or 1" "the responder speaks SSH";
    OtherService "other_service" "0 or 1" "the responder speaks TLS or HTTP";
    Accepted "login_accepted" "0 or 1" "a login was accepted: a CONNACK with code 0, or an SSH answer";
    Refused "login_refused" "0 or 1" "a login was refused: a CONNACK with another code, or an SSH answer";
    // MQTT: messages that start in this packet, and the connection so far.
    Connect "mqtt_connect" "0 or 1" "a CONNECT";
    Publish "mqtt_publish" "0 or 1" "a PUBLISH";
    Ack "mqtt_ack" "0 or 1" "a PUBACK, PUBREC, PUBREL, PUBCOMP, PINGREQ or PINGRESP";
    Subscribe "mqtt_subscribe" "0 or 1" "a SUBSCRIBE, an UNSUBSCRIBE or the answer to one";
    Disconnect "mqtt_disconnect" "0 or 1" "a DISCONNECT";
    RemainingLength "mqtt_remaining_length" "log bytes" "Remaining Length of the first message";
    Qos "mqtt_qos" "half" "highest QoS of a PUBLISH";
    KeepAlive "mqtt_keep_alive" "log seconds" "Keep Alive of the connection's CONNECT";
    HasUser "mqtt_has_user" "0 or 1" "the connection's CONNECT has a user name";
    NewClient "mqtt_new_client" "0 or 1" "the connection's client identifier was new to the initiator";
    EarlyMessage "mqtt_hasty" "0 or 1" "the flow had a message sent before the CONNACK and otherwise valid: allowed, and rare";
    Faulty "mqtt_faulty" "0 or 1" "a message that violates the standard or was sent before the CONNACK";
    FlowFaults "mqtt_flow_faults" "log messages" "messages of the flow so far that violate the standard or were sent before the CONNACK";
    // Counts of the responder over all initiators, decayed, as of the flow's start, refusal or answer.
    EndpointRefused60 "end_refused_60s" "log count" "SSH logins refused by the responder's port, from all initiators";
    ResponderFailed60 "responder_failed_60s" "log count" "flows to the responder, from all initiators, that got no answer or a RST";
    // The initiator's recent behaviour: decayed counts.
    Flows10 "host_flows_10s" "log count" "flows started";
    Flows60 "host_flows_60s" "log count" "flows started";
    Failed10 "host_failed_10s" "log count" "flows that got no answer, a RST or an ICMP error";
    Failed60 "host_failed_60s" "log count" "flows that got no answer, a RST or an ICMP error";
    Ports60 "host_ports_60s" "log count" "responder ports new to the initiator";
    Hosts60 "host_hosts_60s" "log count" "responders new to the initiator";
    Refused10 "host_refused_10s" "log count" "logins refused";
    Refused60 "host_refused_60s" "log count" "logins refused";
    Accepted60 "host_accepted_60s" "log count" "logins accepted";
    Publishes10 "host_publishes_10s" "log count" "PUBLISH messages sent";
    Bytes10 "host_bytes_10s" "log bytes" "bytes sent";
    Clients60 "host_clients_60s" "log count" "client identifiers new to the initiator";
    Users60 "host_users_60s" "log count" "user names new to the initiator";
    Credentials60 "host_credentials_60s" "log count" "pairs of user name and password new to the initiator";
    Violations60 "host_violations_60s" "log count" "messages that violate the standard or were sent before the CONNACK";
    Held "host_held" "log count" "open MQTT connections without a PUBLISH so far";
}

/// A count of this much or more is 1 in its column.
pub(super) const MAX_COUNT: f32 = 1_000.0;
/// Unit of `host_bytes_10s`, in bytes.
pub(super) const BYTES_UNIT: f32 = 100.0;
/// [`MAX_COUNT`] of `host_bytes_10s`, in bytes.
pub(super) const MAX_BYTES: f32 = 1e8;

const _: () = assert!(WIDTH <= 48, "the sequence level has 48 features or fewer");

/// `ln(1 + x / unit) / ln(1 + most / unit)`, clamped to 0..=1: 0 at 0, 1 from `most` on. With constants for `unit` and
/// `most`, it costs one short polynomial.
#[inline(always)]
pub(super) fn log_scaled(x: f32, unit: f32, most: f32) -> f32 {
    // The most frequent case.
    if x == 0.0 {
        return 0.0;
    }
    (ln(1.0 + x * (1.0 / unit)) * (1.0 / ln(1.0 + most * (1.0 / unit)))).clamp(0.0, 1.0)
}

/// The natural logarithm of `x >= 1`, with an error below 1e-7 (absolute up to e, relative above); bit-identical on
/// every machine. The polynomial is that of Cephes' `logf` (Moshier 1992).
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the constants as published")]
fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = (bits.cast_signed() >> 23) as f32;
    let y = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    let square = y * y;
    let mut p = 7.037_683_6e-2_f32;
    for coefficient in [
        -1.151_461_03e-1,
        1.167_699_87e-1,
        -1.242_014_08e-1,
        1.424_932_28e-1,
        -1.666_805_77e-1,
        2.000_071_48e-1,
        -2.499_999_40e-1,
        3.333_333_12e-1,
    ] {
        p = p * y + coefficient;
    }
    let low = p * y * square - 2.121_944_4e-4 * exponent - 0.5 * square;
    // ln 2, split in two for precision.
    (y + low) + 0.693_359_375 * exponent
}

#[cfg(test)]
mod tests {
    use super::{ln, log_scaled};

    #[test]
    fn ln_matches_the_standard_library() {
        let worst = |from: f32, to: f32| {
            let (mut x, mut worst) = (from, 0.0f64);
            while x < to {
                let exact = f64::from(x).ln();
                worst = worst.max((f64::from(ln(x)) - exact).abs() / exact.abs().max(1.0));
                x *= 1.000_1;
            }
            worst
        };
        assert!(worst(1.0, 10.0) < 1.2e-7);
        assert!(worst(10.0, 1e12) < 1.2e-7);
        assert_eq!((ln(1.0), log_scaled(0.0, 4.0, 65_536.0)), (0.0, 0.0));
    }

    #[test]
    fn extreme_inputs_stay_between_0_and_1() {
        for x in [f32::MAX, f32::INFINITY, 1e30, -1.0, 65_536.0] {
            assert!((0.0..=1.0).contains(&log_scaled(x, 4.0, 65_536.0)), "{x}");
        }
        assert!((log_scaled(1.0, 1.0, 1_000.0) - 0.100_329_4).abs() < 1e-6);
    }
}

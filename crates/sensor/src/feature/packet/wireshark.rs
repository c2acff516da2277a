//! Wireshark's dissection of a packet: the Protocol column and the MQTT fields that the packet level takes from it.
//!
//! In: decoded frames in capture order. Out: a [`Dissection`](protocol::Dissection) each. These modules reproduce how
//! Wireshark 4.0 dissects a segment (TCP analysis, desegmentation, framing of MQTT, SSH, HTTP, WebSocket and TLS), in
//! one pass with default preferences and with its quirks, because the packet level is compared with tshark cell by
//! cell. The detector does not use them: it reads streams through [`flow::reassembly`](crate::flow::reassembly).

mod mqtt_pending;
pub mod mqtt_stream;
pub mod protocol;
mod services;
mod tcp_analysis;
mod tls_framing;

/// The MQTT fields of a packet: those of the first message that ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MqttCells {
    /// Control packet type, 0 to 15.
    pub kind: u8,
    /// Remaining Length in bytes.
    pub remaining_length: u32,
    /// The CONNECT flags byte; `None` for every other type.
    pub connect_flags: Option<u8>,
}

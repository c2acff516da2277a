//! Decoders from bytes to headers and MQTT messages: pure functions on byte slices.
//!
//! In: one captured frame ([`decode_frame`]), or the bytes of one direction of a connection ([`mqtt`]).
//! Out: the headers and fields that could be decoded, borrowed from the input, and where and why decoding stopped.
//! Hostile input is data: nothing here fails, panics or allocates without a cap.
//!
//! [`decode_frame`] decodes the layers in order: [`link`] -> [`ip`] -> [`tcp`], [`udp`] or [`icmp`]; a tunnel is
//! recognised, and decapsulated one level on request ([`Frame::inner`]). Lengths are in bytes unless a name says
//! otherwise.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod cursor;
pub mod frame;
pub mod icmp;
pub mod ip;
pub mod link;
pub mod mqtt;
pub mod stop;
pub mod tcp;
pub mod tls;
pub mod tunnel;
pub mod udp;
pub mod websocket;

pub use frame::{Frame, Transport, decode_datagram, decode_frame};
pub use icmp::{Icmp, Original};
pub use ip::Ip;
pub use link::{LinkType, Vlans};
pub use stop::{Layer, Reason, Stop};
pub use tcp::{Tcp, TcpFlags, TcpOptions};
pub use tunnel::{Tunnel, TunnelKind};
pub use udp::Udp;

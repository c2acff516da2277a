//! One captured frame, decoded layer by layer as far as possible.

use crate::cursor::{after, first};
use crate::icmp::{self, Icmp};
use crate::ip::{self, Datagram, Ip};
use crate::link::{self, LinkType, Vlans};
use crate::stop::{Layer, Reason, Stop};
use crate::tcp::{self, Tcp};
use crate::tunnel::{self, Tunnel};
use crate::udp::{self, Udp};

/// The decoded layers of a frame, and where and why decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// VLAN identifiers, outermost first.
    pub vlans: Vlans,
    /// EtherType; `None` if the link layer has none (LLC, an unknown address family).
    pub ether_type: Option<u16>,
    /// The IP header.
    pub ip: Option<Ip>,
    /// The transport header; `None` for a fragment, whose bytes are `payload`.
    pub transport: Option<Transport>,
    /// Payload of the last decoded layer: limited by the IP length (no Ethernet padding), cut at the snap length.
    pub payload: &'a [u8],
    /// Length of the payload on the wire by the headers, in bytes: at least `payload.len()`.
    pub payload_len: usize,
    /// The tunnel that the payload belongs to: see [`Frame::inner`].
    pub tunnel: Option<Tunnel>,
    /// Where and why decoding stopped; `None` if all layers were decoded.
    pub stop: Option<Stop>,
}

/// A transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
}

impl<'a> Frame<'a> {
    /// Whether this is a fragment of a datagram: its bytes are `payload`.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.stop.is_some_and(|stop| stop.reason == Reason::Fragment)
    }

    #[inline(always)]
    fn empty() -> Self {
        Self {
            vlans: Vlans::default(),
            ether_type: None,
            ip: None,
            transport: None,
            payload: &[],
            payload_len: 0,
            tunnel: None,
            stop: None,
        }
    }

    /// Decapsulates one level: the frame within `tunnel`, which may have a tunnel of its own. `None` without a tunnel.
    pub fn inner(&self) -> Option<Frame<'a>> {
        let tunnel = self.tunnel?;
        let inner = after(self.payload, tunnel.header_len.into());
        Some(match tunnel.ether_type {
            tunnel::ETHERNET => decode_frame(LinkType::Ethernet, inner),
            ether_type => decode_network(ether_type, inner, 0),
        })
    }
}

/// Decodes a frame of the given link layer. Never fails: returns the layers decoded, and where and why it stopped.
#[inline]
pub fn decode_frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    let head = link::decode(link, bytes);
    let mut frame = match head.ether_type {
        Some(ether_type) => decode_network(ether_type, after(bytes, head.header_len), head.header_len),
        None => {
            let reason = if head.cut { Reason::Cut } else { Reason::Unsupported };
            let payload = after(bytes, head.header_len);
            let stop = Some(Stop { layer: Layer::Link, reason, offset: 0 });
            Frame { payload, payload_len: payload.len(), stop, ..Frame::empty() }
        }
    };
    frame.vlans = head.vlans;
    frame
}

/// Decodes the network layer of an EtherType, which begins at byte `at` of the frame.
#[inline(always)]
fn decode_network(ether_type: u16, bytes: &[u8], at: usize) -> Frame<'_> {
    let datagram = match ether_type {
        link::IPV4 => ip::decode_v4(bytes, at),
        link::IPV6 => ip::decode_v6(bytes, at),
        _ => Err(Stop { layer: Layer::Link, reason: Reason::Unsupported, offset: 0 }),
    };
    let mut frame = match datagram {
        Ok(datagram) => decode_transport(datagram, at),
        Err(stop) => Frame { payload: bytes, payload_len: bytes.len(), stop: Some(stop), ..Frame::empty() },
    };
    frame.ether_type = Some(ether_type);
    frame
}

/// Decodes the transport layer of a complete datagram, such as one reassembled from fragments. `ip` is the first
/// fragment's header: its fragment fields are cleared, its lengths set by the payload. `payload_len` is the payload's
/// length on the wire, at least `payload.len()`.
pub fn decode_datagram(ip: Ip, payload: &[u8], payload_len: usize) -> Frame<'_> {
    decode_transport(ip::whole(ip, payload, payload_len.max(payload.len())), 0)
}

#[inline(always)]
fn decode_transport(datagram: Datagram<'_>, ip_at: usize) -> Frame<'_> {
    let Datagram { ip, payload, payload_len, stop } = datagram;
    let mut frame = Frame { ip: Some(ip), payload, payload_len, stop, ..Frame::empty() };
    if stop.is_some() {
        return frame;
    }
    let at = ip_at + usize::from(ip.header_len);
    let stop_at = |layer, reason| Some(Stop { layer, reason, offset: at });
    if ip.is_fragment() {
        let layer = if ip.version() == 4 { Layer::Ipv4 } else { Layer::Ipv6 };
        frame.stop = Some(Stop { layer, reason: Reason::Fragment, offset: ip_at });
        return frame;
    }
    match ip.protocol {
        ip::TCP => {
            let (header, stop) = tcp::decode(payload, at);
            frame.stop = stop;
            if let Some(header) = header {
                frame.transport = Some(Transport::Tcp(header));
                // With a header length below 20, the payload cannot be located.
                let len = usize::from(header.header_len);
                frame.skip(if len < 20 { payload_len } else { len });
            }
        }
        ip::UDP => match udp::decode(payload) {
            Some(header) => {
                frame.transport = Some(Transport::Udp(header));
                frame.skip(8);
                // RFC 2675: 0 is a jumbogram; any other value below 8 is invalid.
                match usize::from(header.length) {
                    0 => {}
                    len @ 8.. => {
                        frame.payload = first(frame.payload, len - 8);
                        frame.payload_len = frame.payload_len.min(len - 8);
                    }
                    _ => {
                        frame.skip(payload_len);
                        frame.stop = stop_at(Layer::Udp, Reason::Length);
                    }
                }
                frame.tunnel = tunnel::over_udp(&header, frame.payload);
            }
            None => frame.stop = stop_at(Layer::Udp, Reason::Cut),
        },
        ip::ICMP | ip::ICMPV6 => {
            let version = if ip.protocol == ip::ICMP { 4 } else { 6 };
            match icmp::decode(payload, version) {
                Some(header) => {
                    frame.transport = Some(Transport::Icmp(header));
                    frame.skip(icmp::HEADER_LEN);
                }
                None => frame.stop = stop_at(Layer::Icmp, Reason::Cut),
            }
        }
        protocol => match tunnel::over_ip(protocol, payload, at) {
            Some(Ok(found)) => frame.tunnel = Some(found),
            Some(Err(stop)) => frame.stop = Some(stop),
            None => {
                let layer = if ip.version() == 4 { Layer::Ipv4 } else { Layer::Ipv6 };
                frame.stop = Some(Stop { layer, reason: Reason::Unsupported, offset: ip_at });
            }
        },
    }
    frame
}

impl Frame<'_> {
    #[inline(always)]
    fn skip(&mut self, header_len: usize) {
        self.payload = after(self.payload, header_len);
        self.payload_len = self.payload_len.saturating_sub(header_len).max(self.payload.len());
    }
}

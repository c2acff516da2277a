//! Tunnels: recognised by protocol number or port, decapsulated one level on request.

use crate::cursor::Cursor;
use crate::link;
use crate::stop::{Layer, Reason, Stop};
use crate::udp::Udp;

/// A tunnel found in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Which one.
    pub kind: TunnelKind,
    /// Network identifier of VXLAN or Geneve, key of GRE; 0 if there is none.
    pub id: u32,
    /// Bytes of the tunnel's own header within the frame's payload.
    pub(crate) header_len: u16,
    /// EtherType of the payload; [`ETHERNET`] for an Ethernet frame.
    pub(crate) ether_type: u16,
}

/// Kinds of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// IPv4 within IP (RFC 2003).
    IpInIp,
    /// IPv6 within IP (RFC 4213, RFC 2473).
    Ipv6InIp,
    /// GRE (RFC 2784, RFC 2890).
    Gre,
    /// VXLAN (RFC 7348), UDP port 4789.
    Vxlan,
    /// Geneve (RFC 8926), UDP port 6081.
    Geneve,
}

impl TunnelKind {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Self::IpInIp => "ip_in_ip",
            Self::Ipv6InIp => "ipv6_in_ip",
            Self::Gre => "gre",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }
}

/// Transparent Ethernet Bridging (GRE, Geneve).
pub(crate) const ETHERNET: u16 = 0x6558;
const PROTOCOL_IPV4: u8 = 4;
const PROTOCOL_IPV6: u8 = 41;
const PROTOCOL_GRE: u8 = 47;
const PORT_VXLAN: u16 = 4789;
const PORT_GENEVE: u16 = 6081;

/// The tunnel of an IP protocol number; `None` for other protocols.
pub(crate) fn over_ip(protocol: u8, payload: &[u8], at: usize) -> Option<Result<Tunnel, Stop>> {
    let plain = |kind, ether_type| Some(Ok(Tunnel { kind, id: 0, header_len: 0, ether_type }));
    match protocol {
        PROTOCOL_IPV4 => plain(TunnelKind::IpInIp, link::IPV4),
        PROTOCOL_IPV6 => plain(TunnelKind::Ipv6InIp, link::IPV6),
        PROTOCOL_GRE => {
            Some(gre(payload).ok_or(Stop { layer: Layer::Tunnel, reason: Reason::Cut, offset: at }))
        }
        _ => None,
    }
}

/// GRE with optional checksum, key and sequence number (RFC 2784, 2.1; RFC 2890, 2).
fn gre(payload: &[u8]) -> Option<Tunnel> {
    let mut cursor = Cursor::new(payload);
    let flags = cursor.u16()?;
    let ether_type = cursor.u16()?;
    let mut id = 0;
    if flags & 0x8000 != 0 {
        cursor.u32()?;
    }
    if flags & 0x2000 != 0 {
        id = cursor.u32()?;
    }
    if flags & 0x1000 != 0 {
        cursor.u32()?;
    }
    let header_len = (payload.len() - cursor.len()) as u16;
    Some(Tunnel { kind: TunnelKind::Gre, id, header_len, ether_type })
}

/// VXLAN or Geneve, by destination port and a valid header.
#[inline]
pub(crate) fn over_udp(udp: &Udp, payload: &[u8]) -> Option<Tunnel> {
    if udp.dst_port != PORT_VXLAN && udp.dst_port != PORT_GENEVE {
        return None;
    }
    let [flags, _, c, d, x, y, z, last] = *payload.first_chunk::<8>()?;
    let id = u32::from_be_bytes([0, x, y, z]);
    if udp.dst_port == PORT_VXLAN {
        // RFC 7348, 5: flag I is set, the last byte is reserved.
        let valid = flags & 0x08 != 0 && last == 0;
        return valid.then_some(Tunnel { kind: TunnelKind::Vxlan, id, header_len: 8, ether_type: ETHERNET });
    }
    // RFC 8926, 3.4: version 0; options length in words of 4 bytes.
    let header_len = 8 + u16::from(flags & 0x3f) * 4;
    let ether_type = u16::from_be_bytes([c, d]);
    (flags >> 6 == 0).then_some(Tunnel { kind: TunnelKind::Geneve, id, header_len, ether_type })
}

//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers with extension headers. Fragments are marked, not reassembled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice};

use crate::cursor::{after, first};
use crate::stop::{Layer, Reason, Stop};

/// An IP header's fields, of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ip {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Time to live, or IPv6's hop limit.
    pub ttl: u8,
    /// Header and payload in bytes, by the header: IPv4's Total Length (the rest of the frame, if segmentation
    /// offload left 0); IPv6's Payload Length + 40.
    pub total_len: u32,
    /// IANA protocol number of the payload, after extension headers.
    pub protocol: u8,
    /// Traffic class: DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Don't Fragment (IPv4 only).
    pub dont_fragment: bool,
    /// More Fragments, from IPv4's flags or IPv6's fragment header.
    pub more_fragments: bool,
    /// IPv4's reserved flag.
    pub reserved: bool,
    /// Fragment offset, in units of 8 bytes.
    pub fragment_offset: u16,
    /// Identification of the datagram: IPv4's 16 bits, or the 32 bits of IPv6's fragment header; else 0.
    pub identification: u32,
    /// Bytes of the IP headers, extensions included.
    pub header_len: u16,
}

impl Ip {
    /// 4 or 6.
    #[inline]
    pub fn version(&self) -> u8 {
        if self.src.is_ipv4() { 4 } else { 6 }
    }

    /// Whether this is a fragment: More Fragments set, or an offset other than 0.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// A decoded IP packet; the payload is limited by the header and the capture.
pub(crate) struct Datagram<'a> {
    pub(crate) ip: Ip,
    pub(crate) payload: &'a [u8],
    /// Length by the header, at least `payload.len()`.
    pub(crate) payload_len: usize,
    pub(crate) stop: Option<Stop>,
}

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const FRAGMENT_HEADER_LEN: u16 = 8;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// Extension headers of a packet that are decoded.
const MAX_EXTENSIONS: usize = 16;

/// Decodes an IPv4 packet that begins at byte `at` of the frame.
#[inline(always)]
pub(crate) fn decode_v4(bytes: &[u8], at: usize) -> Result<Datagram<'_>, Stop> {
    let stop = |reason| Stop { layer: Layer::Ipv4, reason, offset: at };
    if let Ok(header) = Ipv4HeaderSlice::from_slice(bytes) {
        let header_len = header.slice().len();
        let total_len = header.total_len();
        let mut ip = v4(&header, header_len);
        let mut payload = after(bytes, header_len);
        let mut fault = None;
        // A length of 0 comes from segmentation offload: captured before the hardware wrote it.
        let payload_len = match usize::from(total_len).checked_sub(header_len) {
            Some(len) => len,
            None if total_len == 0 => {
                ip.total_len = bytes.len() as u32;
                payload.len()
            }
            None => {
                fault = Some(stop(Reason::Length));
                0
            }
        };
        payload = first(payload, payload_len);
        if ip.protocol == AUTHENTICATION && !ip.is_fragment() && fault.is_none() {
            return Ok(extensions(Datagram { ip, payload, payload_len, stop: None }, at, Layer::Ipv4));
        }
        return Ok(Datagram { ip, payload, payload_len, stop: fault });
    }
    malformed_v4(bytes, at)
}

/// Too short, another version, or an invalid header length: the fields before the fault are decoded.
#[cold]
#[inline(never)]
fn malformed_v4(bytes: &[u8], at: usize) -> Result<Datagram<'_>, Stop> {
    let stop = |reason| Stop { layer: Layer::Ipv4, reason, offset: at };
    let mut fixed = *bytes.first_chunk::<20>().ok_or(stop(Reason::Cut))?;
    if fixed[0] >> 4 != 4 {
        return Err(stop(Reason::Version));
    }
    let reason = if fixed[0] & 0x0f < 5 { Reason::HeaderLength } else { Reason::Cut };
    fixed[0] = 0x45;
    let header = Ipv4HeaderSlice::from_slice(&fixed).map_err(|_| stop(reason))?;
    Ok(Datagram { ip: v4(&header, 20), payload: &[], payload_len: 0, stop: Some(stop(reason)) })
}

#[inline(always)]
fn v4(header: &Ipv4HeaderSlice<'_>, header_len: usize) -> Ip {
    Ip {
        src: IpAddr::V4(Ipv4Addr::from(header.source())),
        dst: IpAddr::V4(Ipv4Addr::from(header.destination())),
        ttl: header.ttl(),
        total_len: u32::from(header.total_len()),
        protocol: header.protocol().0,
        traffic_class: header.slice().get(1).copied().unwrap_or(0),
        dont_fragment: header.dont_fragment(),
        more_fragments: header.more_fragments(),
        reserved: header.slice().get(6).is_some_and(|byte| byte & 0x80 != 0),
        fragment_offset: header.fragments_offset().value(),
        identification: u32::from(header.identification()),
        header_len: header_len as u16,
    }
}

/// Decodes an IPv6 packet that begins at byte `at` of the frame.
#[inline(always)]
pub(crate) fn decode_v6(bytes: &[u8], at: usize) -> Result<Datagram<'_>, Stop> {
    let stop = |reason| Stop { layer: Layer::Ipv6, reason, offset: at };
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| {
        stop(if bytes.first().is_some_and(|byte| byte >> 4 != 6) { Reason::Version } else { Reason::Cut })
    })?;
    let ip = Ip {
        src: IpAddr::V6(Ipv6Addr::from(header.source())),
        dst: IpAddr::V6(Ipv6Addr::from(header.destination())),
        ttl: header.hop_limit(),
        total_len: 40 + u32::from(header.payload_length()),
        protocol: header.next_header().0,
        traffic_class: header.traffic_class(),
        dont_fragment: false,
        more_fragments: false,
        reserved: false,
        fragment_offset: 0,
        identification: 0,
        header_len: 40,
    };
    let rest = after(bytes, 40);
    // RFC 2675: a length of 0 is a jumbogram's; captures before segmentation offload have it, too.
    let payload_len = match header.payload_length() {
        0 => rest.len(),
        len => usize::from(len),
    };
    let datagram = Datagram { ip, payload: first(rest, payload_len), payload_len, stop: None };
    if matches!(ip.protocol, TCP | UDP | ICMPV6) {
        return Ok(datagram);
    }
    Ok(extensions(datagram, at, Layer::Ipv6))
}

/// A reassembled datagram; `ip` is the first fragment's header.
pub(crate) fn whole(mut ip: Ip, payload: &[u8], payload_len: usize) -> Datagram<'_> {
    if ip.version() == 6 && ip.is_fragment() {
        // RFC 8200, 4.5: the fragment header is not part of the datagram.
        ip.header_len = ip.header_len.saturating_sub(FRAGMENT_HEADER_LEN);
    }
    ip.more_fragments = false;
    ip.fragment_offset = 0;
    ip.total_len = u32::try_from(payload_len).unwrap_or(u32::MAX).saturating_add(u32::from(ip.header_len));
    let layer = if ip.version() == 6 { Layer::Ipv6 } else { Layer::Ipv4 };
    extensions(Datagram { ip, payload, payload_len, stop: None }, 0, layer)
}

/// Decodes extension headers (RFC 8200, 4) up to another protocol, a fragment's data, or a fault.
#[cold]
#[inline(never)]
fn extensions<'a>(mut datagram: Datagram<'a>, at: usize, layer: Layer) -> Datagram<'a> {
    let Datagram { ip, payload, payload_len, stop } = &mut datagram;
    for _ in 0..MAX_EXTENSIONS {
        let is_extension = match ip.protocol {
            AUTHENTICATION => true,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS | MOBILITY | HIP | SHIM6 => {
                layer == Layer::Ipv6
            }
            _ => false,
        };
        // A later fragment has only data.
        if !is_extension || (ip.fragment_offset != 0 && layer == Layer::Ipv6) {
            return datagram;
        }
        let offset = at + usize::from(ip.header_len);
        let Some([next, units]) = payload.first_chunk::<2>().copied() else {
            *stop = Some(Stop { layer: Layer::Extension, reason: Reason::Cut, offset });
            return datagram;
        };
        let len = match ip.protocol {
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            FRAGMENT => usize::from(FRAGMENT_HEADER_LEN),
            _ => (usize::from(units) + 1) * 8,
        };
        if ip.protocol == FRAGMENT {
            let Ok(fragment) = Ipv6FragmentHeaderSlice::from_slice(payload) else {
                *stop = Some(Stop { layer: Layer::Extension, reason: Reason::Cut, offset });
                return datagram;
            };
            ip.more_fragments = fragment.more_fragments();
            ip.fragment_offset = fragment.fragment_offset().value();
            ip.identification = fragment.identification();
        }
        if len > payload.len() {
            let reason = if len > *payload_len { Reason::Length } else { Reason::Cut };
            *stop = Some(Stop { layer: Layer::Extension, reason, offset });
            return datagram;
        }
        ip.protocol = next;
        ip.header_len += len as u16;
        *payload = after(payload, len);
        *payload_len -= len;
        if ip.is_fragment() {
            return datagram;
        }
    }
    let offset = at + usize::from(ip.header_len);
    *stop = Some(Stop { layer: Layer::Extension, reason: Reason::TooMany, offset });
    datagram
}

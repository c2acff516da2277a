//! ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code, and the packet that an error quotes.

use std::net::IpAddr;

use crate::cursor::Cursor;
use crate::ip;

/// An ICMP message of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// 4 or 6.
    pub version: u8,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Bytes 4 to 7: identifier and sequence number of an echo, MTU, pointer, ...
    pub rest: u32,
    /// The packet that an error quotes, if readable.
    pub original: Option<Original>,
}

/// The 5-tuple of the packet quoted by an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Original {
    /// Its source address.
    pub src: IpAddr,
    /// Its destination address.
    pub dst: IpAddr,
    /// Its protocol, after extension headers.
    pub protocol: u8,
    /// Its source port; 0 if it has none or it was not quoted.
    pub src_port: u16,
    /// Its destination port; 0 if it has none or it was not quoted.
    pub dst_port: u16,
}

impl Icmp {
    /// Whether the message is an error, which quotes a packet (RFC 1122, 3.2.2; RFC 4443, 2.1).
    #[inline]
    pub fn is_error(&self) -> bool {
        match self.version {
            4 => matches!(self.kind, 3 | 4 | 5 | 11 | 12),
            _ => self.kind < 128,
        }
    }
}

/// Bytes before the quoted packet or the echo's data.
pub(crate) const HEADER_LEN: usize = 8;

/// `None` if type and code are missing.
pub(crate) fn decode(bytes: &[u8], version: u8) -> Option<Icmp> {
    let mut cursor = Cursor::new(bytes);
    let (kind, code) = (cursor.u8()?, cursor.u8()?);
    let _checksum = cursor.u16();
    let rest = cursor.u32().unwrap_or(0);
    let mut icmp = Icmp { version, kind, code, rest, original: None };
    if icmp.is_error() {
        icmp.original = original(cursor.rest());
    }
    Some(icmp)
}

fn original(bytes: &[u8]) -> Option<Original> {
    let datagram = match bytes.first()? >> 4 {
        4 => ip::decode_v4(bytes, 0),
        6 => ip::decode_v6(bytes, 0),
        _ => return None,
    }
    .ok()?;
    let mut ports = (0, 0);
    if matches!(datagram.ip.protocol, ip::TCP | ip::UDP) && datagram.ip.fragment_offset == 0 {
        let mut cursor = Cursor::new(datagram.payload);
        if let (Some(src), Some(dst)) = (cursor.u16(), cursor.u16()) {
            ports = (src, dst);
        }
    }
    let ip::Ip { src, dst, protocol, .. } = datagram.ip;
    Some(Original { src, dst, protocol, src_port: ports.0, dst_port: ports.1 })
}

//! UDP headers (RFC 768).

use etherparse::UdpHeaderSlice;

/// A UDP header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Udp {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Header and payload in bytes, by the header.
    pub length: u16,
    /// Checksum as sent; not verified.
    pub checksum: u16,
}

/// `None` for fewer than 8 bytes.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Option<Udp> {
    let header = UdpHeaderSlice::from_slice(bytes).ok()?;
    Some(Udp {
        src_port: header.source_port(),
        dst_port: header.destination_port(),
        length: header.length(),
        checksum: header.checksum(),
    })
}

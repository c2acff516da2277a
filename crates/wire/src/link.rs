//! Link layers: from a captured frame to its EtherType and network layer. VLAN tags are skipped; three are stored.

use crate::cursor::after;

/// The supported link layers, by pcap's link types (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback: an address family in the capturing host's byte order (0).
    Null,
    /// OpenBSD loopback: an address family in network byte order (108).
    Loop,
    /// Ethernet (1).
    Ethernet,
    /// IPv4 or IPv6 without a link header (12, 14, 101).
    RawIp,
    /// IPv4 without a link header (228).
    RawIpv4,
    /// IPv6 without a link header (229).
    RawIpv6,
    /// Linux "cooked" capture, version 1 (113).
    LinuxSll,
    /// Linux "cooked" capture, version 2 (276).
    LinuxSll2,
}

impl LinkType {
    /// The link layer of a capture file's link type; `None` if it is not supported.
    pub fn from_pcap(linktype: impl Into<u32>) -> Option<Self> {
        Some(match linktype.into() {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::RawIpv4,
            229 => Self::RawIpv6,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }

    /// A stable name for output: `ethernet`, `linux_sll`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Loop => "loop",
            Self::Ethernet => "ethernet",
            Self::RawIp => "raw_ip",
            Self::RawIpv4 => "raw_ipv4",
            Self::RawIpv6 => "raw_ipv6",
            Self::LinuxSll => "linux_sll",
            Self::LinuxSll2 => "linux_sll2",
        }
    }
}

/// VLAN identifiers of a frame, outermost first; tags beyond the third are only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vlans {
    ids: [u16; 3],
    tags: u8,
}

impl Vlans {
    /// The first three identifiers (12 bits each), outermost first.
    #[inline]
    pub fn ids(&self) -> &[u16] {
        self.ids.get(..usize::from(self.tags)).unwrap_or(&self.ids)
    }

    /// Number of tags.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.tags)
    }

    /// Whether the frame has no tag.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tags == 0
    }

    fn push(&mut self, tci: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.tags)) {
            *slot = tci & 0x0fff;
        }
        self.tags = self.tags.saturating_add(1);
    }
}

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const PROVIDER_BRIDGE: u16 = 0x88a8;
const OLD_QINQ: u16 = 0x9100;
const PPPOE_SESSION: u16 = 0x8864;
/// Below this, the field is an 802.3 length and an LLC header follows (IEEE 802.3, 3.2.6).
const SMALLEST_ETHER_TYPE: u16 = 0x0600;

/// A decoded link header.
pub(crate) struct Link {
    /// `None` if the frame ends within its link headers or has no EtherType (LLC, an unknown address family).
    pub(crate) ether_type: Option<u16>,
    pub(crate) vlans: Vlans,
    /// Bytes before the network layer.
    pub(crate) header_len: usize,
    /// The frame ends within its link headers.
    pub(crate) cut: bool,
}

impl Link {
    fn plain(ether_type: Option<u16>, header_len: usize) -> Self {
        Self { ether_type, vlans: Vlans::default(), header_len, cut: false }
    }

    fn cut(header_len: usize, vlans: Vlans) -> Self {
        Self { ether_type: None, vlans, header_len, cut: true }
    }
}

#[inline]
pub(crate) fn decode(link: LinkType, bytes: &[u8]) -> Link {
    match link {
        LinkType::Ethernet => match bytes.first_chunk::<14>() {
            Some([.., a, b]) => ether_type(u16::from_be_bytes([*a, *b]), bytes, 14),
            None => Link::cut(bytes.len(), Vlans::default()),
        },
        LinkType::LinuxSll => match bytes.first_chunk::<16>() {
            Some([.., a, b]) => ether_type(u16::from_be_bytes([*a, *b]), bytes, 16),
            None => Link::cut(bytes.len(), Vlans::default()),
        },
        LinkType::LinuxSll2 => match bytes.first_chunk::<20>() {
            Some([a, b, ..]) => ether_type(u16::from_be_bytes([*a, *b]), bytes, 20),
            None => Link::cut(bytes.len(), Vlans::default()),
        },
        LinkType::Null | LinkType::Loop => match bytes.first_chunk::<4>() {
            Some(family) => Link::plain(address_family(*family), 4),
            None => Link::cut(bytes.len(), Vlans::default()),
        },
        LinkType::RawIp => match bytes.first() {
            Some(byte) => Link::plain(ip_version(*byte), 0),
            None => Link::cut(0, Vlans::default()),
        },
        LinkType::RawIpv4 => Link::plain(Some(IPV4), 0),
        LinkType::RawIpv6 => Link::plain(Some(IPV6), 0),
    }
}

#[inline]
fn ether_type(first: u16, bytes: &[u8], header_len: usize) -> Link {
    if first == IPV4 || first == IPV6 {
        return Link::plain(Some(first), header_len);
    }
    tagged(first, bytes, header_len)
}

/// Skips VLAN tags, 802.3 LLC/SNAP and PPPoE.
fn tagged(mut ether_type: u16, bytes: &[u8], mut header_len: usize) -> Link {
    let mut vlans = Vlans::default();
    while matches!(ether_type, VLAN | PROVIDER_BRIDGE | OLD_QINQ) {
        let Some([a, b, c, d]) = after(bytes, header_len).first_chunk::<4>() else {
            return Link::cut(header_len, vlans);
        };
        vlans.push(u16::from_be_bytes([*a, *b]));
        ether_type = u16::from_be_bytes([*c, *d]);
        header_len += 4;
    }
    let rest = after(bytes, header_len);
    if ether_type < SMALLEST_ETHER_TYPE {
        // RFC 1042: SNAP with organisation 0 carries an EtherType.
        return match rest.first_chunk::<8>() {
            Some([0xaa, 0xaa, 0x03, 0, 0, 0, a, b]) => {
                let ether_type = Some(u16::from_be_bytes([*a, *b]));
                Link { ether_type, vlans, header_len: header_len + 8, cut: false }
            }
            _ => Link { ether_type: None, vlans, header_len, cut: false },
        };
    }
    if ether_type == PPPOE_SESSION {
        // RFC 2516, 4: six bytes of header, then PPP's protocol number.
        return match rest.first_chunk::<8>() {
            Some([.., 0x00, 0x21]) => {
                Link { ether_type: Some(IPV4), vlans, header_len: header_len + 8, cut: false }
            }
            Some([.., 0x00, 0x57]) => {
                Link { ether_type: Some(IPV6), vlans, header_len: header_len + 8, cut: false }
            }
            _ => Link { ether_type: Some(ether_type), vlans, header_len, cut: false },
        };
    }
    Link { ether_type: Some(ether_type), vlans, header_len, cut: false }
}

/// AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs. Small values reveal the byte order.
fn address_family(bytes: [u8; 4]) -> Option<u16> {
    let family = match bytes {
        [0, 0, a, b] => u16::from_be_bytes([a, b]),
        [a, b, 0, 0] => u16::from_le_bytes([a, b]),
        _ => return None,
    };
    match family {
        2 => Some(IPV4),
        10 | 24 | 28 | 30 => Some(IPV6),
        _ => None,
    }
}

#[inline]
pub(crate) fn ip_version(first_byte: u8) -> Option<u16> {
    match first_byte >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

//! Where and why the decoding of a frame stopped.

/// Where and why decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stop {
    /// The layer that could not be decoded completely.
    pub layer: Layer,
    /// Why.
    pub reason: Reason,
    /// Offset of that layer in the frame, in bytes.
    pub offset: usize,
}

/// A layer of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The link layer, VLAN tags included.
    Link,
    /// IPv4.
    Ipv4,
    /// IPv6's fixed header.
    Ipv6,
    /// An extension header of IP.
    Extension,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6.
    Icmp,
    /// A tunnel's own header.
    Tunnel,
}

impl Layer {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Extension => "ip_extension",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Tunnel => "tunnel",
        }
    }
}

/// Why decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The captured bytes end within the header.
    Cut,
    /// An invalid length field: shorter than its own header, or longer than its container.
    Length,
    /// A header length below the header's fixed part.
    HeaderLength,
    /// Another version than the layer below announced.
    Version,
    /// A fragment: its bytes are the payload.
    Fragment,
    /// More extension headers than the limit.
    TooMany,
    /// A protocol that is not decoded here; not a fault.
    Unsupported,
}

impl Reason {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Length => "length",
            Self::HeaderLength => "header_length",
            Self::Version => "version",
            Self::Fragment => "fragment",
            Self::TooMany => "too_many",
            Self::Unsupported => "unsupported",
        }
    }
}

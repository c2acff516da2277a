//! Packet filters: `--port`, `--net` and `--filter`, for files and live capture.

use citronella_wire::{Frame, LinkType, Transport, decode_frame};
use ipnet::IpNet;

use super::{
    Packet,
    expression::{Expression, ExpressionError},
};

/// Matches packets with one of the ports and an address in one of the networks that also match the expression. An empty
/// list, and no expression, match every packet.
///
/// Ports and networks are those of the outermost headers. Fragments have no ports and match any port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// TCP or UDP ports of either endpoint.
    pub ports: Vec<u16>,
    /// Networks of either endpoint.
    pub networks: Vec<IpNet>,
    /// An expression in tcpdump's language.
    pub expression: Option<Expression>,
}

impl Filter {
    /// Whether it matches every packet.
    pub fn is_empty(&self) -> bool {
        self.expression.is_none() && self.matches_any_endpoint()
    }

    /// Whether it matches any endpoint.
    fn matches_any_endpoint(&self) -> bool {
        self.ports.is_empty() && self.networks.is_empty()
    }

    /// Checks that the expression applies to packets of a link layer.
    ///
    /// # Errors
    /// It does not: such packets never match.
    pub fn check(&self, link: LinkType) -> Result<(), ExpressionError> {
        self.expression.as_ref().map_or(Ok(()), |expression| expression.check(link))
    }

    /// Whether it matches this packet.
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.matches(packet))
            && (self.matches_any_endpoint()
                || self.matches_endpoints(&decode_frame(packet.link, packet.bytes)))
    }

    /// Whether ports and networks match this frame.
    pub fn matches_endpoints(&self, frame: &Frame<'_>) -> bool {
        if self.matches_any_endpoint() {
            return true;
        }
        let Some(ip) = frame.ip else { return false };
        let (source, destination) = (ip.src, ip.dst);
        let contains = |network: &IpNet| network.contains(&source) || network.contains(&destination);
        if !self.networks.is_empty() && !self.networks.iter().any(contains) {
            return false;
        }
        if self.ports.is_empty() || ip.is_fragment() {
            return true;
        }
        match &frame.transport {
            Some(Transport::Tcp(tcp)) => {
                self.ports.contains(&tcp.src_port) || self.ports.contains(&tcp.dst_port)
            }
            Some(Transport::Udp(udp)) => {
                self.ports.contains(&udp.src_port) || self.ports.contains(&udp.dst_port)
            }
            _ => false,
        }
    }
}

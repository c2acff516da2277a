//! Which packets are looked at at all: `--port`, `--net` and `--filter`, for files and live capture alike.

use citronella_wire::{Frame, LinkType, Transport, decode_frame};
use ipnet::IpNet;

use super::{
    Packet,
    expression::{Expression, ExpressionError},
};

/// Keeps packets with one of the ports and an address in one of the networks, for which the expression holds; an empty
/// list, and no expression, keep all.
///
/// Ports and networks are judged by the outermost IP header. A fragment has no ports to look at, so it passes the ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// TCP or UDP ports, of either end.
    pub ports: Vec<u16>,
    /// Networks, of either end.
    pub networks: Vec<IpNet>,
    /// As tcpdump reads it.
    pub expression: Option<Expression>,
}

impl Filter {
    /// Whether it keeps everything.
    pub fn is_empty(&self) -> bool {
        self.expression.is_none() && self.keeps_all_ends()
    }

    fn keeps_all_ends(&self) -> bool {
        self.ports.is_empty() && self.networks.is_empty()
    }

    /// Whether the expression can be asked of packets of a link layer.
    ///
    /// # Errors
    /// It cannot: such packets are not kept.
    pub fn check(&self, link: LinkType) -> Result<(), ExpressionError> {
        self.expression.as_ref().map_or(Ok(()), |expression| expression.check(link))
    }

    /// Whether it keeps this packet.
    pub fn keeps(&self, packet: &Packet<'_>) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.keeps(packet))
            && (self.keeps_all_ends() || self.names_an_end(&decode_frame(packet.link, packet.bytes)))
    }

    /// Whether an end of this packet is among the ports and one among the networks.
    pub fn names_an_end(&self, frame: &Frame<'_>) -> bool {
        if self.keeps_all_ends() {
            return true;
        }
        let Some(ip) = frame.ip else { return false };
        let (source, destination) = (ip.src, ip.dst);
        let among = |network: &IpNet| network.contains(&source) || network.contains(&destination);
        if !self.networks.is_empty() && !self.networks.iter().any(among) {
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

//! Which packets are looked at at all: `--port` and `--net`, for files and live capture alike.

use citronella_wire::{Frame, Transport};
use ipnet::IpNet;

/// Keeps packets with one of the ports and an address in one of the networks; an empty list keeps all.
///
/// Judged by the outermost IP header. A fragment has no ports to look at, so it passes the ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// TCP or UDP ports, of either end.
    pub ports: Vec<u16>,
    /// Networks, of either end.
    pub networks: Vec<IpNet>,
}

impl Filter {
    /// Whether it keeps everything.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.networks.is_empty()
    }

    /// Whether it keeps this packet.
    pub fn keeps(&self, frame: &Frame<'_>) -> bool {
        if self.is_empty() {
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

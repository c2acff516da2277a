//! `--port`, `--net` and `--filter`: which packets are processed.

use std::net::IpAddr;

use citronella_config::FilterArgs;
use ipnet::IpNet;

#[derive(clap::Args)]
pub(crate) struct PacketFilterArgs {
    /// Process only packets from or to this TCP or UDP port; may be given several times
    #[arg(long, value_name = "PORT", help_heading = "Packets")]
    port: Vec<u16>,
    /// Process only packets from or to this network or address, such as 10.0.0.0/8; may be given several times
    #[arg(long, value_name = "NET", value_parser = network, help_heading = "Packets")]
    net: Vec<IpNet>,
    /// Process only packets that match an expression in tcpdump's syntax: "tcp port 1883 and not host 10.0.0.7".
    /// Needs a build with the feature `pcap`
    #[arg(long, value_name = "EXPRESSION", help_heading = "Packets")]
    filter: Option<String>,
}

impl PacketFilterArgs {
    /// The given arguments, without clap's types.
    pub(crate) fn lower(&self) -> FilterArgs {
        FilterArgs { ports: self.port.clone(), networks: self.net.clone(), expression: self.filter.clone() }
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(network), _) => Ok(network),
        (_, Ok(address)) => Ok(address.into()),
        _ => Err("expected an address or a network, such as 10.1.2.3, 10.0.0.0/8 or fd00::/8".to_owned()),
    }
}

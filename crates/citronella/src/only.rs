//! `--port`, `--net` and `--filter`: which packets are looked at.

use std::net::IpAddr;

use anyhow::{Context, Result};
use citronella_sensor::capture::{expression::Expression, filter::Filter};
use ipnet::IpNet;

#[derive(clap::Args)]
pub(crate) struct Only {
    /// Only packets from or to this TCP or UDP port; several: any of them
    #[arg(long, value_name = "PORT", help_heading = "Packets")]
    pub(crate) port: Vec<u16>,
    /// Only packets from or to this network or address, such as 10.0.0.0/8; several: any of them
    #[arg(long, value_name = "NET", value_parser = network, help_heading = "Packets")]
    pub(crate) net: Vec<IpNet>,
    /// Only packets for which this holds, as tcpdump reads it: "tcp port 1883 and not host 10.0.0.7". Needs a program
    /// that was built with the feature `pcap`
    #[arg(long, value_name = "EXPRESSION", help_heading = "Packets")]
    pub(crate) filter: Option<String>,
}

impl Only {
    /// Names of hosts in the expression are looked up now.
    pub(crate) fn filter(&self) -> Result<Filter> {
        let expression = self.filter.as_deref().map(Expression::new).transpose().context("--filter")?;
        Ok(Filter { ports: self.port.clone(), networks: self.net.clone(), expression })
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(network), _) => Ok(network),
        (_, Ok(address)) => Ok(address.into()),
        _ => Err("expected an address or a network, such as 10.1.2.3, 10.0.0.0/8 or fd00::/8".to_owned()),
    }
}

//! `citronella inspect CAPTURE...`: summarises captures as tables, as JSON, or as EVE records.

mod eve;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use citronella_sensor::{
    capture::{Capture, CaptureError, filter::Filter},
    inspect::{Inspector, Summary, TlsClients},
};
use citronella_wire::decode_frame;
use eve::{Eve, EveArguments};
use tracing::info;

use crate::{
    packet_filter::PacketFilterArgs,
    show::{self, count},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// pcap or pcapng files, plain, .gz or .zst; - is stdin
    #[arg(required = true)]
    captures: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Number of hosts in the table
    #[arg(long, default_value_t = 20)]
    hosts: usize,
    #[command(flatten)]
    filter: PacketFilterArgs,
    #[command(flatten)]
    eve: EveArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let on_stdout = arguments.eve.is_stdout();
    ensure!(
        !(on_stdout && arguments.json),
        "--eve - and --json both write to stdout; give --eve a file, or leave --json out"
    );
    let mut packets = Packets { filter: arguments.filter.lower().resolve()?, excluded: 0 };
    let mut eve = Eve::create(&arguments.eve)?;
    let mut inspector = match &eve {
        _ if on_stdout => None,
        // Sessions are read once: the EVE writer passes their events to the inspector.
        Some(_) => Some(Inspector::without_sessions()),
        None => Some(Inspector::default()),
    };
    let mut unknown_blocks = 0;
    let mut fault = None;
    for (earlier, path) in arguments.captures.iter().enumerate() {
        // A later capture that cannot be opened does not discard the earlier ones.
        let mut capture = match Capture::open(path) {
            Ok(capture) => capture,
            Err(error) if earlier == 0 => return Err(error.into()),
            Err(error) => {
                fault = fault.or(Some(error));
                break;
            }
        };
        let one_of_several = arguments.captures.len() > 1;
        fault = fault.or(read(&mut capture, &mut packets, inspector.as_mut(), eve.as_mut(), one_of_several)?);
        unknown_blocks += capture.unknown_blocks();
    }
    if let Some(eve) = eve {
        eve.finish()?;
    }
    if let Some(inspector) = inspector {
        let summary = inspector.finish();
        if arguments.json {
            show::json(&summary)?;
        } else {
            print(&summary, arguments.hosts)?;
        }
    }
    if packets.excluded > 0 {
        info!(packets = packets.excluded, "excluded {} packets", count(packets.excluded));
    }
    if unknown_blocks > 0 {
        info!(blocks = unknown_blocks, "skipped {unknown_blocks} pcapng blocks of unknown types");
    }
    fault.map_or(Ok(()), |error| Err(error.into()))
}

/// The packet filter, and the number of packets that it excluded.
struct Packets {
    filter: Filter,
    excluded: u64,
}

/// Reads a capture to its end or its first fault, which is returned.
fn read(
    capture: &mut Capture,
    packets: &mut Packets,
    mut inspector: Option<&mut Inspector>,
    mut eve: Option<&mut Eve>,
    one_of_several: bool,
) -> Result<Option<CaptureError>> {
    if let Some(eve) = &mut eve {
        eve.begin_capture(one_of_several.then_some(capture.name()));
    }
    let fault = loop {
        match capture.next() {
            Ok(Some(packet)) if !packets.filter.matches(&packet) => {
                if let Err(problem) = packets.filter.check(packet.link) {
                    break Some(CaptureError::Filter { name: capture.name().to_owned(), problem });
                }
                packets.excluded += 1;
            }
            Ok(Some(packet)) => {
                let frame = decode_frame(packet.link, packet.bytes);
                if let Some(inspector) = &mut inspector {
                    inspector.frame(&packet, &frame);
                }
                if let Some(eve) = &mut eve {
                    eve.packet(&packet, &frame, inspector.as_deref_mut())?;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if let Some(eve) = &mut eve {
        eve.end_capture(inspector)?;
    }
    Ok(fault)
}

fn print(summary: &Summary, hosts: usize) -> Result<()> {
    let mut head = show::pairs();
    let mut line = |name: &str, value: String| {
        head.add_row([name.to_owned(), value]);
    };
    line("packets", count(summary.packets));
    line("bytes on the wire", count(summary.bytes));
    if let (Some(first), Some(last)) = (summary.first_seen_nanos, summary.last_seen_nanos) {
        line("first packet", show::time(first));
        line("last packet", show::time(last));
        line("duration", format!("{:.3} s", (last - first) as f64 / 1e9));
    }
    let links: Vec<_> =
        summary.link_types.iter().map(|(name, packets)| format!("{name} {}", count(*packets))).collect();
    line("link types", links.join(", "));
    line("TCP flows", count(summary.flows.tcp));
    line("UDP flows", count(summary.flows.udp));
    for (name, packets) in [
        ("packets with a VLAN tag", summary.vlan_packets),
        ("packets that are not IP", summary.not_ip_packets),
        ("packets cut by the recorder", summary.cut_packets),
        ("IP fragments", summary.fragments.fragments),
        ("datagrams put together from them", summary.fragments.reassembled),
        ("faulty fragments", summary.fragments.faulty),
        ("packets of hosts beyond the table's cap", summary.hosts_beyond_cap_packets),
        ("packets of flows beyond the table's cap", summary.flows_beyond_cap_packets),
    ] {
        if packets > 0 {
            line(name, count(packets));
        }
    }
    for (kind, packets) in &summary.tunnels {
        line(&format!("packets with a tunnel: {kind}"), count(*packets));
    }
    for (reason, packets) in &summary.stopped {
        line(&format!("decoded in part: {reason}"), count(*packets));
    }
    show::print(&head)?;
    print_protocols(summary)?;
    print_hosts(summary, hosts)?;
    print_mqtt(summary)?;
    print_tls(summary, hosts)
}

fn print_protocols(summary: &Summary) -> Result<()> {
    let mut protocols = show::table(&["protocol", "packets", "bytes"]);
    let mut by_packets: Vec<_> = summary.protocols.iter().collect();
    by_packets.sort_by_key(|(_, traffic)| std::cmp::Reverse(traffic.packets));
    for (name, traffic) in by_packets {
        protocols.add_row([(*name).to_owned(), count(traffic.packets), count(traffic.bytes)]);
    }
    show::print(&protocols)?;

    if !summary.applications.is_empty() {
        let mut applications = show::table(&["application", "flows"]);
        for (name, flows) in &summary.applications {
            applications.add_row([name.replace('_', " "), count(*flows)]);
        }
        show::print(&applications)?;
    }
    Ok(())
}

fn print_hosts(summary: &Summary, hosts: usize) -> Result<()> {
    let mut table = show::table(&["host", "packets sent", "received", "bytes sent", "received"]);
    for host in summary.hosts.iter().take(hosts) {
        let t = &host.traffic;
        let numbers = [t.packets_sent, t.packets_received, t.bytes_sent, t.bytes_received].map(count);
        table.add_row(std::iter::once(host.address.to_string()).chain(numbers));
    }
    show::print(&table)?;
    if summary.hosts.len() > hosts {
        show::line(&format!(
            "and {} more hosts (--hosts N shows more)",
            count((summary.hosts.len() - hosts) as u64)
        ))?;
    }
    Ok(())
}

fn print_mqtt(summary: &Summary) -> Result<()> {
    if !summary.mqtt.messages.is_empty() {
        let mut mqtt = show::table(&["MQTT", "messages"]);
        for (name, messages) in &summary.mqtt.messages {
            mqtt.add_row([(*name).to_owned(), count(*messages)]);
        }
        for (version, connects) in &summary.mqtt.versions {
            mqtt.add_row([format!("CONNECTs of version {version}"), count(*connects)]);
        }
        for (code, connacks) in &summary.mqtt.connack_codes {
            mqtt.add_row([format!("CONNACKs with code {code}"), count(*connacks)]);
        }
        for (id, messages) in &summary.mqtt.violations {
            mqtt.add_row([format!("violations: {id}"), count(*messages)]);
        }
        show::print(&mqtt)?;
    }
    Ok(())
}

fn print_tls(summary: &Summary, hosts: usize) -> Result<()> {
    if !summary.tls_clients.is_empty() {
        let mut tls = show::table(&["TLS client (JA4)", "server asked for", "ClientHellos"]);
        for TlsClients { client, hellos } in summary.tls_clients.iter().take(hosts) {
            tls.add_row([
                client.ja4.clone(),
                client.sni.as_deref().unwrap_or("-").escape_debug().to_string(),
                count(*hellos),
            ]);
        }
        show::print(&tls)?;
    }
    Ok(())
}

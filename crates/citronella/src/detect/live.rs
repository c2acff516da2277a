//! `citronella detect -i INTERFACE...`: detection in what passes an interface, until a signal ends it.

use anyhow::Result;
#[cfg(target_os = "linux")]
use watch::watch;

use super::Found;
use crate::config::{CaptureSection, Configuration};

#[cfg(target_os = "linux")]
mod watch;

/// Whether and how to capture live.
#[derive(clap::Args)]
pub(super) struct Live {
    /// Traffic as it passes an interface (Linux); several, or any for all of them
    #[arg(short, long, num_args = 1.., value_name = "INTERFACE", conflicts_with = "read", help_heading = "Live capture")]
    interface: Vec<String>,
    /// Name the interfaces and end
    #[arg(long, conflicts_with_all = ["read", "interface"], help_heading = "Live capture")]
    list_interfaces: bool,
    #[command(flatten)]
    ring: Ring,
    #[command(flatten)]
    rights: Rights,
}

/// Which rights to give up.
#[derive(clap::Args)]
struct Rights {
    /// Become this user (NAME or NAME:GROUP) once the interfaces are open
    #[arg(long, value_name = "USER", conflicts_with = "read", help_heading = "Live capture")]
    user: Option<String>,
    /// Refuse to begin where not every step of the sandbox can be taken
    #[arg(long, conflicts_with = "read", help_heading = "Live capture")]
    require_sandbox: bool,
    /// Keep all rights: for debuggers
    #[arg(long, conflicts_with_all = ["require_sandbox", "read"], help_heading = "Live capture")]
    no_sandbox: bool,
}

/// How to capture.
#[derive(clap::Args)]
struct Ring {
    /// Bytes kept of a packet
    #[arg(long, value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(64..=262_144), help_heading = "Live capture")]
    snaplen: u32,
    /// The kernel's ring buffer for each thread and interface, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Live capture")]
    ring_mib: u32,
    /// Leave packets for other hosts to them
    #[arg(long, help_heading = "Live capture")]
    no_promiscuous: bool,
    /// Leave out what this host sends: on a mirror port it is only its own chatter
    #[arg(long, help_heading = "Live capture")]
    ignore_outgoing: bool,
}

impl Live {
    /// Takes from a configuration what was not given on the command line.
    pub(super) fn configure(&mut self, capture: &CaptureSection, given: &dyn Fn(&str) -> bool) {
        if !self.is_meant() {
            self.interface.clone_from(&capture.interfaces);
        }
        if !given("snaplen") {
            self.ring.snaplen = capture.snaplen;
        }
        if !given("ring_mib") {
            self.ring.ring_mib = capture.ring_mib;
        }
        self.ring.no_promiscuous |= !capture.promiscuous;
        self.ring.ignore_outgoing |= capture.ignore_outgoing;
    }

    /// Whether anything here was asked for.
    pub(super) fn is_meant(&self) -> bool {
        self.list_interfaces || !self.interface.is_empty()
    }
}

pub(super) fn run(arguments: &super::Arguments, configuration: &Configuration) -> Result<Found> {
    #[cfg(not(target_os = "linux"))]
    let _ = configuration;
    #[cfg(not(target_os = "linux"))]
    anyhow::bail!(
        "live capture needs Linux; elsewhere pipe a capture in: tcpdump -i INTERFACE -U -w - | citronella detect -r -"
    );
    #[cfg(target_os = "linux")]
    if arguments.live.list_interfaces { list(arguments.json) } else { watch(arguments, configuration) }
}

#[cfg(target_os = "linux")]
fn list(json: bool) -> Result<Found> {
    use crate::show;
    let interfaces = citronella_sensor::capture::live::interfaces()?;
    if json {
        show::json(&interfaces)?;
        return Ok(Found::Nothing);
    }
    let mut table = show::pairs();
    table.set_header(["interface", "state", "addresses"]);
    for interface in interfaces {
        let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
        let state = if interface.up { "up" } else { "down" };
        table.add_row([interface.name, state.to_owned(), addresses.join(", ")]);
    }
    show::print(&table)?;
    Ok(Found::Nothing)
}

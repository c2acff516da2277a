//! `citronella detect -i INTERFACE...`: detection on live traffic, until a signal stops it.

use anyhow::Result;
#[cfg(target_os = "linux")]
pub(super) use watch::watch as run;

use super::Found;

#[cfg(target_os = "linux")]
mod watch;

#[cfg(not(target_os = "linux"))]
pub(super) fn run(
    _: &citronella_config::DetectPlan,
    _: &citronella_config::Interfaces,
    _: citronella_config::DetectArgs,
) -> Result<Found> {
    needs_linux()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn list(_: bool) -> Result<Found> {
    needs_linux()
}

#[cfg(not(target_os = "linux"))]
fn needs_linux() -> Result<Found> {
    anyhow::bail!(
        "live capture needs Linux; elsewhere pipe a capture in: tcpdump -i INTERFACE -U -w - | citronella detect -r -"
    )
}

#[cfg(target_os = "linux")]
pub(super) fn list(json: bool) -> Result<Found> {
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

//! `citronella detect --list-interfaces`.

use anyhow::Result;

use super::Outcome;

#[cfg(target_os = "linux")]
pub(super) fn list(json: bool) -> Result<Outcome> {
    use crate::show;
    let interfaces = citronella_sensor::capture::live::interfaces()?;
    if json {
        show::json(&interfaces)?;
        return Ok(Outcome::Nothing);
    }
    let mut table = show::pairs();
    table.set_header(["interface", "state", "addresses"]);
    for interface in interfaces {
        let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
        let state = if interface.up { "up" } else { "down" };
        table.add_row([interface.name, state.to_owned(), addresses.join(", ")]);
    }
    show::print(&table)?;
    Ok(Outcome::Nothing)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn list(_: bool) -> Result<Outcome> {
    Err(super::sources::needs_linux())
}

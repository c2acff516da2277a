//! Captures of a recording as rows of the packet and the flow levels.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Cursor},
    path::Path,
};

use citronella_sensor::{
    capture::{Capture, Packet},
    detect::Value,
    feature::{
        biflow::BiflowLevel,
        packet::{Cell, PacketLevel},
        schema::Level,
        uniflow::UniflowLevel,
    },
    flow::ids2020::{Counters, Limits},
};

use super::{DatasetError, LoadOptions, ManifestEntry, Table, hash::Hashing};

/// Where a capture's bytes are.
pub(crate) enum Bytes<'a> {
    File(&'a Path),
    Memory(Cow<'static, [u8]>),
}

/// A capture's rows. What follows after a cut is reported as a problem; a capture without a readable header or
/// without a single whole packet is an error.
pub(crate) fn read(
    recording: &str,
    entry: &ManifestEntry,
    bytes: Bytes<'_>,
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let name = format!("{recording}/{}", entry.file);
    let mut rows = Rows::new(options.level, entry)
        .ok_or_else(|| DatasetError::CaptureLevel { file: name.clone(), level: options.level.name() })?;
    let (mut capture, sha256) = match bytes {
        Bytes::File(path) => {
            let read = |source| DatasetError::Read { file: path.display().to_string(), source };
            let capture = Capture::open(path)?;
            let sha256 = File::open(path).and_then(|file| Hashing::new(file).finish()).map_err(read)?;
            (capture, sha256)
        }
        Bytes::Memory(bytes) => {
            let sha256 = Hashing::new(&*bytes).finish().map_err(|source| in_memory(&name, source))?;
            (Capture::from_reader(&name, Box::new(Cursor::new(bytes)))?, sha256)
        }
    };
    let mut table = Table::new(options.level);
    let source = table.add_source(&name, &entry.scenario, recording);
    table.add_hash(&name, sha256);
    let (mut cut, mut capped) = (None, false);
    loop {
        match capture.next() {
            Ok(Some(packet)) => {
                capped = !rows.add(&packet, &mut table, source, options.rows_per_file);
                if capped {
                    break;
                }
            }
            Ok(None) => break,
            Err(fault) if fault.is_cut() => {
                cut = Some(fault);
                break;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    let (losses, flows_capped) = rows.finish(&mut table, source, options.rows_per_file);
    match cut {
        Some(fault) if table.is_empty() => return Err(fault.into()),
        Some(fault) => table.problems.cut_captures.push(fault.to_string()),
        None => {}
    }
    if capped || flows_capped {
        table.problems.capped_files.push(format!("{name}: {} rows", options.rows_per_file));
    }
    if losses != Counters::default() {
        table.problems.flow_losses.push(format!(
            "{name}: {} packets of flows beyond the table's cap are left out; {} came too late to be put in order",
            losses.packets_over_cap, losses.packets_too_late
        ));
    }
    if capture.unknown_blocks() > 0 {
        let blocks = capture.unknown_blocks();
        table
            .problems
            .unknown_blocks
            .push(format!("{name}: passed over {blocks} pcapng blocks of unknown types"));
    }
    Ok(table)
}

fn in_memory(name: &str, source: io::Error) -> DatasetError {
    DatasetError::Read { file: name.to_owned(), source }
}

/// A capture's rows of a level, as they come (packets) or at its end (flows).
enum Rows {
    Packet(PacketLevel),
    Uniflow(UniflowLevel, Level),
    Biflow(BiflowLevel, Level),
}

impl Rows {
    fn new(level: Level, entry: &ManifestEntry) -> Option<Rows> {
        match level {
            Level::Packet => Some(Rows::Packet(PacketLevel::new(entry.attacker))),
            Level::Uniflow | Level::UniflowExtended => {
                Some(Rows::Uniflow(UniflowLevel::new(entry.attacker, Limits::default()), level))
            }
            Level::Biflow | Level::BiflowExtended => {
                Some(Rows::Biflow(BiflowLevel::new(entry.attacker, Limits::default()), level))
            }
            _ => None,
        }
    }

    /// Takes a packet; `false` once the table has its fill of rows.
    fn add(&mut self, packet: &Packet<'_>, table: &mut Table, source: u32, cap: u64) -> bool {
        match self {
            Rows::Packet(level) => {
                if let Some(row) = level.row(packet) {
                    if table.len() as u64 >= cap {
                        return false;
                    }
                    push(table, source, packet.number, &row.cells());
                }
            }
            Rows::Uniflow(level, _) => {
                level.add(packet);
            }
            Rows::Biflow(level, _) => {
                level.add(packet);
            }
        }
        true
    }

    /// Ends the capture: what the flows lost, and whether rows were left out. A flow's number is its place among the
    /// capture's rows, from 1.
    fn finish(self, table: &mut Table, source: u32, cap: u64) -> (Counters, bool) {
        let rows = usize::try_from(cap).unwrap_or(usize::MAX);
        match self {
            Rows::Packet(_) => (Counters::default(), false),
            Rows::Uniflow(level, kind) => {
                let mut flows = level.finish();
                let losses = flows.counters();
                for (number, row) in (1..).zip(flows.by_ref().take(rows)) {
                    match kind {
                        Level::UniflowExtended => push(table, source, number, &row.extended_cells()),
                        _ => push(table, source, number, &row.cells()),
                    }
                }
                (losses, flows.next().is_some())
            }
            Rows::Biflow(level, kind) => {
                let mut flows = level.finish();
                let losses = flows.counters();
                for (number, row) in (1..).zip(flows.by_ref().take(rows)) {
                    match kind {
                        Level::BiflowExtended => push(table, source, number, &row.extended_cells()),
                        _ => push(table, source, number, &row.cells()),
                    }
                }
                (losses, flows.next().is_some())
            }
        }
    }
}

fn push(table: &mut Table, source: u32, number: u64, cells: &[Cell]) {
    table.push_row(source, number, cells.iter().map(|&cell| Value::from(cell)));
}

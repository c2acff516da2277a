//! Captures of a recording as rows of the packet level.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Cursor},
    path::Path,
};

use citronella_sensor::{
    capture::Capture,
    detect::Value,
    feature::{packet::PacketLevel, schema::Level},
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
    if options.level != Level::Packet {
        return Err(DatasetError::CaptureLevel { file: name, level: options.level.name() });
    }
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
    let mut table = Table::new(Level::Packet);
    let source = table.add_source(&name, &entry.scenario, recording);
    table.add_hash(&name, sha256);
    let mut level = PacketLevel::new(entry.attacker());
    loop {
        match capture.next() {
            Ok(Some(packet)) => {
                let Some(row) = level.row(&packet) else { continue };
                if table.len() as u64 >= options.rows_per_file {
                    table.problems.capped_files.push(format!("{name}: {} rows", options.rows_per_file));
                    break;
                }
                table.push_row(source, packet.number, row.cells().into_iter().map(Value::from));
            }
            Ok(None) => break,
            Err(fault) if fault.is_cut() && !table.is_empty() => {
                table.problems.cut_captures.push(fault.to_string());
                break;
            }
            Err(fault) => return Err(fault.into()),
        }
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

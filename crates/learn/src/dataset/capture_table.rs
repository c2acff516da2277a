//! Captures of a recording as a typed table.

use std::{borrow::Cow, io::Cursor, ops::ControlFlow, path::Path};

use citronella_sensor::{capture::Capture, feature::schema::Level};

use super::{
    DatasetError, LoadOptions, ManifestEntry, Table, capture, file,
    hash::Hashing,
    rows::{RawCell, ReadAs, Row, RowConsumer},
};

/// Where a capture's bytes are.
pub(super) enum Bytes<'a> {
    File(&'a Path),
    Memory(Cow<'static, [u8]>),
}

/// Reads a capture's rows. A capture that is cut short is a problem of the table; one without a readable header or a
/// single row is an error.
pub(super) fn read(
    recording: &str,
    entry: &ManifestEntry,
    bytes: Bytes<'_>,
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let name = format!("{recording}/{}", entry.file);
    if matches!(options.level, Level::Sequence | Level::NslKdd) {
        return Err(DatasetError::CaptureLevel { file: name, level: options.level.name() });
    }
    let (mut capture, sha256) = match bytes {
        Bytes::File(path) => (Capture::open(path)?, file::sha256(path)?),
        Bytes::Memory(bytes) => {
            let in_memory = |source| DatasetError::Read { file: name.clone(), source };
            let sha256 = Hashing::new(&*bytes).finish().map_err(in_memory)?;
            (Capture::from_reader(&name, Box::new(Cursor::new(bytes)))?, sha256)
        }
    };
    let mut table = Table::new(options.level);
    let source = table.add_source(&name, &entry.scenario, recording);
    table.add_hash(&name, sha256);
    let mut rows = CaptureRows { table, source, cap: options.rows_per_file, is_capped: false };
    let summary = capture::read_rows(&mut capture, (options.level, entry.attacker), &mut rows)?;
    let CaptureRows { mut table, is_capped, .. } = rows;
    match summary.cut {
        Some(fault) if table.is_empty() => return Err(fault.into()),
        Some(fault) => table.problems.cut_captures.push(fault.to_string()),
        None => {}
    }
    if is_capped {
        table.problems.capped_files.push(format!("{name}: {} rows", options.rows_per_file));
    }
    if let Some((over_cap, too_late)) = summary.lost_packets {
        table.problems.flow_losses.push(format!(
            "{name}: {over_cap} packets of flows beyond the table's cap are left out; {too_late} came too late to be put in order"
        ));
    }
    if summary.unknown_blocks > 0 {
        table
            .problems
            .unknown_blocks
            .push(format!("{name}: skipped {} pcapng blocks of unknown types", summary.unknown_blocks));
    }
    Ok(table)
}

struct CaptureRows {
    table: Table,
    source: u32,
    cap: u64,
    is_capped: bool,
}

impl RowConsumer for CaptureRows {
    type Error = DatasetError;

    fn columns(&mut self, names: &[String]) -> Result<Vec<ReadAs>, DatasetError> {
        Ok(vec![ReadAs::Stored; names.len()])
    }

    #[inline]
    fn row(&mut self, number: u64, row: &impl Row) -> ControlFlow<()> {
        if self.table.len() as u64 >= self.cap {
            self.is_capped = true;
            return ControlFlow::Break(());
        }
        let columns = 0..self.table.columns().len();
        let values = columns.map(|column| match row.cell(column) {
            RawCell::Value(value) => value,
            RawCell::Text(_) => unreachable!("captures give typed cells"),
        });
        self.table.push_row(self.source, number, values);
        ControlFlow::Continue(())
    }

    fn malformed(&mut self, _: u64, _: &[u8]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

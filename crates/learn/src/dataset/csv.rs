//! CSV files with a header line.

use std::{ops::ControlFlow, path::Path};

use csv::ByteRecord;

use super::{
    DatasetError,
    cell::column_name,
    file,
    rows::{RawCell, Row, RowConsumer},
};

impl Row for ByteRecord {
    fn cell(&self, column: usize) -> RawCell<'_> {
        RawCell::Text(self.get(column).unwrap_or_default())
    }
}

/// Hands a file's lines to `consumer`, numbered from 1 with the header. Header lines among the rows are skipped.
pub(crate) fn read_rows<C: RowConsumer>(path: &Path, consumer: &mut C) -> Result<(), C::Error> {
    let name = path.display().to_string();
    let invalid = |source| DatasetError::Csv { file: name.clone(), source };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 18)
        .from_reader(file::open(path)?);
    let (mut header, mut record) = (ByteRecord::new(), ByteRecord::new());
    if !reader.read_byte_record(&mut header).map_err(invalid)? {
        return Err(DatasetError::NoRows { file: name, reason: "the file is empty".into() }.into());
    }
    let names: Vec<String> =
        header.iter().map(|cell| String::from_utf8_lossy(column_name(cell)).into_owned()).collect();
    consumer.columns(&names)?;
    while reader.read_byte_record(&mut record).map_err(invalid)? {
        let line = record.position().map_or(0, csv::Position::line);
        let flow = if is_header(&record, &header) {
            consumer.repeated_header();
            ControlFlow::Continue(())
        } else if record.len() == header.len() {
            consumer.row(line, &record)
        } else {
            consumer.malformed(line, record.get(0).unwrap_or_default())
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Whether a line repeats the header. The cell of an index column, unnamed in the header, may hold anything.
fn is_header(record: &ByteRecord, header: &ByteRecord) -> bool {
    let last = header.len().saturating_sub(1);
    record.len() == header.len()
        && record.get(last).map(column_name) == header.get(last).map(column_name)
        && record.iter().zip(header).skip(1).all(|(cell, name)| column_name(cell) == column_name(name))
}

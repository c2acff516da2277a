//! CSV as MQTT-IoT-IDS2020 was published: `2020-02-14 16:45:36.818127`, flags as 0 and 1, nothing for an empty field.
//!
//! No cell of a schema ever needs quotes: addresses, fixed names and numbers only.

use std::{
    io::{self, Write},
    net::IpAddr,
};

use jiff::Timestamp;

use super::{packet::Cell, schema::Column, write::flush};
use crate::output::Output;

const MICROS: i64 = 1_000_000;

/// The header line.
pub(super) fn header(output: &mut Output, columns: &[Column]) -> io::Result<()> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    writeln!(output, "{}", names.join(","))
}

pub(super) struct CsvWriter {
    output: Output,
    line: Vec<u8>,
    encoder: CsvEncoder,
}

impl CsvWriter {
    pub(super) fn new(mut output: Output, columns: &[Column]) -> io::Result<CsvWriter> {
        header(&mut output, columns)?;
        Ok(CsvWriter { output, line: Vec::with_capacity(512), encoder: CsvEncoder::default() })
    }

    #[inline]
    pub(super) fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.line.clear();
        self.encoder.line(cells, &mut self.line)?;
        self.output.write_all(&self.line)
    }

    pub(super) fn finish(self) -> io::Result<Output> {
        flush(self.output)
    }
}

/// Spells rows out; what it remembers only saves work.
pub(super) struct CsvEncoder {
    /// The second that `clock` spells out.
    second: i64,
    /// `2020-02-14 16:45:36`.
    clock: String,
}

impl Default for CsvEncoder {
    fn default() -> CsvEncoder {
        CsvEncoder { second: i64::MIN, clock: String::new() }
    }
}

impl CsvEncoder {
    /// Adds a row's line to `text`.
    #[inline]
    pub(super) fn line(&mut self, cells: &[Cell], text: &mut Vec<u8>) -> io::Result<()> {
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            match *cell {
                Cell::Empty => {}
                Cell::Flag(set) => text.push(if set { b'1' } else { b'0' }),
                Cell::UInt(number) => text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
                Cell::Name(name) => text.extend_from_slice(name.as_bytes()),
                Cell::Address(address) => spell(address, text)?,
                Cell::Float(number) => write!(text, "{number}")?,
                Cell::Micros(micros) => self.time(micros, text)?,
            }
        }
        text.push(b'\n');
        Ok(())
    }

    fn time(&mut self, micros: i64, text: &mut Vec<u8>) -> io::Result<()> {
        let (second, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
        if second != self.second {
            let time = Timestamp::from_second(second).map_err(io::Error::other)?;
            self.clock = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
            self.second = second;
        }
        text.extend_from_slice(self.clock.as_bytes());
        // A one before six digits keeps their zeros; then it makes way for the point.
        let at = text.len();
        text.extend_from_slice(itoa::Buffer::new().format(MICROS + fraction).as_bytes());
        text.get_mut(at..=at).unwrap_or_default().fill(b'.');
        Ok(())
    }
}

#[inline]
fn spell(address: IpAddr, text: &mut Vec<u8>) -> io::Result<()> {
    let IpAddr::V4(address) = address else { return write!(text, "{address}") };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push(b'.');
        }
        text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
    }
    Ok(())
}

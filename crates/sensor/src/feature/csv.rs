//! CSV as MQTT-IoT-IDS2020 was published: `2020-02-14 16:45:36.818127`, flags as 0 and 1, nothing for an empty field.
//!
//! No cell of a schema ever needs quotes: addresses, fixed names and numbers only.

mod lines;

use std::{
    io::{self, Write},
    net::IpAddr,
};

use jiff::Timestamp;

pub(super) use self::lines::Lines;
use self::lines::Pen;
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
    line: Lines,
    encoder: CsvEncoder,
}

impl CsvWriter {
    pub(super) fn new(mut output: Output, columns: &[Column]) -> io::Result<CsvWriter> {
        header(&mut output, columns)?;
        Ok(CsvWriter { output, line: Lines::default(), encoder: CsvEncoder::default() })
    }

    #[inline]
    pub(super) fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.line.clear();
        self.encoder.line(cells, &mut self.line)?;
        self.output.write_all(self.line.as_bytes())
    }

    pub(super) fn finish(self) -> io::Result<Output> {
        flush(self.output)
    }
}

/// Spells rows out; what it remembers only saves work.
pub(super) struct CsvEncoder {
    /// The second that `clock` spells out.
    second: i64,
    /// `2020-02-14 16:45:36`, and how many bytes that is.
    clock: ([u8; 32], usize),
}

impl Default for CsvEncoder {
    fn default() -> CsvEncoder {
        CsvEncoder { second: i64::MIN, clock: ([0; 32], 0) }
    }
}

impl CsvEncoder {
    /// Adds a row's line to `text`.
    #[inline]
    pub(super) fn line(&mut self, cells: &[Cell], text: &mut Lines) -> io::Result<()> {
        let mut pen = text.pen(2 * cells.len());
        for cell in cells {
            let is_written = match *cell {
                Cell::Empty => true,
                Cell::Flag(set) => {
                    pen.put([b'0' + u8::from(set)], 1);
                    true
                }
                Cell::UInt(number) => pen.number(number),
                Cell::Name(name) => pen.name(name.as_bytes()),
                Cell::Address(IpAddr::V4(address)) => {
                    pen.v4(address);
                    true
                }
                Cell::Micros(micros) => {
                    self.time(micros, &mut pen)?;
                    true
                }
                Cell::Float(_) | Cell::Address(IpAddr::V6(_)) => false,
            };
            if !is_written {
                let bytes = pen.at();
                text.take(bytes);
                spell(*cell, text)?;
                pen = text.pen(2 * cells.len());
            }
            pen.put([b','], 1);
        }
        pen.set_last(b'\n');
        let bytes = pen.at();
        text.take(bytes);
        Ok(())
    }

    #[inline]
    fn time(&mut self, micros: i64, pen: &mut Pen<'_>) -> io::Result<()> {
        let (second, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
        if second != self.second {
            self.clock = clock(second)?;
            self.second = second;
        }
        let (text, len) = self.clock;
        pen.put(text, len);
        pen.micros(fraction as u32);
        Ok(())
    }
}

/// What has no greatest length, or comes seldom.
#[inline(never)]
fn spell(cell: Cell, text: &mut Lines) -> io::Result<()> {
    match cell {
        Cell::Name(name) => text.write_all(name.as_bytes()),
        Cell::UInt(number) => write!(text, "{number}"),
        Cell::Float(number) => write!(text, "{number}"),
        Cell::Address(address) => write!(text, "{address}"),
        Cell::Empty | Cell::Flag(_) | Cell::Micros(_) => Ok(()),
    }
}

#[cold]
fn clock(second: i64) -> io::Result<([u8; 32], usize)> {
    let time = Timestamp::from_second(second).map_err(io::Error::other)?;
    let text = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    Ok((bytes, text.len().min(bytes.len())))
}

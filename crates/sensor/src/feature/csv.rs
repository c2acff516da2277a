//! CSV in the published form of MQTT-IoT-IDS2020: `2020-02-14 16:45:36.818127`, flags as 0 and 1, empty fields.
//!
//! No cell of a schema needs quotes: addresses, fixed names and numbers only.

mod text;

use std::{
    io::{self, Write},
    net::IpAddr,
};

use jiff::Timestamp;

use self::text::PieceWriter;
pub(super) use self::text::TextBuffer;
use super::{packet::Cell, schema::Column};
use crate::output::Output;

const MICROS: i64 = 1_000_000;

/// Writes the header line.
pub(super) fn header(output: &mut Output, columns: &[Column]) -> io::Result<()> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    writeln!(output, "{}", names.join(","))
}

pub(super) struct CsvWriter {
    output: Output,
    line: TextBuffer,
    encoder: CsvEncoder,
}

impl CsvWriter {
    pub(super) fn new(mut output: Output, columns: &[Column]) -> io::Result<CsvWriter> {
        header(&mut output, columns)?;
        Ok(CsvWriter { output, line: TextBuffer::default(), encoder: CsvEncoder::default() })
    }

    #[inline]
    pub(super) fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.line.clear();
        self.encoder.line(cells, &mut self.line)?;
        self.output.write_all(self.line.as_bytes())
    }

    pub(super) fn finish(mut self) -> io::Result<Output> {
        self.output.flush()?;
        Ok(self.output)
    }
}

/// Formats rows, with a cache of the last timestamp's text.
pub(super) struct CsvEncoder {
    /// The second that `clock` formats.
    second: i64,
    /// `2020-02-14 16:45:36` and its length in bytes.
    clock: ([u8; 32], usize),
}

impl Default for CsvEncoder {
    fn default() -> CsvEncoder {
        CsvEncoder { second: i64::MIN, clock: ([0; 32], 0) }
    }
}

impl CsvEncoder {
    /// Appends a row's line to `text`.
    #[inline]
    pub(super) fn line(&mut self, cells: &[Cell], text: &mut TextBuffer) -> io::Result<()> {
        let mut writer = text.writer(2 * cells.len());
        for cell in cells {
            let is_written = match *cell {
                Cell::Empty => true,
                Cell::Flag(set) => {
                    writer.put([b'0' + u8::from(set)], 1);
                    true
                }
                Cell::UInt(number) => writer.number(number),
                Cell::Name(name) => writer.name(name.as_bytes()),
                Cell::Address(IpAddr::V4(address)) => {
                    writer.v4(address);
                    true
                }
                Cell::Micros(micros) => {
                    self.time(micros, &mut writer)?;
                    true
                }
                Cell::Float(_) | Cell::Address(IpAddr::V6(_)) => false,
            };
            if !is_written {
                let bytes = writer.at();
                text.commit(bytes);
                format_slow(*cell, text)?;
                writer = text.writer(2 * cells.len());
            }
            writer.put([b','], 1);
        }
        writer.set_last(b'\n');
        let bytes = writer.at();
        text.commit(bytes);
        Ok(())
    }

    #[inline]
    fn time(&mut self, micros: i64, writer: &mut PieceWriter<'_>) -> io::Result<()> {
        let (second, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
        if second != self.second {
            self.clock = clock(second)?;
            self.second = second;
        }
        let (text, len) = self.clock;
        writer.put(text, len);
        writer.micros(fraction as u32);
        Ok(())
    }
}

/// Formats cells of unbounded length and rare ones.
#[inline(never)]
fn format_slow(cell: Cell, text: &mut TextBuffer) -> io::Result<()> {
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
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok((bytes, text.len().min(bytes.len())))
}

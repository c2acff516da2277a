//! CSV as MQTT-IoT-IDS2020 was published: `2020-02-14 16:45:36.818127`, flags as 0 and 1, nothing for an empty field.
//!
//! No cell of a schema ever needs quotes: addresses, fixed names and numbers only.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{packet::Cell, schema::Column, write::flush};
use crate::output::Output;

const MICROS: i64 = 1_000_000;

pub(super) struct CsvWriter {
    output: Output,
    line: Vec<u8>,
    /// The second that `clock` spells out.
    second: i64,
    /// `2020-02-14 16:45:36`.
    clock: String,
}

impl CsvWriter {
    pub(super) fn new(mut output: Output, columns: &[Column]) -> io::Result<CsvWriter> {
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        writeln!(output, "{}", names.join(","))?;
        Ok(CsvWriter { output, line: Vec::with_capacity(512), second: i64::MIN, clock: String::new() })
    }

    #[inline]
    pub(super) fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.line.clear();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                self.line.push(b',');
            }
            match *cell {
                Cell::Empty => {}
                Cell::Flag(set) => self.line.push(if set { b'1' } else { b'0' }),
                Cell::UInt(number) => {
                    self.line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes())
                }
                Cell::Name(name) => self.line.extend_from_slice(name.as_bytes()),
                Cell::Address(address) => write!(self.line, "{address}")?,
                Cell::Float(number) => write!(self.line, "{number}")?,
                Cell::Micros(micros) => self.time(micros)?,
            }
        }
        self.line.push(b'\n');
        self.output.write_all(&self.line)
    }

    fn time(&mut self, micros: i64) -> io::Result<()> {
        let (second, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
        if second != self.second {
            self.second = second;
            let time = Timestamp::from_second(second).map_err(io::Error::other)?;
            self.clock = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
        }
        write!(self.line, "{}.{fraction:06}", self.clock)
    }

    pub(super) fn finish(self) -> io::Result<Output> {
        flush(self.output)
    }
}

//! The parts of the data path that `bench capture` measures.

use std::{hint::black_box, path::Path};

use anyhow::Result;
use citronella_sensor::{
    capture::Packet,
    feature::{
        Format, RowWriter,
        biflow::BiflowLevel,
        packet::{Attacker, PacketLevel},
        schema::Level,
        uniflow::UniflowLevel,
    },
    flow::{FlowPacket, FlowTable, ids2020::Limits, table},
};
use citronella_wire::decode_frame;

/// What a thread does with its packets.
pub(super) trait Part: Send {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()>;

    fn finish(self) -> Result<()>
    where
        Self: Sized,
    {
        Ok(())
    }
}

pub(super) struct Read;

impl Part for Read {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        black_box(packet.bytes.len());
        Ok(())
    }
}

pub(super) struct Decode;

impl Part for Decode {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        black_box(decode_frame(packet.link, packet.bytes));
        Ok(())
    }
}

pub(super) struct Flows(FlowTable);

impl Flows {
    pub(super) fn new() -> Flows {
        Flows(FlowTable::new(table::Limits::default()))
    }
}

impl Part for Flows {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        let frame = decode_frame(packet.link, packet.bytes);
        if let Some(packet) = FlowPacket::of_frame(packet.time_nanos, &frame) {
            self.0.add(&packet, |event| {
                black_box(&event);
            });
        }
        Ok(())
    }
}

pub(super) struct Rows {
    level: PacketLevel,
    writer: RowWriter,
}

impl Rows {
    /// Rows of the packet level, into a file.
    pub(super) fn new(file: &Path, format: Format) -> Result<Rows> {
        let writer = RowWriter::create(file, format, Level::Packet)?;
        Ok(Rows { level: PacketLevel::new(Attacker::Unknown), writer })
    }
}

impl Part for Rows {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        match self.level.row(packet) {
            Some(row) => Ok(self.writer.write(&row.cells())?),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<()> {
        self.writer.finish()?;
        Ok(())
    }
}

pub(super) struct Uniflows(UniflowLevel);

impl Uniflows {
    pub(super) fn new() -> Uniflows {
        Uniflows(UniflowLevel::new(Attacker::Unknown, Limits::default()))
    }
}

impl Part for Uniflows {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        self.0.add(packet);
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.0.finish().for_each(|row| {
            black_box(row.cells());
        });
        Ok(())
    }
}

pub(super) struct Biflows(BiflowLevel);

impl Biflows {
    pub(super) fn new() -> Biflows {
        Biflows(BiflowLevel::new(Attacker::Unknown, Limits::default()))
    }
}

impl Part for Biflows {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        self.0.add(packet);
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.0.finish().for_each(|row| {
            black_box(row.cells());
        });
        Ok(())
    }
}

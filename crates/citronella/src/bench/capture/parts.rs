//! The stages of the data path that `bench capture` measures, on one thread and on several.

use std::{hint::black_box, path::Path, thread};

use anyhow::Result;
use citronella_sensor::{
    capture::{Capture, CaptureError, Packet},
    feature::{
        ChunkWriter, Format,
        biflow::BiflowLevel,
        chunks::{Feeder, Table},
        packet::{Attacker, PacketLevel, PacketRow},
        schema::Level,
        uniflow::UniflowLevel,
    },
    flow::{
        FlowPacket, FlowTable, HashSeed,
        ids2020::Limits,
        sharded::{ShardedWork, run_sharded},
        table,
    },
};
use citronella_wire::decode_frame;

/// A stage, set up and ready to process a capture.
pub(super) type Run = Box<dyn FnOnce(&mut Capture) -> Result<()>>;

fn for_each_packet(capture: &mut Capture, mut process: impl FnMut(&Packet<'_>) -> Result<()>) -> Result<()> {
    while let Some(packet) = capture.next()? {
        process(&packet)?;
    }
    Ok(())
}

pub(super) fn read(_: usize) -> Result<Run> {
    Ok(Box::new(|capture| {
        for_each_packet(capture, |packet| {
            black_box(packet.bytes.len());
            Ok(())
        })
    }))
}

pub(super) fn decode(threads: usize) -> Result<Run> {
    Ok(Box::new(move |capture| match threads {
        1 => for_each_packet(capture, |packet| {
            black_box(decode_frame(packet.link, packet.bytes));
            Ok(())
        }),
        _ => Ok(run_sharded(&Decoding, capture, (vec![()], ()), threads, |_| ()).1?),
    }))
}

struct Decoding;

impl ShardedWork for Decoding {
    type Item = ();
    type Shard = ();
    type Sequencer = ();
    type Note = ();

    fn item(&self, packet: &Packet<'_>, _: u32) -> Option<(u64, ())> {
        black_box(decode_frame(packet.link, packet.bytes));
        None
    }

    fn sequence(&self, (): &mut (), _: Vec<i64>) {}

    fn process(&self, (): &mut (), _: &[()], (): &()) {}

    fn index((): &()) -> u32 {
        0
    }
}

pub(super) fn flows(threads: usize) -> Result<Run> {
    let limits = table::Limits::default();
    let limits = table::Limits { max_flows: limits.max_flows / threads.max(1), ..limits };
    let mut tables: Vec<FlowTable> = (0..threads).map(|_| FlowTable::new(limits)).collect();
    Ok(Box::new(move |capture| match tables.as_mut_slice() {
        [table] => for_each_packet(capture, |packet| {
            let frame = decode_frame(packet.link, packet.bytes);
            if let Some(packet) = FlowPacket::of_frame(packet.time_nanos, &frame) {
                count(table, &packet);
            }
            Ok(())
        }),
        _ => Ok(run_sharded(&Flows(HashSeed::new()), capture, (tables, ()), threads, |_| ()).1?),
    }))
}

fn count(table: &mut FlowTable, packet: &FlowPacket) {
    table.add(packet, |event| {
        black_box(&event);
    });
}

struct Flows(HashSeed);

impl ShardedWork for Flows {
    type Item = FlowPacket;
    type Shard = FlowTable;
    type Sequencer = ();
    type Note = ();

    #[inline]
    fn item(&self, packet: &Packet<'_>, _: u32) -> Option<(u64, FlowPacket)> {
        let frame = decode_frame(packet.link, packet.bytes);
        let packet = FlowPacket::of_frame(packet.time_nanos, &frame)?;
        Some((self.0.flow(&packet.key), packet))
    }

    fn sequence(&self, (): &mut (), _: Vec<i64>) {}

    fn process(&self, table: &mut FlowTable, items: &[FlowPacket], (): &()) {
        items.iter().for_each(|packet| count(table, packet));
    }

    fn index(_: &FlowPacket) -> u32 {
        0
    }
}

/// Writes the packet level to a file.
pub(super) fn packets(threads: usize, file: &Path, format: Format) -> Result<Run> {
    let mut level = Box::new(PacketLevel::new(Attacker::Unknown));
    let mut writer = ChunkWriter::create(file, format, Level::Packet, false)?;
    Ok(Box::new(move |capture| {
        writer.write_on(threads, |feeder: &mut Feeder<'_, Vec<PacketRow>>| {
            for_each_packet(capture, |packet| match level.row(packet) {
                Some(row) => Ok(feeder.add(row)?),
                None => Ok(()),
            })
        })?;
        writer.finish()?;
        Ok(())
    }))
}

pub(super) fn uniflows(threads: usize) -> Result<Run> {
    of_capture(threads, UniflowLevel::new, UniflowLevel::add, UniflowLevel::finish, |capture, threads| {
        UniflowLevel::of_capture(capture, (Attacker::Unknown, Limits::default()), threads, |_| ())
    })
}

pub(super) fn biflows(threads: usize) -> Result<Run> {
    of_capture(threads, BiflowLevel::new, BiflowLevel::add, BiflowLevel::finish, |capture, threads| {
        BiflowLevel::of_capture(capture, (Attacker::Unknown, Limits::default()), threads, |_| ())
    })
}

/// Rows, and the error that ended their capture, if any.
type RowsResult<T> = (T, Result<(), CaptureError>);

/// Computes the rows of a flow level and discards them.
fn of_capture<L: 'static, T: Table + 'static>(
    threads: usize,
    new: impl FnOnce(Attacker, Limits) -> L,
    add: fn(&mut L, &Packet<'_>) -> bool,
    finish: fn(L) -> T,
    on_threads: fn(&mut Capture, usize) -> RowsResult<T>,
) -> Result<Run> {
    let mut level = new(Attacker::Unknown, Limits::default());
    Ok(Box::new(move |capture| {
        let rows = if threads == 1 {
            for_each_packet(capture, |packet| {
                add(&mut level, packet);
                Ok(())
            })?;
            finish(level)
        } else {
            let (rows, ended) = on_threads(capture, threads);
            ended?;
            rows
        };
        let share = rows.total().div_ceil(threads.max(1));
        thread::scope(|scope| {
            let rows = &rows;
            for thread in 1..threads {
                scope.spawn(move || cells(rows, share * thread, share));
            }
            cells(rows, 0, share);
        });
        Ok(())
    }))
}

fn cells<T: Table>(rows: &T, from: usize, count: usize) {
    for rank in from..from + count {
        rows.cells(rank, |cells| {
            black_box(cells);
        });
    }
}

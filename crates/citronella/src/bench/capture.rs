//! `citronella bench capture FILE`: packets a second of each part of the data path, on one thread.

use std::{
    hint::black_box,
    io::{Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use citronella_sensor::{
    capture::{Capture, Packet},
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
use serde_json::json;

use crate::show::{self, count};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A capture; it is read into memory first
    file: PathBuf,
    /// Runs of each part; the best counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A capture's bytes, decompressed, that many readers can share.
#[derive(Clone)]
struct Shared(Arc<[u8]>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

pub(super) struct Input {
    name: String,
    bytes: Shared,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Input> {
        let name = path.display().to_string();
        // Opened as a capture first: what is none is refused with its usual message.
        Capture::open(path)?;
        let mut bytes = std::fs::read(path).with_context(|| format!("{name}: cannot read"))?;
        if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut plain = Vec::new();
            zstd::Decoder::new(&bytes[..])
                .and_then(|mut d| d.read_to_end(&mut plain))
                .with_context(|| name.clone())?;
            bytes = plain;
        }
        Ok(Input { name, bytes: Shared(bytes.into()) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn capture(&self) -> Result<Capture> {
        Ok(Capture::from_reader(&self.name, Box::new(Cursor::new(self.bytes.clone())))?)
    }

    /// Seconds that `each` takes over all packets, and their number.
    pub(super) fn pass(&self, mut each: impl FnMut(&Packet<'_>) -> Result<()>) -> Result<(f64, u64)> {
        let begin = Instant::now();
        let mut capture = self.capture()?;
        while let Some(packet) = capture.next()? {
            each(&packet)?;
        }
        Ok((begin.elapsed().as_secs_f64(), capture.packets()))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let input = Input::open(&arguments.file)?;
    let folder = tempfile::tempdir()?;
    let mut rates = Vec::new();
    let mut add = |name: &'static str, pass: &dyn Fn() -> Result<(f64, u64)>| -> Result<()> {
        let mut best = 0.0f64;
        for _ in 0..arguments.runs.max(1) {
            let (seconds, packets) = pass()?;
            best = best.max(packets as f64 / seconds);
        }
        rates.push((name, best));
        Ok(())
    };
    add("read", &|| input.pass(|packet| Ok(black_box(packet.bytes.len())).map(|_| ())))?;
    add("read + decode", &|| {
        input.pass(|packet| {
            black_box(decode_frame(packet.link, packet.bytes));
            Ok(())
        })
    })?;
    add("read + decode + flow table", &|| {
        let mut table = FlowTable::new(table::Limits::default());
        input.pass(|packet| {
            let frame = decode_frame(packet.link, packet.bytes);
            if let Some(packet) = FlowPacket::of_frame(packet.time_nanos, &frame) {
                table.add(&packet, |event| {
                    black_box(&event);
                });
            }
            Ok(())
        })
    })?;
    for (name, file, format) in [
        ("packet level to CSV", "rows.csv", Format::Csv),
        ("packet level to Parquet", "rows.parquet", Format::Parquet),
    ] {
        add(name, &|| {
            let begin = Instant::now();
            let mut rows = PacketLevel::new(Attacker::Unknown);
            let mut writer = RowWriter::create(&folder.path().join(file), format, Level::Packet)?;
            let (_, packets) = input.pass(|packet| match rows.row(packet) {
                Some(row) => Ok(writer.write(&row.cells())?),
                None => Ok(()),
            })?;
            writer.finish()?;
            Ok((begin.elapsed().as_secs_f64(), packets))
        })?;
    }
    add("uniflow level", &|| {
        let begin = Instant::now();
        let mut level = UniflowLevel::new(Attacker::Unknown, Limits::default());
        let (_, packets) = input.pass(|packet| Ok(level.add(packet)).map(|_| ()))?;
        level.finish().for_each(|row| {
            black_box(row.cells());
        });
        Ok((begin.elapsed().as_secs_f64(), packets))
    })?;
    add("biflow level", &|| {
        let begin = Instant::now();
        let mut level = BiflowLevel::new(Attacker::Unknown, Limits::default());
        let (_, packets) = input.pass(|packet| Ok(level.add(packet)).map(|_| ()))?;
        level.finish().for_each(|row| {
            black_box(row.cells());
        });
        Ok((begin.elapsed().as_secs_f64(), packets))
    })?;

    let (_, packets) = input.pass(|_| Ok(()))?;
    if arguments.json {
        let rates: serde_json::Map<_, _> =
            rates.iter().map(|(name, rate)| ((*name).to_owned(), json!(rate))).collect();
        return show::json(&json!({
            "file": input.name, "packets": packets, "bytes": input.bytes.0.len(), "threads": 1,
            "packets_per_s": rates,
        }));
    }
    show::line(&format!(
        "{}: {} packets, {} bytes; one thread\n",
        input.name,
        count(packets),
        count(input.bytes.0.len() as u64)
    ))?;
    let mut table = show::table(&["", "packets/s"]);
    for (name, rate) in rates {
        table.add_row([name.to_owned(), count(rate as u64)]);
    }
    show::print(&table)
}

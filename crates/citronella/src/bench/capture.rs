//! `citronella bench capture FILE`: packets a second of each part of the data path, on one thread and on several.
//!
//! On several threads each reads the capture and takes, by a hash of their two hosts, its share of the packets; a level's
//! rows then go to a file for each thread. Nothing is handed over: to find a packet costs less than to copy it.

mod parts;

use std::{
    io::{Cursor, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use anyhow::{Context, Result, anyhow};
use citronella_sensor::{
    capture::{Capture, Packet},
    feature::Format,
    flow::Shards,
};
use serde_json::json;

use self::parts::{Biflows, Decode, Flows, Part, Read, Rows, Uniflows};
use crate::show::{self, count};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A capture; it is read into memory first
    file: PathBuf,
    /// Runs of each part; the best counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads of the second column
    #[arg(long, default_value_t = 2)]
    threads: usize,
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
    /// Seconds that a part takes over all packets, and their number.
    fn alone(&self, part: impl Part) -> Result<(f64, u64)> {
        let begin = Instant::now();
        let packets = self.read(part, |_| true)?;
        Ok((begin.elapsed().as_secs_f64(), packets))
    }

    /// The same with a thread for each part.
    fn together<P: Part>(&self, parts: Vec<P>) -> Result<(f64, u64)> {
        let begin = Instant::now();
        let shards = &Shards::new(parts.len());
        let packets = thread::scope(|scope| {
            let share = |(index, part)| {
                scope.spawn(move || self.read(part, |packet| shards.of(packet.link, packet.bytes) == index))
            };
            let threads: Vec<_> = parts.into_iter().enumerate().map(share).collect();
            let results = threads.into_iter().map(|thread| thread.join());
            results.map(|result| result.map_err(|_| anyhow!("a thread has panicked"))?).sum::<Result<u64>>()
        })?;
        Ok((begin.elapsed().as_secs_f64(), packets))
    }

    /// Gives a part those packets that are its own; their number.
    fn read(&self, mut part: impl Part, mut is_own: impl FnMut(&Packet<'_>) -> bool) -> Result<u64> {
        let mut capture = self.capture()?;
        let mut packets = 0;
        while let Some(packet) = capture.next()? {
            if is_own(&packet) {
                packets += 1;
                part.packet(&packet)?;
            }
        }
        part.finish()?;
        Ok(packets)
    }
}

/// Packets a second.
struct Rate {
    name: &'static str,
    alone: f64,
    /// `None` for what is not shared out.
    together: Option<f64>,
}

struct Bench<'a> {
    input: &'a Input,
    runs: usize,
    threads: usize,
}

impl Bench<'_> {
    /// The best of several runs, on one thread and on several.
    fn part<P: Part>(&self, name: &'static str, make: impl Fn(usize) -> Result<P>) -> Result<Rate> {
        let best = |pass: &dyn Fn() -> Result<(f64, u64)>| -> Result<f64> {
            let mut best = 0.0_f64;
            for _ in 0..self.runs.max(1) {
                let (seconds, packets) = pass()?;
                best = best.max(packets as f64 / seconds);
            }
            Ok(best)
        };
        let alone = best(&|| self.input.alone(make(0)?))?;
        let parts = || (0..self.threads).map(&make).collect::<Result<Vec<P>>>();
        let together = match self.threads {
            0 | 1 => None,
            _ => Some(best(&|| self.input.together(parts()?))?),
        };
        Ok(Rate { name, alone, together })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let input = Input::open(&arguments.file)?;
    let folder = tempfile::tempdir()?;
    let bench = Bench { input: &input, runs: arguments.runs, threads: arguments.threads };
    let rows = |format: Format| {
        let folder = folder.path();
        move |thread: usize| Rows::new(&folder.join(format!("rows-{thread}")), format)
    };
    let rates = [
        Bench { threads: 1, ..bench }.part("read", |_| Ok(Read))?,
        bench.part("read + decode", |_| Ok(Decode))?,
        bench.part("read + decode + flow table", |_| Ok(Flows::new()))?,
        bench.part("packet level to CSV", rows(Format::Csv))?,
        bench.part("packet level to Parquet", rows(Format::Parquet))?,
        bench.part("uniflow level", |_| Ok(Uniflows::new()))?,
        bench.part("biflow level", |_| Ok(Biflows::new()))?,
    ];
    let (_, packets) = input.alone(Read)?;
    let size = input.bytes.0.len();
    if arguments.json {
        let alone: serde_json::Map<_, _> =
            rates.iter().map(|rate| (rate.name.to_owned(), json!(rate.alone))).collect();
        let together: serde_json::Map<_, _> =
            rates.iter().filter_map(|rate| Some((rate.name.to_owned(), json!(rate.together?)))).collect();
        return show::json(&json!({
            "file": input.name, "packets": packets, "bytes": size, "cpu": cpu(),
            "packets_per_s": alone, "threads": arguments.threads, "packets_per_s_together": together,
        }));
    }
    show::line(&format!(
        "{}: {} packets, {} bytes; {}; packets/s\n",
        input.name,
        count(packets),
        count(size as u64),
        cpu()
    ))?;
    let threads = format!("{} threads", arguments.threads);
    let mut table = show::table(&["", "1 thread", &threads, "ratio"]);
    for Rate { name, alone, together } in rates {
        let (rate, ratio) = together.map_or_else(Default::default, |together| {
            (count(together as u64), format!("{:.2}", together / alone))
        });
        table.add_row([name.to_owned(), count(alone as u64), rate, ratio]);
    }
    show::print(&table)
}

/// The processor's name, where the system tells it.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.trim().to_owned())
}

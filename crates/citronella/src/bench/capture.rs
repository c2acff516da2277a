//! `citronella bench capture FILE`: packets per second of each stage of the data path, on one thread and on several.
//!
//! Several threads work as in `extract`: they take turns at reading, each owns a shard of the flows, and rows are encoded by
//! the chunk ([adr/0035](../../../../docs/adr/0035-parallel-extraction.md)).

mod parts;

use std::{
    io::{Cursor, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use citronella_sensor::{
    capture::{Capture, Packet},
    feature::Format,
};
use serde_json::json;

use self::parts::Run;
use crate::show::{self, count};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A capture; it is read into memory first
    file: PathBuf,
    /// Runs of each stage; the best counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads of the second column
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Decompressed bytes of a capture, shared by its readers.
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
        // Opened as a capture first, so that another file gives the usual message.
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

    /// Seconds that `process` takes over all packets, and their number.
    pub(super) fn pass(&self, mut process: impl FnMut(&Packet<'_>) -> Result<()>) -> Result<(f64, u64)> {
        let begin = Instant::now();
        let mut capture = self.capture()?;
        while let Some(packet) = capture.next()? {
            process(&packet)?;
        }
        Ok((begin.elapsed().as_secs_f64(), capture.packets()))
    }

    /// Packets per second of a stage.
    fn rate(&self, stage: Run) -> Result<f64> {
        let begin = Instant::now();
        let mut capture = self.capture()?;
        stage(&mut capture)?;
        Ok(capture.packets() as f64 / begin.elapsed().as_secs_f64())
    }
}

/// Packets per second of a stage.
struct Rate {
    name: &'static str,
    one_thread: f64,
    /// `None` if the stage has no version for several threads.
    several_threads: Option<f64>,
}

struct Bench<'a> {
    input: &'a Input,
    runs: usize,
    threads: usize,
}

impl Bench<'_> {
    /// The best of several runs, on one thread and on several.
    fn stage(&self, name: &'static str, stage: impl Fn(usize) -> Result<Run>) -> Result<Rate> {
        let best = |threads: usize| -> Result<f64> {
            (0..self.runs.max(1)).try_fold(0.0_f64, |best, _| Ok(best.max(self.input.rate(stage(threads)?)?)))
        };
        let one_thread = best(1)?;
        let several_threads = if self.threads > 1 { Some(best(self.threads)?) } else { None };
        Ok(Rate { name, one_thread, several_threads })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let input = Input::open(&arguments.file)?;
    let folder = tempfile::tempdir()?;
    let bench = Bench { input: &input, runs: arguments.runs, threads: arguments.threads };
    let file = folder.path().join("rows");
    let rates = [
        Bench { threads: 1, ..bench }.stage("read", parts::read)?,
        bench.stage("read + decode", parts::decode)?,
        bench.stage("read + decode + flow table", parts::flows)?,
        bench.stage("packet level to CSV", |threads| parts::packets(threads, &file, Format::Csv))?,
        bench.stage("packet level to Parquet", |threads| parts::packets(threads, &file, Format::Parquet))?,
        bench.stage("uniflow level", parts::uniflows)?,
        bench.stage("biflow level", parts::biflows)?,
    ];
    let (_, packets) = input.pass(|_| Ok(()))?;
    let size = input.bytes.0.len();
    if arguments.json {
        let alone: serde_json::Map<_, _> =
            rates.iter().map(|rate| (rate.name.to_owned(), json!(rate.one_thread))).collect();
        let together: serde_json::Map<_, _> = rates
            .iter()
            .filter_map(|rate| Some((rate.name.to_owned(), json!(rate.several_threads?))))
            .collect();
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
    for Rate { name, one_thread, several_threads } in rates {
        let (rate, ratio) = several_threads
            .map_or_else(Default::default, |rate| (count(rate as u64), format!("{:.2}", rate / one_thread)));
        table.add_row([name.to_owned(), count(one_thread as u64), rate, ratio]);
    }
    show::print(&table)
}

/// The processor's name from /proc/cpuinfo.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.trim().to_owned())
}

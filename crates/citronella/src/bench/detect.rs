//! `citronella bench detect FILE`: packets a second from capture to verdict, what each stage takes, memory a flow, and how
//! long a packet waits for its verdict.

use std::{hint::black_box, path::PathBuf, time::Instant};

use anyhow::Result;
use citronella_sensor::{
    capture::{Capture, CaptureError, Packet},
    detect::{Batching, Config, Counters, Detector, Shard, Sink},
    feature::sequence::{SequenceLevel, WIDTH, verdict::RunningVerdict},
    flow::{FlowPacket, FlowTable, table},
    pipeline::{Next, Source, run as walk},
};
use citronella_wire::decode_frame;
use serde_json::json;

use super::capture::Input;
use crate::{
    detect::{Rounding, load},
    show::{self, count},
};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A capture; it is read into memory first
    file: PathBuf,
    /// A model of the preset `sequence`; else the one in the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How the LSTM computes
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: Rounding,
    /// Threads: one reads, keeps flows and tells; all step the network
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Runs of each part; the best counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A capture as a source.
struct Memory(Capture);

impl Source for Memory {
    #[inline]
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        Ok(self.0.next()?.map_or(Next::End, Next::Packet))
    }
}

/// Hears nothing.
struct Deaf;

impl Sink for Deaf {}

/// Nanoseconds from a packet's arrival to its verdict.
struct Latency {
    /// By the packet's number; more never wait at a time.
    arrived: Vec<Instant>,
    waited: Vec<u32>,
}

/// More than wait at a time.
const WAITING: usize = 1 << 12;

impl Latency {
    fn new() -> Latency {
        Latency { arrived: vec![Instant::now(); WAITING], waited: Vec::new() }
    }

    fn arrives(&mut self, number: u64) {
        if let Some(at) = self.arrived.get_mut(number as usize % WAITING) {
            *at = Instant::now();
        }
    }

    /// The value that this share of the packets did not exceed, in microseconds.
    fn quantile(&mut self, share: f64) -> f64 {
        let at = (self.waited.len() as f64 * share) as usize;
        let last = self.waited.len().saturating_sub(1);
        match self.waited.is_empty() {
            true => 0.0,
            false => f64::from(*self.waited.select_nth_unstable(at.min(last)).1) / 1e3,
        }
    }
}

impl Sink for Latency {
    fn scored(&mut self, number: u64, _: u64, _: &[f32]) {
        if let Some(at) = self.arrived.get(number as usize % WAITING) {
            self.waited.push(at.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32);
        }
    }
}

struct Measured {
    /// Nanoseconds a packet: read, decode, flow table, features, LSTM, verdict.
    stages: [(&'static str, f64); 6],
    packets_per_s: f64,
    counters: Counters,
    bytes_per_flow: usize,
    /// Microseconds, of half, 99 % and 99.9 % of the packets.
    latency: [f64; 3],
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let input = Input::open(&arguments.file)?;
    let detector = load(arguments.model.as_deref(), arguments.precision)?;
    let measured = measure(&input, &detector, arguments)?;
    if arguments.json {
        show::json(&document(&input, arguments, &measured))
    } else {
        print(&input, arguments, &measured)
    }
}

fn measure(input: &Input, detector: &Detector, arguments: &Arguments) -> Result<Measured> {
    let runs = arguments.runs.max(1);
    let best = |pass: &dyn Fn() -> Result<(f64, u64)>| -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..runs {
            let (seconds, packets) = pass()?;
            best = best.min(seconds / packets.max(1) as f64);
        }
        Ok(best * 1e9)
    };
    let read = best(&|| input.pass(|packet| Ok(black_box(packet.bytes.len())).map(|_| ())))?;
    let decode = best(&|| {
        input.pass(|packet| {
            black_box(decode_frame(packet.link, packet.bytes));
            Ok(())
        })
    })?;
    let flow = best(&|| {
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
    let config = Config { batching: Batching::RECORDED, ..Config::default() };
    let features = best(&|| {
        let mut level = SequenceLevel::new(config.sequence);
        input.pass(|packet| {
            black_box(level.packet(packet));
            Ok(())
        })
    })?;
    let on = |threads: usize| {
        let config = Config { threads, ..config };
        best(&|| {
            let begin = Instant::now();
            let mut shard = Shard::new(detector, config)?;
            walk(&mut Memory(input.capture()?), &mut shard, &mut Deaf, |_| ())?;
            Ok((begin.elapsed().as_secs_f64(), shard.counters().packets))
        })
    };
    let one = on(1)?;
    let verdict = verdict_nanos(detector);
    let whole = if arguments.threads <= 1 { one } else { on(arguments.threads)? };
    // As a live capture does, but that packets follow one another as fast as they are taken.
    let batching = Batching { wait_nanos: Batching::RECORDED.wait_nanos, ..Batching::default() };
    let mut shard = Shard::new(detector, Config { batching, ..config })?;
    let mut latency = Latency::new();
    input.pass(|packet: &Packet<'_>| {
        latency.arrives(packet.number);
        Ok(shard.packet(packet, &mut latency)?)
    })?;
    shard.finish(&mut latency)?;
    let stages = [
        ("read", read),
        ("decode", decode - read),
        ("flow table", flow - decode),
        ("features", features - flow),
        ("lstm", one - features - verdict),
        ("verdict", verdict),
    ];
    Ok(Measured {
        stages: stages.map(|(name, nanos)| (name, nanos.max(0.0))),
        packets_per_s: 1e9 / whole,
        counters: shard.counters(),
        bytes_per_flow: shard.bytes_per_flow(),
        latency: [0.5, 0.99, 0.999].map(|share| latency.quantile(share)),
    })
}

/// Nanoseconds that probabilities take to become a verdict.
fn verdict_nanos(detector: &Detector) -> f64 {
    const STEPS: u32 = 1 << 20;
    let classes = detector.classes().len();
    let (mut running, mut out, row) = (RunningVerdict::default(), vec![0.0; classes], [0.0; WIDTH]);
    let begin = Instant::now();
    for step in 0..STEPS {
        let benign = (step % 97) as f32 / 97.0;
        out.fill((1.0 - benign) / (classes - 1).max(1) as f32);
        out.first_mut().into_iter().for_each(|first| *first = benign);
        let beyond = detector.beyond(black_box(&row));
        black_box(running.step(&out, beyond, detector.settings()));
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(STEPS)
}

fn document(input: &Input, arguments: &Arguments, measured: &Measured) -> serde_json::Value {
    let stages: serde_json::Map<_, _> =
        measured.stages.iter().map(|(name, nanos)| ((*name).to_owned(), json!(nanos))).collect();
    let [p50, p99, p999] = measured.latency;
    json!({
        "file": input.name(),
        "packets": measured.counters.packets,
        "flows": measured.counters.flows,
        "threads": arguments.threads.max(1),
        "precision": arguments.precision.name(),
        "packets_per_s": measured.packets_per_s,
        "nanoseconds_per_packet": stages,
        "bytes_per_flow": measured.bytes_per_flow,
        "latency_us": { "p50": p50, "p99": p99, "p99_9": p999 },
    })
}

fn print(input: &Input, arguments: &Arguments, measured: &Measured) -> Result<()> {
    let (threads, precision) = (arguments.threads.max(1), arguments.precision.name());
    show::line(&format!(
        "{}: {} packets, {} flows; {threads} thread(s), {precision}\n",
        input.name(),
        count(measured.counters.packets),
        count(measured.counters.flows)
    ))?;
    let mut table = show::pairs();
    let mut line = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    line("from capture to verdict", format!("{} packets/s", count(measured.packets_per_s as u64)));
    for (name, nanos) in measured.stages {
        line(&format!("  {name}, one thread"), format!("{nanos:.0} ns a packet"));
    }
    line("memory", format!("{} bytes a flow", measured.bytes_per_flow));
    for (name, micros) in ["50 %", "99 %", "99.9 %"].iter().zip(measured.latency) {
        line(&format!("verdict within, for {name} of the packets"), format!("{micros:.0} us"));
    }
    show::print(&table)
}

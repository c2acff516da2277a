//! `citronella bench lstm`: milliseconds per training step, sequences and streaming steps per second, share of the peak.

use anyhow::Result;
use citronella_nn::{
    Precision,
    bench::{Report, Setup, run as measure},
};
use serde_json::json;

use crate::show::{self, count};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Steps per sequence
    #[arg(long, default_value_t = 26)]
    steps: usize,
    /// Values per step
    #[arg(long, default_value_t = 1)]
    features: usize,
    /// LSTM units
    #[arg(long, default_value_t = 64)]
    hidden: usize,
    /// Threads for training and for batch inference; streaming runs on one
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Minimum seconds for each figure
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let setup = Setup {
        steps: arguments.steps,
        features: arguments.features,
        hidden: arguments.hidden,
        threads: arguments.threads.max(1),
        seconds: arguments.seconds,
        ..Setup::default()
    };
    let report = measure(&setup)?;
    if arguments.json { show::json(&document(&report)) } else { print(&report) }
}

fn document(report: &Report) -> serde_json::Value {
    let setup = &report.setup;
    let streaming = report.streaming.iter().map(|rates| {
        json!({
            "precision": precision(rates.precision), "conversations": rates.conversations,
            "one_by_one_steps_per_s": rates.single_steps,
            "micro_batch_steps_per_s": rates.micro_batches,
        })
    });
    json!({
        "steps": setup.steps, "features": setup.features, "hidden": setup.hidden, "threads": setup.threads,
        "simd": report.simd,
        "train_ms": report.train_ms, "train_best_ms": report.train_best_ms,
        "train_gflops": report.train_gflops, "peak_gflops": report.peak_gflops,
        "share_of_peak": report.share_of_peak,
        "infer_1_per_s": report.infer_1, "infer_32_per_s": report.infer_32, "infer_1024_per_s": report.infer_1024,
        "state_bytes_per_conversation": report.state_bytes,
        "streaming": streaming.collect::<Vec<_>>(),
    })
}

fn print(report: &Report) -> Result<()> {
    let setup = &report.setup;
    show::line(&format!(
        "LSTM({}) + dense(5), {} steps x {}, batch 32, {} thread(s), {}\n",
        setup.hidden, setup.steps, setup.features, setup.threads, report.simd
    ))?;
    let mut table = show::pairs();
    let mut line = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    line("training step, median", format!("{:.3} ms", report.train_ms));
    line("training step, best", format!("{:.3} ms", report.train_best_ms));
    line("matrix products in training", format!("{:.1} GFLOP/s", report.train_gflops));
    line(
        "share of the FMA peak",
        format!("{} of {:.0} GFLOP/s", show::percent(report.share_of_peak), report.peak_gflops),
    );
    for (batch, rate) in [(1, report.infer_1), (32, report.infer_32), (1024, report.infer_1024)] {
        line(&format!("inference, batch {batch}"), format!("{} sequences/s", count(rate as u64)));
    }
    line("state per conversation", format!("{} bytes", report.state_bytes));
    show::print(&table)?;
    let mut table = show::table(&["streaming, one thread", "precision", "conversations", "steps/s"]);
    for rates in &report.streaming {
        let (conversations, precision) =
            (count(rates.conversations as u64), precision(rates.precision).to_owned());
        table.add_row([
            "single steps".to_owned(),
            precision.clone(),
            conversations.clone(),
            count(rates.single_steps as u64),
        ]);
        table.add_row([
            "micro-batches of 48".to_owned(),
            precision,
            conversations,
            count(rates.micro_batches as u64),
        ]);
    }
    show::print(&table)
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
    }
}

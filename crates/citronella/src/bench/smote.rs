//! `citronella bench smote`: seconds to balance a data set of the LSTM paper's size.

use anyhow::Result;
use citronella_learn::prepare::bench::{CLASS_ROWS, INPUTS, smote};
use serde_json::json;

use crate::show::{self, count};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Runs; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads; 0 uses all cores. The result does not depend on it
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let times = smote(arguments.runs.max(1), arguments.threads);
    if arguments.json {
        return show::json(&json!({
            "class_rows": CLASS_ROWS, "inputs": INPUTS, "synthetic": times.synthetic, "neighbours": 5,
            "threads": arguments.threads, "seconds": times.seconds, "median_s": times.median(),
        }));
    }
    show::line(&format!(
        "SMOTE (k = 5): {} rows x {INPUTS} in five classes, {} synthetic rows: {:.3} s (median of {})",
        count(times.rows as u64),
        count(times.synthetic as u64),
        times.median(),
        times.seconds.len()
    ))
}

//! `citronella bench`: measures speed on this machine.

mod capture;
mod detect;
mod lstm;
mod smote;

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Measure training, inference and streaming of the LSTM
    Lstm(lstm::Arguments),
    /// Measure reading, decoding, flow tracking and feature levels of a capture, in packets a second
    Capture(capture::Arguments),
    /// Measure the balancing of classes in training rows (SMOTE)
    Smote(smote::Arguments),
    /// Measure detection from capture to verdict: packets a second, stages, memory a flow, latency
    Detect(detect::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Lstm(arguments) => lstm::run(arguments),
        What::Capture(arguments) => capture::run(arguments),
        What::Smote(arguments) => smote::run(arguments),
        What::Detect(arguments) => detect::run(arguments),
    }
}

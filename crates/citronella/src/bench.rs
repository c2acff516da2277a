//! `citronella bench`: how fast this machine is, measured here and now.

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
    /// Training, inference and streaming of the LSTM
    Lstm(lstm::Arguments),
    /// Reading, decoding, flows and feature levels of a capture, in packets a second
    Capture(capture::Arguments),
    /// Balancing the classes of training rows
    Smote(smote::Arguments),
    /// From capture to verdict: packets a second, stages, memory a flow, latency
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

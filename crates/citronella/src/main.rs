//! Citronella's command line: each subcommand is a file of this crate, named after it.

mod extract;
mod inspect;
mod progress;
mod show;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

/// Intrusion detection for MQTT networks, with an LSTM over packets.
#[derive(Parser)]
#[command(name = "citronella", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What is in a capture: hosts, flows, MQTT messages
    Inspect(inspect::Arguments),
    /// Feature rows from captures, as CSV or Parquet
    Extract(extract::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("CITRONELLA_LOG"))
        .with_writer(io::stderr)
        .init();
    let done = match arguments.command {
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Extract(arguments) => extract::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough: `citronella extract ... | head` is no error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("citronella: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

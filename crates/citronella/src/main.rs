//! The command line: `citronella COMMAND` calls `run` of the module named after the command.
//!
//! Results go to stdout, log messages to stderr. Exit code: 0 on success, 1 if `detect --fail-on-alert` raised
//! an alert or `audit --strict` found something fatal, 2 on an error, which is logged in one line.

#![forbid(unsafe_code)]

mod audit;
mod bench;
mod card;
mod compare;
mod config;
mod demo;
mod detect;
mod embedded;
mod evaluate;
mod explain;
mod export;
mod extract;
mod flows;
mod inspect;
mod logging;
mod output_path;
mod packet_filter;
mod present;
mod progress;
#[cfg(target_os = "linux")]
mod sandbox;
mod show;
mod train;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing::error;

/// Intrusion detection for MQTT networks, with an LSTM over packets.
#[derive(Parser)]
#[command(name = "citronella", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logging: logging::LogArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Summarize captures: hosts, flows, MQTT messages
    Inspect(inspect::Arguments),
    /// Extract feature rows from captures, as CSV or Parquet
    Extract(extract::Arguments),
    /// Train a model from a preset
    Train(train::Arguments),
    /// Evaluate a model on data that it was not trained on
    Evaluate(evaluate::Arguments),
    /// Detect attacks in captures or in live traffic
    Detect(detect::Arguments),
    /// Compare the models of the literature on the same rows, with the published and an honest protocol
    Compare(compare::Arguments),
    /// Audit a data set for shortcuts and leaks
    Audit(audit::Arguments),
    /// Explain which inputs led to a flow's verdict
    Explain(explain::Arguments),
    /// Print a model's card: data, metrics, limits
    Card(card::Arguments),
    /// Check a configuration file of detect, or print all keys
    Config(config::Arguments),
    /// Export a trained network for other runtimes
    Export(export::Arguments),
    /// Measure the speed of training and detection on this machine
    Bench(bench::Arguments),
    /// Train, evaluate and report on the embedded captures in one run
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.logging.install();
    let done = match arguments.command {
        Command::Detect(arguments) => {
            let fail_on_alert = arguments.fail_on_alert;
            match detect::run(arguments) {
                Ok(detect::Outcome::Alerts) if fail_on_alert => return ExitCode::FAILURE,
                done => done.map(|_| ()),
            }
        }
        Command::Audit(arguments) => match audit::run(&arguments) {
            Ok(audit::Outcome::Fatal) if arguments.strict => return ExitCode::FAILURE,
            done => done.map(|_| ()),
        },
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Extract(arguments) => extract::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Card(arguments) => card::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // A closed stdout, as in `citronella extract ... | head`, is not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", in_one_line(&error));
            ExitCode::from(2)
        }
    }
}

/// The error and its causes in one line, without causes that the text already contains.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

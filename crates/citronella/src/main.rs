//! Citronella's command line: each subcommand is a file of this crate, named after it.

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
mod only;
mod place;
mod present;
mod progress;
#[cfg(target_os = "linux")]
mod sandbox;
mod show;
mod train;

use std::{io, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    /// Train a model by a preset
    Train(train::Arguments),
    /// Score a model on data that it has not seen
    Evaluate(evaluate::Arguments),
    /// Look for attacks in captures
    Detect(detect::Arguments),
    /// Every model of the literature on the same rows, as published and honestly
    Compare(compare::Arguments),
    /// Shortcuts and leaks in a data set
    Audit(audit::Arguments),
    /// What moved a flow's verdict
    Explain(explain::Arguments),
    /// What a model says about itself: data, figures, limits
    Card(card::Arguments),
    /// The configuration of detect: check a file, or show all keys
    Config(config::Arguments),
    /// A trained network for other runtimes
    Export(export::Arguments),
    /// How fast this machine is
    Bench(bench::Arguments),
    /// The whole story on the embedded captures, in one go
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    // Which arguments were given: only those go before a configuration file.
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match arguments.command {
        Command::Detect(mut arguments) => match detect::run(&mut arguments, &matches) {
            Ok(detect::Found::Alerts) if arguments.fail_on_alert => return ExitCode::FAILURE,
            done => done.map(|_| ()),
        },
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
        // Whoever read our output has seen enough: `citronella extract ... | head` is no error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            show::complain(&format!("citronella: {}", in_one_line(&error)));
            ExitCode::from(2)
        }
    }
}

/// The error and its causes; a cause that the error already tells is not told twice.
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

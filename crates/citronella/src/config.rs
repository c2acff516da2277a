//! `citronella config`: the configuration of `detect`, checked or shown with its defaults.

mod file;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
pub(crate) use file::{CaptureSection, Configuration};

use crate::show;

/// All keys, their defaults and meaning.
const DEFAULTS: &str = include_str!("config/default.toml");

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Read a configuration file and say what is wrong with it
    Check {
        /// A TOML file
        file: PathBuf,
    },
    /// All keys, their defaults and meaning, as a TOML file to begin with
    Show,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Check { file } => {
            let configuration = Configuration::load(file)?;
            configuration.check_filter(file)?;
            let detector =
                crate::detect::load(configuration.detect.model.as_deref(), crate::detect::Rounding::F32)?;
            configuration.check_names(file, detector.classes())?;
            show::line(&format!("{}: is good", file.display()))
        }
        What::Show => show::line(DEFAULTS.trim_end()),
    }
}

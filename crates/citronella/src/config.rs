//! `citronella config`: checks a configuration file of `detect`, or prints one with all keys and defaults.

use std::path::{Path, PathBuf};

use anyhow::Result;
use citronella_config::{ConfigFile, DEFAULT_TOML};
use clap::Subcommand;

use crate::{detect, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check a configuration file
    Check {
        /// A TOML file
        file: PathBuf,
    },
    /// Print a TOML file with every key, its default and its meaning
    Show,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Check { file } => check(file),
        Action::Show => show::line(DEFAULT_TOML.trim_end()),
    }
}

fn check(path: &Path) -> Result<()> {
    let file = ConfigFile::load(path)?;
    file.compile_filter(path)?;
    let detector = detect::load(file.detect.model.as_deref(), Default::default())?;
    file.check_class_names(path, detector.classes())?;
    show::line(&format!("{}: valid configuration", path.display()))
}

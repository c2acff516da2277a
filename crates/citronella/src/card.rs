//! `citronella card`: a model's card as Markdown. docs/model-card.md is the embedded model's.

use std::path::PathBuf;

use anyhow::Result;
use citronella_learn::card::markdown;
use citronella_sensor::{detect::ModelFile, output::write_file};

use crate::{embedded, output_path, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A model file from `train` [default: the embedded model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Write the page to a file instead of stdout
    #[arg(short, long, value_name = "FILE.md")]
    output: Option<PathBuf>,
    /// Print the card as stored in the file, as one JSON document
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (name, model) = match &arguments.model {
        Some(path) => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            (name, ModelFile::load(path)?)
        }
        None => ("the embedded model".to_owned(), embedded::sequence_model()?),
    };
    if arguments.json {
        return show::json(&model.card);
    }
    let text = markdown(&name, &model)?;
    match &arguments.output {
        Some(path) => {
            output_path::check(path)?;
            Ok(write_file(path, text.as_bytes())?)
        }
        None => show::line(text.trim_end()),
    }
}

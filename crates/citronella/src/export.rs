//! `citronella export --format onnx MODEL`: a trained network for other runtimes.

use std::path::PathBuf;

use anyhow::{Context, Result};
use citronella_nn::onnx;
use citronella_sensor::{detect::ModelFile, output::write_file};

use crate::{output_path, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Output format
    #[arg(long, value_enum)]
    format: FormatName,
    /// A model file from `train`
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The file to write [default: the model's name with .onnx]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatName {
    /// ONNX, opset 17; the metadata holds the model's card with encoding and scaling of the inputs
    Onnx,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let model = ModelFile::load(&arguments.model)?;
    let FormatName::Onnx = arguments.format;
    let card = serde_json::to_string(&model.card).context("the model's card cannot be written as JSON")?;
    let bytes = onnx::model(&model.network, &[("citronella".to_owned(), card)])?;
    let output = arguments.output.clone().unwrap_or_else(|| arguments.model.with_extension("onnx"));
    output_path::check(&output)?;
    write_file(&output, &bytes)?;
    let card = &model.card;
    let width = card
        .encoder()
        .map_err(|problem| anyhow::anyhow!("{}: {problem}", arguments.model.display()))?
        .width();
    show::line(&format!(
        "{}: input x, float (batch, {} steps, {} inputs); output probabilities, float (batch, {}): {}",
        output.display(),
        card.network.steps(width),
        card.network.inputs(width),
        card.network.outputs,
        if card.network.outputs == 1 { "attack".to_owned() } else { card.classes.join(", ") }
    ))
}

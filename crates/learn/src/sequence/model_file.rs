//! Model files of the preset `sequence`.

use citronella_nn::{LossAt, Network, Spec};
use citronella_sensor::{
    detect::{Card, FORMAT, Input, ModelError, ModelFile, NetworkCard, Op, RowRule, Shape},
    feature::{
        schema::Level,
        sequence::{SEQUENCE, verdict::Settings},
    },
};
use serde_json::{Value, json};

use super::{MemoryCapture, Options, Recording, SequenceError};
use crate::dataset::CLASSES;

/// The preset's name on the command line and in the card.
pub const PRESET: &str = "sequence";

/// Builds the model file of a network with given settings, without figures in its card.
///
/// # Errors
/// The network does not have the shape of the options.
pub fn model_file(
    network: &Network,
    recordings: &[&Recording],
    options: &Options,
    settings: &Settings,
) -> Result<ModelFile, SequenceError> {
    with_metrics(network, recordings, options, settings, Value::Null)
}

/// As [`model_file`], with figures.
pub(super) fn with_metrics(
    network: &Network,
    recordings: &[&Recording],
    options: &Options,
    settings: &Settings,
    metrics: Value,
) -> Result<ModelFile, SequenceError> {
    // The level's values are between 0 and 1 already.
    let identity = Op::Standardise { mean: 0.0, std: 1.0 };
    let inputs = SEQUENCE.iter().map(|column| Input { column: column.name.to_owned(), op: identity.clone() });
    let card = Card {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        preset: PRESET.to_owned(),
        level: Level::Sequence.name().to_owned(),
        classes: CLASSES.iter().map(|class| (*class).to_owned()).collect(),
        inputs: inputs.collect(),
        rows: RowRule { required: Vec::new(), rows_per_file: None },
        network: NetworkCard { shape: Shape::Rows, lstm: options.hidden.clone(), outputs: CLASSES.len() },
        seed: options.seed,
        data: recordings.iter().flat_map(|r| &r.captures).map(MemoryCapture::data_file).collect(),
        training: json!({ "options": options, "verdict": settings }),
        metrics,
    };
    Ok(ModelFile { network: for_detection(network, card.spec())?, card })
}

/// The settings in a model's card.
///
/// # Errors
/// The card is not of this preset.
pub fn settings_of(card: &Card) -> Result<Settings, SequenceError> {
    let stored = card.training.get("verdict").cloned().unwrap_or_default();
    serde_json::from_value(stored).map_err(|error| {
        let problem = format!("its card has no settings for verdicts ({error})");
        ModelError::Card { file: "the model".into(), problem }.into()
    })
}

/// A copy of the network in the shape that detection needs, without the loss after every step.
fn for_detection(network: &Network, spec: Spec) -> Result<Network, SequenceError> {
    let tensors = network.tensors();
    let spec = Spec { loss_at: LossAt::LastStep, ..spec };
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    Ok(Network::from_tensors(spec, get)?)
}

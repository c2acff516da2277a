//! The model file: one safetensors file, weights as tensors, everything else as JSON in its metadata.
//!
//! In: bytes, or a trained network with its card. Out: a [`ModelFile`] whose parts fit each other, or an error that
//! says what does not. The bytes of a model are a function of the model: the same training gives the same file.

use std::{collections::HashMap, fs, path::Path};

use citronella_nn::{LossAt, Network, Spec};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Card, Encoder, FORMAT, ModelError};
use crate::{feature::schema::Level, output::write_file};

/// The metadata entry that holds the card.
const ENTRY: &str = "citronella";

/// The levels that a model may read.
const LEVELS: [Level; 7] = [
    Level::Packet,
    Level::Uniflow,
    Level::UniflowExtended,
    Level::Biflow,
    Level::BiflowExtended,
    Level::Sequence,
    Level::NslKdd,
];

/// A model: its card and its network.
#[derive(Clone)]
pub struct ModelFile {
    /// Everything but the weights.
    pub card: Card,
    /// The network.
    pub network: Network,
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("card", &self.card).finish_non_exhaustive()
    }
}

impl Card {
    /// The network that the card describes.
    pub fn spec(&self) -> Spec {
        Spec {
            inputs: self.network.inputs(self.inputs.len()),
            hidden: self.network.lstm.clone(),
            outputs: self.network.outputs,
            dropout: 0.0,
            batch_norm: false,
            loss_at: LossAt::LastStep,
        }
    }

    /// The feature level of its rows; `None` where this program does not have it.
    pub fn level(&self) -> Option<Level> {
        LEVELS.into_iter().find(|level| level.name() == self.level)
    }

    /// Its inputs bound to the level's columns.
    ///
    /// # Errors
    /// What does not match, as text.
    pub fn encoder(&self) -> Result<Encoder, String> {
        let level = self.level().ok_or_else(|| format!("there is no feature level {:?}", self.level))?;
        Encoder::new(level, &self.inputs, &self.rows.required)
            .map_err(|column| format!("{column} is not a column of the {} level", level.name()))
    }

    fn check(&self) -> Result<(), String> {
        let encoder = self.encoder()?;
        if encoder.width() == 0 {
            return Err("it has no inputs".into());
        }
        let outputs = if self.network.outputs == 1 { 2 } else { self.network.outputs };
        if outputs != self.classes.len() {
            return Err(format!("{} outputs for {} classes", self.network.outputs, self.classes.len()));
        }
        Ok(())
    }
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    /// The file cannot be read, is not a complete safetensors file, was written by another program or for another format
    /// version, or its weights do not fit its description.
    pub fn load(path: &Path) -> Result<ModelFile, ModelError> {
        let file = path.display().to_string();
        let bytes = fs::read(path).map_err(|source| ModelError::Read { file: file.clone(), source })?;
        ModelFile::from_bytes(&file, &bytes)
    }

    /// Reads a model from memory; `file` names it in errors.
    ///
    /// # Errors
    /// As [`ModelFile::load`].
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<ModelFile, ModelError> {
        let file = || file.to_owned();
        let broken = |error: safetensors::SafeTensorError| ModelError::NotSafetensors {
            file: file(),
            problem: error.to_string(),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let entry = header.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let json = entry.ok_or_else(|| ModelError::NotOurs { file: file() })?;
        let card = read_card(json, file())?;
        card.check().map_err(|problem| ModelError::Card { file: file(), problem })?;
        let weights =
            read_weights(&tensors).map_err(|problem| ModelError::Weights { file: file(), problem })?;
        let network = Network::from_tensors(card.spec(), |name| weights.get(name).cloned())
            .map_err(|error| ModelError::Weights { file: file(), problem: error.to_string() })?;
        Ok(ModelFile { card, network })
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// The card cannot be written as JSON, or the model has weights that are not numbers.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let file = || "the new model".to_owned();
        let problem = |problem: String| ModelError::Card { file: file(), problem };
        let card = serde_json::to_string(&self.card).map_err(|e| problem(e.to_string()))?;
        let tensors = self.network.tensors();
        if let Some((name, ..)) = tensors.iter().find(|(_, _, values)| values.iter().any(|v| !v.is_finite()))
        {
            let problem =
                format!("training made {name} infinite or not a number; try a smaller learning rate");
            return Err(ModelError::Weights { file: file(), problem });
        }
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|e| problem(e.to_string()))?;
        let metadata = HashMap::from([(ENTRY.to_owned(), card)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| problem(e.to_string()))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// As [`ModelFile::to_bytes`], or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        Ok(write_file(path, &self.to_bytes()?)?)
    }
}

fn read_card(json: &str, file: String) -> Result<Card, ModelError> {
    let value: serde_json::Value = match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => return Err(ModelError::Card { file, problem: error.to_string() }),
    };
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(FORMAT) => serde_json::from_value(value)
            .map_err(|error| ModelError::Card { file, problem: error.to_string() }),
        Some(found) => {
            let program =
                value.get("program").and_then(|p| p.as_str()).unwrap_or("of unknown version").to_owned();
            Err(ModelError::Version { file, found, program })
        }
        None => Err(ModelError::Card { file, problem: "it has no format version".into() }),
    }
}

type Weights = HashMap<String, (Vec<usize>, Vec<f32>)>;

fn read_weights(tensors: &SafeTensors<'_>) -> Result<Weights, String> {
    let mut weights = Weights::new();
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor {name} is {:?}, expected F32", view.dtype()));
        }
        let values: Vec<f32> =
            view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(format!("tensor {name} holds infinity or not a number at index {at}"));
        }
        weights.insert(name.to_owned(), (view.shape().to_vec(), values));
    }
    Ok(weights)
}

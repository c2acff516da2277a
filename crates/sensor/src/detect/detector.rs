//! A model of the sequence level, ready to score packets.

use std::sync::Arc;

use citronella_nn::{Error, Network, Precision, States, Stepper};

use super::{Encoder, ModelError, ModelFile, Op, Reason, Value, reasons};
use crate::feature::{
    schema::Level,
    sequence::{
        SEQUENCE, WIDTH,
        unknown::NO_EXCESS,
        verdict::{MAX_CLASSES, Settings},
    },
};

/// Features that a finding lists as reasons.
const MAX_REASONS: usize = 5;

/// A model of the sequence level: network, classes, and how probabilities become verdicts.
#[derive(Clone)]
pub struct Detector {
    network: Network,
    settings: Settings,
    classes: Arc<[String]>,
    inputs: Inputs,
    names: Arc<[String]>,
    precision: Precision,
}

/// How a row becomes the network's input.
#[derive(Clone)]
enum Inputs {
    /// The row unchanged.
    Row,
    /// Selected or scaled columns.
    Encoded(Encoder),
}

impl Detector {
    /// Makes a detector from a model file; `file` names it in errors.
    ///
    /// # Errors
    /// The model reads rows of another level, has more than [`MAX_CLASSES`] classes, or its card has no verdict
    /// settings or a different number of thresholds.
    pub fn new(file: &str, model: &ModelFile) -> Result<Detector, ModelError> {
        let card = &model.card;
        let refuse = |problem: String| ModelError::NotADetector { file: file.to_owned(), problem };
        if card.level() != Some(Level::Sequence) {
            return Err(refuse(format!("it reads rows of the level {}", card.level)));
        }
        if card.network.outputs != card.classes.len() || card.classes.len() > MAX_CLASSES {
            let (outputs, classes) = (card.network.outputs, card.classes.len());
            return Err(refuse(format!(
                "it has {outputs} outputs for {classes} classes (at most {MAX_CLASSES})"
            )));
        }
        let stored = card.training.get("verdict").cloned().unwrap_or_default();
        let settings: Settings = serde_json::from_value(stored)
            .map_err(|error| refuse(format!("its card has no verdict settings ({error})")))?;
        let (thresholds, classes) = (settings.thresholds.len(), card.classes.len());
        if thresholds != classes {
            return Err(refuse(format!("it has {thresholds} thresholds for {classes} classes")));
        }
        let plain = Op::Standardise { mean: 0.0, std: 1.0 };
        let columns = Level::Sequence.columns();
        let is_unchanged = card.inputs.len() == columns.len()
            && card
                .inputs
                .iter()
                .zip(columns)
                .all(|(input, column)| input.column == column.name && input.op == plain);
        let inputs =
            if is_unchanged { Inputs::Row } else { Inputs::Encoded(card.encoder().map_err(refuse)?) };
        Ok(Detector {
            network: model.network.clone(),
            settings,
            classes: card.classes.clone().into(),
            inputs,
            names: card.inputs.iter().map(super::Input::name).collect(),
            precision: Precision::F32,
        })
    }

    /// The same detector in another precision.
    ///
    /// # Errors
    /// This CPU or this network does not support it.
    pub fn with_precision(self, precision: Precision) -> Result<Detector, Error> {
        Stepper::new(&self.network, precision)?;
        Ok(Detector { precision, ..self })
    }

    /// Class names, benign traffic first.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How probabilities become verdicts.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same detector with other settings.
    pub fn with_settings(self, settings: Settings) -> Detector {
        Detector { settings, ..self }
    }

    /// The precision of the network.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Names of the network's inputs, in order.
    pub fn inputs(&self) -> &[String] {
        &self.names
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network with the temperature folded into its weights, so that its probabilities are calibrated.
    ///
    /// # Errors
    /// As [`Network::with_temperature`].
    pub fn calibrated(&self) -> Result<Network, Error> {
        match self.settings.temperature {
            temperature if temperature == 1.0 || temperature <= 0.0 => Ok(self.network.clone()),
            temperature => self.network.with_temperature(temperature),
        }
    }

    /// A stepper of the calibrated network, for one thread.
    pub(super) fn stepper(&self) -> Result<Stepper, Error> {
        Stepper::new(&self.calibrated()?, self.precision)
    }

    /// Appends the network's input for a row.
    #[inline]
    pub(super) fn encode(&self, row: &[f32; WIDTH], x: &mut Vec<f32>) {
        match &self.inputs {
            Inputs::Row => x.extend_from_slice(row),
            Inputs::Encoded(encoder) => {
                let at = x.len();
                x.resize(at + encoder.width(), 0.0);
                let value =
                    |column: usize| row.get(column).map_or(Value::Empty, |&x| Value::Number(x.into()));
                encoder.encode(value, x.get_mut(at..).unwrap_or_default());
            }
        }
    }

    /// How far the initiator exceeds benign hosts, from the network's input; `NO_EXCESS` where the model has no limits, or
    /// selects or scales its inputs.
    #[inline]
    pub fn beyond(&self, x: &[f32]) -> f32 {
        match (&self.inputs, &self.settings.unknown, x.first_chunk()) {
            (Inputs::Row, Some(unknown), Some(row)) => unknown.limits.excess(row),
            _ => NO_EXCESS,
        }
    }

    /// The inputs that exceed those of benign hosts, by index, largest first, with the natural logarithm of the ratio to
    /// the highest benign value.
    pub fn exceeded(&self, x: &[f32]) -> Vec<(usize, f32)> {
        match (&self.inputs, &self.settings.unknown, x.first_chunk()) {
            (Inputs::Row, Some(unknown), Some(row)) => unknown.limits.exceeded(row),
            _ => Vec::new(),
        }
    }

    /// The features of the latest packet that contributed most to the verdict: for an attack by their effect on the
    /// log-odds, for "unknown" by how far they exceed benign hosts. None where the model selects or scales its inputs.
    pub(super) fn reasons(
        &self,
        (stepper, states): (&mut Stepper, &mut States),
        slot: u32,
        x: &[f32],
        class: u32,
    ) -> Vec<Reason> {
        let reason = |(index, weight): (usize, f32)| {
            Some(Reason { column: SEQUENCE.get(index)?, value: *x.get(index)?, weight })
        };
        match &self.inputs {
            _ if class as usize == self.classes.len() => {
                self.exceeded(x).into_iter().filter_map(reason).take(MAX_REASONS).collect()
            }
            Inputs::Row => reasons(stepper, states, slot, x, &SEQUENCE, MAX_REASONS).unwrap_or_default(),
            Inputs::Encoded(_) => Vec::new(),
        }
    }
}

//! The architecture of a network.

use crate::Error;

/// The steps at which the loss is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossAt {
    /// After the last step only: one prediction per sequence.
    LastStep,
    /// After every step: a prediction at each.
    EveryStep,
}

/// Stacked LSTM layers and a dense head.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Values per step.
    pub inputs: usize,
    /// Units of each LSTM layer, from the input upwards.
    pub hidden: Vec<usize>,
    /// Units of the head: 1 = sigmoid (two classes), more = softmax.
    pub outputs: usize,
    /// Dropout rate of each LSTM layer's outputs in training, in [0, 1).
    pub dropout: f32,
    /// Batch normalisation of each LSTM layer's outputs, before dropout.
    pub batch_norm: bool,
    /// The steps at which the loss is computed.
    pub loss_at: LossAt,
}

impl Spec {
    /// One layer, loss at the last step, no dropout: the paper's model.
    pub fn new(inputs: usize, hidden: usize, outputs: usize) -> Spec {
        Spec {
            inputs,
            hidden: vec![hidden],
            outputs,
            dropout: 0.0,
            batch_norm: false,
            loss_at: LossAt::LastStep,
        }
    }

    /// Number of classes: two for one sigmoid output.
    pub fn classes(&self) -> u32 {
        self.outputs.max(2) as u32
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let fault = |text: &str| Err(Error::Spec(text.to_string()));
        if self.inputs == 0 || self.outputs == 0 || self.hidden.is_empty() || self.hidden.contains(&0) {
            return fault("inputs, outputs and every layer's units must be 1 or more");
        }
        let sizes = self.hidden.iter().chain([&self.inputs, &self.outputs]);
        if sizes.into_iter().any(|&n| n > 65_536) {
            return fault("inputs, outputs and units must be 65536 or less");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fault("dropout must be in [0, 1)");
        }
        Ok(())
    }
}

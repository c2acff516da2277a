//! The shape of a network.

use crate::Error;

/// Where the loss is taken, and so what the network learns to say when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossAt {
    /// After the last step only: one predicted_class a sequence.
    LastStep,
    /// After every step: a predicted_class as early as the data allows.
    EveryStep,
}

/// What a network is made of: stacked LSTM layers and a dense head.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Values a step.
    pub inputs: usize,
    /// Units of each LSTM layer, the first layer first.
    pub hidden: Vec<usize>,
    /// Units of the head: 1 = sigmoid (two classes), more = softmax.
    pub outputs: usize,
    /// Share of each LSTM layer's outputs that training drops, in [0, 1).
    pub dropout: f32,
    /// Normalise each LSTM layer's outputs over the batch (before dropout).
    pub batch_norm: bool,
    /// Where the loss is taken.
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

    /// Classes that labels may name: two for one sigmoid output.
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

//! Attribution of an output to the inputs: gradients and integrated gradients.
//!
//! In: a sequence and a direction (a weight for each logit, such as 1 for one class and -1 for another). Out: the contribution
//! of each input of each step to the weighted sum of logits after the last step. Logits rather than probabilities, because
//! gradients vanish where a probability is close to 1.

use crate::chunk::{Chunk, Pass};
use crate::error::check_length;
use crate::layer::Layer;
use crate::{Error, LossAt, Network, Sequences};

/// Rows per chunk.
const ROWS: usize = 32;
/// Points on the path: tried in order until [`TOLERANCE`] is reached.
const POINTS: [usize; 6] = [32, 64, 128, 256, 512, 1024];
/// Largest error of the sum of attributions, relative to the difference that they explain.
const TOLERANCE: f64 = 0.005;

/// Outputs and their gradients with respect to the inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct InputGradients {
    /// Logits after the last step: rows x outputs.
    pub logits: Vec<f32>,
    /// Gradient of the weighted sum of a row's logits: rows x steps x inputs.
    pub x: Vec<f32>,
}

/// Integrated gradients (Sundararajan, Taly and Yan 2017, equation 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Contribution of each input of each step to the weighted sum of logits: steps x inputs.
    pub values: Vec<f64>,
    /// The weighted sum at the baseline.
    pub baseline: f64,
    /// The weighted sum at the sequence: `baseline` + sum of `values` + `missing`.
    pub output: f64,
    /// Error of the numeric integral: `output` - `baseline` - sum of `values`.
    pub missing: f64,
    /// Points of the numeric integral.
    pub points: usize,
}

impl Network {
    /// The gradient of `direction . logits` after the last step with respect to every input, row by row.
    ///
    /// `x`: rows x steps x inputs; `direction`: a weight per output. Batch normalisation uses its running
    /// statistics.
    ///
    /// # Errors
    /// A length is wrong, or there is no step.
    pub fn input_gradients(
        &self,
        x: &[f32],
        rows: usize,
        steps: usize,
        direction: &[f32],
    ) -> Result<InputGradients, Error> {
        check_length("direction", direction.len(), self.spec.outputs)?;
        let mut network = self.folded()?.with_input_gradients();
        network.spec.loss_at = LossAt::LastStep;
        let classes = vec![0; rows];
        let data = Sequences::new(x, &classes, rows, steps);
        data.check(&network.spec)?;
        let pass =
            Pass { network: &network, data, class_weights: None, batch: rows, norms: &[], dropout_seed: 0 };
        let (inputs, outputs, columns) = (self.spec.inputs, self.spec.outputs, network.head.columns);
        let mut gradients =
            InputGradients { logits: Vec::with_capacity(rows * outputs), x: vec![0.0; x.len()] };
        let order: Vec<u32> = (0..rows as u32).collect();
        let mut chunk = Chunk::new(&network, rows.min(ROWS), steps);
        for (rows, dx) in order.chunks(ROWS).zip(gradients.x.chunks_mut(ROWS * steps * inputs)) {
            chunk.load_rows(rows, rows[0] as usize, &data);
            for l in 0..network.layers.len() {
                chunk.forward_layer(&pass, l);
            }
            chunk.head_forward(&pass);
            for logits in chunk.logits.chunks_exact_mut(columns).take(rows.len()) {
                gradients.logits.extend_from_slice(&logits[..outputs]);
                logits[..outputs].copy_from_slice(direction);
            }
            chunk.head_backward(&pass);
            for l in (0..network.layers.len()).rev() {
                chunk.backward_layer(&pass, l);
            }
            chunk.input_gradients(inputs, steps, dx);
        }
        Ok(gradients)
    }

    /// Integrated gradients of `direction . logits` after the last step, along the straight line from `baseline` to
    /// `x` (both steps x inputs). The midpoint rule doubles its points until the error is at most 0.5 % of the
    /// difference (of 1 if the difference is smaller), up to 1,024 points.
    ///
    /// # Errors
    /// A length is wrong, or there is no step.
    pub fn integrated_gradients(
        &self,
        x: &[f32],
        baseline: &[f32],
        direction: &[f32],
    ) -> Result<Attribution, Error> {
        check_length("baseline", baseline.len(), x.len())?;
        let steps = x.len() / self.spec.inputs.max(1);
        let ends = self.input_gradients(&[baseline, x].concat(), 2, steps, direction)?;
        let sum = |logits: &[f32]| -> f64 {
            logits.iter().zip(direction).map(|(z, d)| f64::from(*z) * f64::from(*d)).sum()
        };
        let (from, to) = ends.logits.split_at(self.spec.outputs);
        let (from, to) = (sum(from), sum(to));
        let mut found =
            Attribution { values: Vec::new(), baseline: from, output: to, missing: f64::MAX, points: 0 };
        for points in POINTS {
            let values = self.integral(x, baseline, direction, points)?;
            let missing = to - from - values.iter().sum::<f64>();
            if missing.abs() < found.missing.abs() {
                found = Attribution { values, missing, points, ..found };
            }
            if found.missing.abs() <= TOLERANCE * (to - from).abs().max(1.0) {
                break;
            }
        }
        Ok(found)
    }

    fn integral(
        &self,
        x: &[f32],
        baseline: &[f32],
        direction: &[f32],
        points: usize,
    ) -> Result<Vec<f64>, Error> {
        let steps = x.len() / self.spec.inputs.max(1);
        let mut sums = vec![0.0; x.len()];
        let all: Vec<usize> = (0..points).collect();
        for points_of_chunk in all.chunks(4 * ROWS) {
            let position = |point: &usize| (*point as f32 + 0.5) / points as f32;
            let between = |at: f32| x.iter().zip(baseline).map(move |(x, b)| b + at * (x - b));
            let path: Vec<f32> = points_of_chunk.iter().map(position).flat_map(between).collect();
            let gradients = self.input_gradients(&path, points_of_chunk.len(), steps, direction)?;
            for row in gradients.x.chunks_exact(x.len().max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += f64::from(*g));
            }
        }
        let differences = x.iter().zip(baseline).map(|(x, b)| f64::from(*x) - f64::from(*b));
        Ok(sums.iter().zip(differences).map(|(sum, difference)| sum / points as f64 * difference).collect())
    }

    /// The same network without dropout, with the weights that gradients of the inputs need.
    pub(crate) fn with_input_gradients(&self) -> Network {
        let mut network = self.clone();
        network.spec.dropout = 0.0;
        if let Some(layer) = network.layers.first_mut() {
            let [ih, hh, bias] = layer.unpack();
            *layer = Layer::pack(layer.inputs, layer.hidden, &ih, &hh, &bias, true);
        }
        network
    }
}

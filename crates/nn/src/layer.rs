//! Weights of LSTM layers and of the head: packed for the kernels, unpacked for model files.

use crate::kernel::{PANEL_ROW, Panel};
use crate::simd::{Aligned, PANEL, padded};

/// One LSTM layer.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) inputs: usize,
    /// Units of the network.
    pub(crate) hidden: usize,
    /// Units padded to whole panels; the padding has zero weights.
    pub(crate) units: usize,
    pub(crate) panels: Vec<Panel>,
}

impl Layer {
    /// Columns of [1, x, h].
    pub(crate) fn depth(&self) -> usize {
        1 + self.inputs + self.units
    }

    /// Columns of the inputs' gradient (padded); 0 if it is not needed.
    pub(crate) fn input_gradient(&self) -> usize {
        self.panels.first().map_or(0, |p| p.transposed_columns() - self.units)
    }

    /// From (4h x inputs), (4h x h) and (4h); gate order i, f, g, o. `input_gradient`: whether the gradient of the
    /// inputs is needed.
    pub(crate) fn pack(
        inputs: usize,
        hidden: usize,
        ih: &[f32],
        hh: &[f32],
        bias: &[f32],
        input_gradient: bool,
    ) -> Layer {
        let units = padded(hidden);
        let depth = 1 + inputs + units;
        let back = units + if input_gradient { padded(inputs) } else { 0 };
        let panels = (0..units / PANEL)
            .map(|p| {
                let mut weights = Aligned::zeros(depth * PANEL_ROW);
                for gate in 0..4 {
                    for unit in (p * PANEL..(p + 1) * PANEL).take_while(|&u| u < hidden) {
                        let (row, at) = (gate * hidden + unit, gate * PANEL + unit % PANEL);
                        weights[at] = bias[row];
                        for k in 0..inputs {
                            weights[(1 + k) * PANEL_ROW + at] = ih[row * inputs + k];
                        }
                        for k in 0..hidden {
                            weights[(1 + inputs + k) * PANEL_ROW + at] = hh[row * hidden + k];
                        }
                    }
                }
                Panel::new(weights, back, inputs, units)
            })
            .collect();
        Layer { inputs, hidden, units, panels }
    }

    /// The inverse of [`Layer::pack`]: (4h x inputs), (4h x h), (4h).
    pub(crate) fn unpack(&self) -> [Vec<f32>; 3] {
        let at = |row: usize, k: usize| {
            let (gate, unit) = (row / self.hidden, row % self.hidden);
            self.panels[unit / PANEL].weights()[k * PANEL_ROW + gate * PANEL + unit % PANEL]
        };
        let matrix = |first: usize, n: usize| {
            (0..4 * self.hidden).flat_map(|row| (first..first + n).map(move |k| at(row, k))).collect()
        };
        [matrix(1, self.inputs), matrix(1 + self.inputs, self.hidden), matrix(0, 1)]
    }
}

/// The dense output layer.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) hidden: usize,
    pub(crate) units: usize,
    pub(crate) outputs: usize,
    /// Outputs, padded.
    pub(crate) columns: usize,
    /// (1 + units) x columns: biases, then a row per unit.
    pub(crate) weights: Aligned,
    /// outputs x units.
    pub(crate) transposed: Aligned,
}

impl Head {
    /// From (outputs x hidden) and (outputs).
    pub(crate) fn pack(hidden: usize, outputs: usize, weight: &[f32], bias: &[f32]) -> Head {
        let (units, columns) = (padded(hidden), padded(outputs));
        let mut weights = Aligned::zeros((1 + units) * columns);
        for c in 0..outputs {
            weights[c] = bias[c];
            for k in 0..hidden {
                weights[(1 + k) * columns + c] = weight[c * hidden + k];
            }
        }
        let mut head =
            Head { hidden, units, outputs, columns, weights, transposed: Aligned::zeros(outputs * units) };
        head.transpose();
        head
    }

    /// Updates the transposed copy from the weights.
    pub(crate) fn transpose(&mut self) {
        for c in 0..self.outputs {
            for k in 0..self.units {
                self.transposed[c * self.units + k] = self.weights[(1 + k) * self.columns + c];
            }
        }
    }

    /// The inverse of [`Head::pack`]: (outputs x hidden), (outputs).
    pub(crate) fn unpack(&self) -> [Vec<f32>; 2] {
        let at = |c: usize, k: usize| self.weights[k * self.columns + c];
        let weight = (0..self.outputs).flat_map(|c| (1..=self.hidden).map(move |k| at(c, k))).collect();
        [weight, (0..self.outputs).map(|c| at(c, 0)).collect()]
    }
}

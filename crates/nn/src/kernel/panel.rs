//! The packed weights of 16 units.

use super::PANEL_ROW;
use crate::simd::Aligned;

/// The weights of 16 units: forward, and transposed for the backward pass.
#[derive(Clone)]
pub(crate) struct Panel {
    /// depth x 64: bias, inputs, recurrent units (padded); gates i, f, g, o of 16 units each.
    weights: Aligned,
    /// 64 x columns: recurrent units (padded), then inputs (padded) if their gradient is wanted.
    transposed: Aligned,
}

impl Panel {
    /// From packed weights; `columns` of the transposed copy.
    pub(crate) fn new(weights: Aligned, columns: usize, inputs: usize, units: usize) -> Panel {
        let mut panel = Panel { weights, transposed: Aligned::zeros(PANEL_ROW * columns) };
        panel.transpose(inputs, units);
        panel
    }

    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }
    pub(crate) fn weights_mut(&mut self) -> &mut [f32] {
        &mut self.weights
    }
    pub(crate) fn transposed(&self) -> &[f32] {
        &self.transposed
    }

    /// Columns of the transposed copy.
    pub(crate) fn transposed_columns(&self) -> usize {
        self.transposed.len() / PANEL_ROW
    }

    /// Updates the transposed copy from the weights.
    pub(crate) fn transpose(&mut self, inputs: usize, units: usize) {
        let columns = self.transposed_columns();
        let rows = |from: usize, n: usize| from * PANEL_ROW..(from + n) * PANEL_ROW;
        let copy = |source: &[f32], target: &mut [f32], column: usize| {
            for (j, row) in source.chunks_exact(PANEL_ROW).enumerate() {
                for (gate, &w) in row.iter().enumerate() {
                    target[gate * columns + column + j] = w;
                }
            }
        };
        copy(&self.weights[rows(1 + inputs, units)], &mut self.transposed, 0);
        if columns > units {
            copy(&self.weights[rows(1, inputs)], &mut self.transposed, units);
        }
    }
}

//! Gradients for those who want to see them: tests, and explanations.

use crate::chunk::{Chunk, Data};
use crate::error::check_length;
use crate::gradient::{self, Memory};
use crate::network::shapes;
use crate::{Error, LossAt, Network};

/// The loss of a batch and its gradient with respect to every weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Name, shape, row-major values, as [`Network::tensors`] has them.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Network {
    /// The gradient of the mean loss over all rows as one batch. `x`: rows x steps x inputs; `y`: a class a row.
    pub fn gradients(&self, x: &[f32], y: &[u32], rows: usize, steps: usize) -> Result<Gradients, Error> {
        check_length("x", x.len(), rows * steps * self.spec.inputs)?;
        check_length("y", y.len(), rows)?;
        let mut chunk = [Chunk::new(self, rows, steps)];
        chunk[0].rows.extend(0..rows as u32);
        chunk[0].run(self, Data { x, y, steps, class_weights: None }, rows);
        let mut memory = Memory::new(&self.layers, &self.head);
        let mut values = Vec::new();
        for (l, (layer, moments)) in self.layers.iter().zip(&mut memory.layers).enumerate() {
            let mut gradient = layer.clone();
            for (p, (panel, moments)) in gradient.panels.iter_mut().zip(moments).enumerate() {
                let shape = (l, layer.inputs, layer.units);
                gradient::of_panel(self.simd, &chunk, shape, p, moments);
                panel.weights_mut().copy_from_slice(&moments.gradient);
            }
            values.extend(gradient.unpack());
        }
        let positions = if self.spec.loss_at == LossAt::EveryStep { steps } else { 1 };
        let mut head = self.head.clone();
        gradient::of_head(self.simd, &chunk, positions, &head, &mut memory.head);
        head.weights.copy_from_slice(&memory.head.gradient);
        values.extend(head.unpack());
        let loss = chunk[0].losses.iter().copied().map(f64::from).sum::<f64>() / rows.max(1) as f64;
        let tensors = shapes(&self.spec).into_iter().zip(values).map(|((n, s), v)| (n, s, v)).collect();
        Ok(Gradients { loss, tensors })
    }
}

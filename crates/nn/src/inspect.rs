//! Gradients for those who want to see them: tests, and explanations.

use crate::chunk::Chunk;
use crate::gradient::{self, Memory};
use crate::layer::Layer;
use crate::network::shapes;
use crate::train::rows_pass;
use crate::{Error, Network, Sequences};

/// The loss of a batch and its gradient with respect to every weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Mean loss, weights included.
    pub loss: f64,
    /// Name, shape, row-major values, as [`Network::tensors`] has them; zero for what training does not learn.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// With respect to the inputs: rows x steps x inputs.
    pub x: Vec<f32>,
}

impl Network {
    /// The gradient of the mean loss over all rows as one batch, without dropout.
    pub fn gradients(&self, data: &Sequences<'_>) -> Result<Gradients, Error> {
        data.check(self)?;
        let mut network = self.clone();
        network.spec.dropout = 0.0;
        if let Some(layer) = network.layers.first_mut() {
            let [ih, hh, bias] = layer.unpack();
            *layer = Layer::pack(layer.inputs, layer.hidden, &ih, &hh, &bias, true);
        }
        let (rows, steps, inputs) = (data.rows, data.steps, self.spec.inputs);
        let order: Vec<u32> = (0..rows as u32).collect();
        let mut chunks = [Chunk::new(&network, rows, steps)];
        chunks[0].take(&order, 0, data);
        let mut memory = Memory::new(&network);
        rows_pass(&mut network, &mut memory, &mut chunks, (*data, None, rows, 0));
        let mut values = Vec::new();
        for (l, (layer, moments)) in network.layers.iter().zip(&mut memory.layers).enumerate() {
            let (mut gradient, shape) = (layer.clone(), (l, layer.inputs, layer.units));
            for (p, (panel, moments)) in gradient.panels.iter_mut().zip(moments).enumerate() {
                gradient::of_panel(self.simd, &chunks, shape, p, moments);
                panel.weights_mut().copy_from_slice(&moments.gradient);
            }
            values.extend(gradient.unpack());
        }
        let mut head = network.head.clone();
        gradient::of_head(self.simd, &chunks, &head, &mut memory.head);
        head.weights.copy_from_slice(&memory.head.gradient);
        values.extend(head.unpack());
        for (norm, batch) in network.norms.iter().zip(&memory.norms) {
            let values_of = |all: &[f32]| all[..norm.hidden].to_vec();
            values.push(values_of(&batch.scale_moments.gradient));
            values.push(values_of(&batch.shift_moments.gradient));
            values.extend([vec![0.0; norm.hidden], vec![0.0; norm.hidden]]);
        }
        let mut x = vec![0.0; rows * steps * inputs];
        let columns = crate::simd::padded(inputs);
        for (at, dx) in chunks[0].layers[0].dx.chunks_exact(columns).enumerate().take(rows * chunks[0].used) {
            let (t, r) = (at / rows, at % rows);
            x[(r * steps + t) * inputs..][..inputs].copy_from_slice(&dx[..inputs]);
        }
        let loss = chunks[0].losses.iter().copied().map(f64::from).sum::<f64>() / rows.max(1) as f64;
        let tensors = shapes(&self.spec).into_iter().zip(values).map(|((n, s), v)| (n, s, v)).collect();
        Ok(Gradients { loss, tensors, x })
    }
}

//! Gradients of the loss with respect to weights and inputs, for tests.

use std::sync::RwLock;

use crate::parallel::Team;

use crate::chunk::Chunk;
use crate::lock::{lock, read};
use crate::network::shapes;
use crate::step::{Batch, OptimizerState, TrainingStep};
use crate::weight_gradient;
use crate::{Error, Network, Sequences};

/// The loss of a batch and its gradient with respect to every weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Mean weighted loss.
    pub loss: f64,
    /// Name, shape, row-major values, as in [`Network::tensors`]; zero for tensors that are not trained.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// With respect to the inputs: rows x steps x inputs.
    pub x: Vec<f32>,
}

impl Network {
    /// The gradient of the mean loss over all rows as one batch, without dropout.
    pub fn gradients(&self, data: &Sequences<'_>) -> Result<Gradients, Error> {
        data.check(&self.spec)?;
        let mut network = self.with_input_gradients();
        let (rows, steps, inputs) = (data.rows, data.steps, self.spec.inputs);
        let order: Vec<u32> = (0..rows as u32).collect();
        let chunks = [RwLock::new(Chunk::new(&network, rows, steps))];
        let optimizer = OptimizerState::new(&network);
        let step =
            TrainingStep { network: RwLock::new(&mut network), optimizer: &optimizer, chunks: &chunks };
        let (class_weights, dropout_seed) = (None, 0);
        let batch = Batch { data: *data, rows: &order, chunk_rows: rows, class_weights, dropout_seed };
        Team::new(1).run(|_| (), |member| step.forward_backward(member, &batch));
        let (mut values, mut panels) = (Vec::new(), optimizer.panels.iter());
        for (l, layer) in network.layers.iter().enumerate() {
            let mut gradient = layer.clone();
            for ((p, panel), memory) in gradient.panels.iter_mut().enumerate().zip(&mut panels) {
                let moments = &mut lock(memory).moments;
                weight_gradient::panel_gradient(self.simd, &chunks, l, p, layer, moments);
                panel.weights_mut().copy_from_slice(&moments.gradient);
            }
            values.extend(gradient.unpack());
        }
        let mut head = network.head.clone();
        let moments = &mut lock(&optimizer.head).0;
        weight_gradient::head_gradient(self.simd, &chunks, &head, moments);
        head.weights.copy_from_slice(&moments.gradient);
        values.extend(head.unpack());
        for (norm, batch) in network.norms.iter().zip(read(&optimizer.norms).iter()) {
            let values_of = |all: &[f32]| all[..norm.hidden].to_vec();
            values.push(values_of(&batch.scale_moments.gradient));
            values.push(values_of(&batch.shift_moments.gradient));
            values.extend([vec![0.0; norm.hidden], vec![0.0; norm.hidden]]);
        }
        let chunk = read(&chunks[0]);
        let mut x = vec![0.0; rows * steps * inputs];
        chunk.input_gradients(inputs, steps, &mut x);
        let loss = chunk.losses.iter().copied().map(f64::from).sum::<f64>() / rows.max(1) as f64;
        let tensors = shapes(&self.spec).into_iter().zip(values).map(|((n, s), v)| (n, s, v)).collect();
        Ok(Gradients { loss, tensors, x })
    }
}

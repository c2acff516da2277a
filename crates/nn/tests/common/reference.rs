//! The network in plain f64 loops, straight from the equations: the scalar twin of the kernels.

use citronella_nn::{LossAt, Network, Spec};

pub struct Reference {
    pub spec: Spec,
    pub tensors: Vec<(String, Vec<usize>, Vec<f64>)>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Reference {
    pub fn of(network: &Network) -> Reference {
        let tensors = network.tensors().into_iter();
        let tensors = tensors.map(|(n, s, v)| (n, s, v.into_iter().map(f64::from).collect())).collect();
        Reference { spec: network.spec().clone(), tensors }
    }

    fn tensor(&self, name: &str) -> &[f64] {
        &self.tensors.iter().find(|t| t.0 == name).unwrap().2
    }

    /// One row's logits after every step: steps x outputs.
    pub fn logits(&self, x: &[f32], steps: usize) -> Vec<Vec<f64>> {
        let mut sequence: Vec<Vec<f64>> =
            x.chunks_exact(x.len() / steps).map(|s| s.iter().map(|&v| f64::from(v)).collect()).collect();
        for (l, &h) in self.spec.hidden.iter().enumerate() {
            let (ih, hh) =
                (self.tensor(&format!("lstm.weight_ih_l{l}")), self.tensor(&format!("lstm.weight_hh_l{l}")));
            let bias = self.tensor(&format!("lstm.bias_l{l}"));
            let (mut state, mut cell) = (vec![0.0; h], vec![0.0; h]);
            for step in &mut sequence {
                let z: Vec<f64> = (0..4 * h)
                    .map(|row| {
                        let dot = |w: &[f64], v: &[f64]| {
                            v.iter().zip(&w[row * v.len()..]).map(|(a, b)| a * b).sum::<f64>()
                        };
                        bias[row] + dot(ih, step) + dot(hh, &state)
                    })
                    .collect();
                for u in 0..h {
                    let (i, f) = (sigmoid(z[u]), sigmoid(z[h + u]));
                    let (g, o) = (z[2 * h + u].tanh(), sigmoid(z[3 * h + u]));
                    cell[u] = f * cell[u] + i * g;
                    state[u] = o * cell[u].tanh();
                }
                step.clone_from(&state);
            }
        }
        let (weight, bias) = (self.tensor("dense.weight"), self.tensor("dense.bias"));
        let dense = |h: &Vec<f64>| {
            (0..bias.len())
                .map(|c| bias[c] + h.iter().zip(&weight[c * h.len()..]).map(|(a, b)| a * b).sum::<f64>())
                .collect()
        };
        sequence.iter().map(dense).collect()
    }

    pub fn probabilities(logits: &[f64]) -> Vec<f64> {
        if let [z] = logits {
            return vec![sigmoid(*z)];
        }
        let max = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
        logits.iter().map(|z| (z - max).exp() / sum).collect()
    }

    /// Mean cross-entropy.
    pub fn loss(&self, x: &[f32], y: &[u32], steps: usize) -> f64 {
        let row = x.len() / y.len();
        let of_logits = |logits: &[f64], class: u32| -> f64 {
            let p = Self::probabilities(logits);
            match p.as_slice() {
                [p] if class == 1 => -p.ln(),
                [p] => -(1.0 - p).ln(),
                all => -all[class as usize].ln(),
            }
        };
        let losses = x.chunks_exact(row).zip(y).map(|(x, &class)| {
            let logits = self.logits(x, steps);
            match self.spec.loss_at {
                LossAt::LastStep => of_logits(&logits[steps - 1], class),
                LossAt::EveryStep => logits.iter().map(|l| of_logits(l, class)).sum::<f64>() / steps as f64,
            }
        });
        losses.sum::<f64>() / y.len() as f64
    }
}

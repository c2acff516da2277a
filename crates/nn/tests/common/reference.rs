//! The network in plain f64 loops, from the equations: the reference for the kernels.

use citronella_nn::{LossAt, Network, Sequences, Spec};

pub struct Reference {
    pub spec: Spec,
    pub tensors: Vec<(String, Vec<usize>, Vec<f64>)>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A row: a vector per step.
type Row = Vec<Vec<f64>>;

impl Reference {
    pub fn of(network: &Network) -> Reference {
        let tensors = network.tensors().into_iter();
        let tensors = tensors.map(|(n, s, v)| (n, s, v.into_iter().map(f64::from).collect())).collect();
        Reference { spec: network.spec().clone(), tensors }
    }

    fn tensor(&self, name: &str) -> &[f64] {
        &self.tensors.iter().find(|t| t.0 == name).unwrap().2
    }

    /// Equations 1-5, one row through layer `l`.
    fn layer(&self, l: usize, row: &mut Row) {
        let h = self.spec.hidden[l];
        let (ih, hh) =
            (self.tensor(&format!("lstm.weight_ih_l{l}")), self.tensor(&format!("lstm.weight_hh_l{l}")));
        let bias = self.tensor(&format!("lstm.bias_l{l}"));
        let (mut state, mut cell) = (vec![0.0; h], vec![0.0; h]);
        for step in row {
            let dot = |w: &[f64], v: &[f64], row: usize| -> f64 {
                v.iter().zip(&w[row * v.len()..]).map(|(a, b)| a * b).sum()
            };
            let z: Vec<f64> = (0..4 * h).map(|r| bias[r] + dot(ih, step, r) + dot(hh, &state, r)).collect();
            for u in 0..h {
                let (i, f) = (sigmoid(z[u]), sigmoid(z[h + u]));
                let (g, o) = (z[2 * h + u].tanh(), sigmoid(z[3 * h + u]));
                cell[u] = f * cell[u] + i * g;
                state[u] = o * cell[u].tanh();
            }
            step.clone_from(&state);
        }
    }

    /// Batch normalisation over `positions`, pairs of row and step.
    fn normalise(&self, l: usize, rows: &mut [Row], positions: &[(usize, usize)]) {
        let part = |p: &str| self.tensor(&format!("norm.{p}_l{l}"));
        for u in 0..self.spec.hidden[l] {
            let n = positions.len() as f64;
            let mean = positions.iter().map(|&(r, t)| rows[r][t][u]).sum::<f64>() / n;
            let variance = positions.iter().map(|&(r, t)| (rows[r][t][u] - mean).powi(2)).sum::<f64>() / n;
            for &(r, t) in positions {
                let y = (rows[r][t][u] - mean) / (variance + 1e-3).sqrt();
                rows[r][t][u] = y * part("weight")[u] + part("bias")[u];
            }
        }
    }

    /// Every row's logits after every step.
    pub fn logits(&self, data: &Sequences<'_>) -> Vec<Row> {
        let steps = |row: &[f32]| -> Row {
            row.chunks_exact(self.spec.inputs).map(|s| s.iter().map(|&v| f64::from(v)).collect()).collect()
        };
        let mut rows: Vec<Row> = data.x.chunks_exact(data.steps * self.spec.inputs).map(steps).collect();
        for l in 0..self.spec.hidden.len() {
            rows.iter_mut().for_each(|row| self.layer(l, row));
            let last_only = l + 1 == self.spec.hidden.len() && self.spec.loss_at == LossAt::LastStep;
            let length = |r: usize| data.lengths.map_or(data.steps, |l| l[r] as usize);
            let all = (0..data.rows).flat_map(|r| (0..length(r)).map(move |t| (r, t)));
            let positions: Vec<_> = all.filter(|&(r, t)| !last_only || t + 1 == length(r)).collect();
            if self.spec.batch_norm {
                self.normalise(l, &mut rows, &positions);
            }
        }
        let (weight, bias) = (self.tensor("dense.weight"), self.tensor("dense.bias"));
        let dense = |h: &Vec<f64>| -> Vec<f64> {
            let dot = |c: usize| h.iter().zip(&weight[c * h.len()..]).map(|(a, b)| a * b).sum::<f64>();
            (0..bias.len()).map(|c| bias[c] + dot(c)).collect()
        };
        rows.iter().map(|row| row.iter().map(dense).collect()).collect()
    }

    pub fn probabilities(logits: &[f64]) -> Vec<f64> {
        if let [z] = logits {
            return vec![sigmoid(*z)];
        }
        let max = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
        logits.iter().map(|z| (z - max).exp() / sum).collect()
    }

    /// The mean over rows of the mean over steps of weight times cross-entropy.
    pub fn loss(&self, data: &Sequences<'_>) -> f64 {
        let mut loss = 0.0;
        for (r, row) in self.logits(data).iter().enumerate() {
            let length = data.lengths.map_or(data.steps, |l| l[r] as usize);
            let first = if self.spec.loss_at == LossAt::LastStep { length - 1 } else { 0 };
            for (t, logits) in row.iter().enumerate().take(length).skip(first) {
                let p = match Self::probabilities(logits).as_slice() {
                    [p] if data.y[r] == 1 => *p,
                    [p] => 1.0 - *p,
                    all => all[data.y[r] as usize],
                };
                let weight = data.weights.map_or(1.0, |w| f64::from(w[r * data.steps + t]));
                loss -= weight * p.ln() / (length - first) as f64;
            }
        }
        loss / data.rows as f64
    }
}

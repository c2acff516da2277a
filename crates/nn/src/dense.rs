//! A multilayer perceptron: dense layers with ReLU, softmax at the end, trained by Adam.

use crate::error::check_length;
use crate::gemm::{View, multiply};
use crate::random::Random;
use crate::{Error, TrainConfig};

/// Dense layers: ReLU after each but the last, softmax after that.
#[derive(Clone, Debug)]
pub struct DenseNetwork {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    /// outputs x inputs, then the outputs' biases.
    weights: Vec<f32>,
}

impl Layer {
    fn split(&self) -> (View<'_>, &[f32]) {
        let (weights, biases) = self.weights.split_at(self.inputs * self.outputs);
        (View::new(weights, self.outputs, self.inputs), biases)
    }

    /// rows x outputs, before the activation.
    fn forward(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let (weights, biases) = self.split();
        let mut out = biases.repeat(rows);
        multiply(View::new(x, rows, self.inputs), weights.transposed(), 1.0, &mut out);
        out
    }
}

/// A layer's gradient and Adam's moments.
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
    gradient: Vec<f32>,
}

impl Moments {
    fn new(n: usize) -> Moments {
        Moments { first: vec![0.0; n], second: vec![0.0; n], gradient: vec![0.0; n] }
    }

    /// Kingma and Ba 2015, with Keras' epsilon of 1e-7.
    fn step(&mut self, weights: &mut [f32], rate: f32, batch: i32) {
        let rate = rate * (1.0 - 0.999f32.powi(batch)).sqrt() / (1.0 - 0.9f32.powi(batch));
        let moments = self.first.iter_mut().zip(&mut self.second).zip(&self.gradient);
        for (weight, ((first, second), gradient)) in weights.iter_mut().zip(moments) {
            *first += 0.1 * (gradient - *first);
            *second += 0.001 * (gradient * gradient - *second);
            *weight -= rate * *first / (second.sqrt() + 1e-7);
        }
    }
}

impl DenseNetwork {
    /// Initial weights: Glorot uniform, biases zero. `sizes`: inputs, units of each hidden layer, classes.
    ///
    /// # Errors
    /// Fewer than two sizes, or one of them is 0.
    pub fn new(sizes: &[usize], seed: u64) -> Result<DenseNetwork, Error> {
        if sizes.len() < 2 || sizes.contains(&0) {
            return Err(Error::Spec("a dense network needs inputs and classes, 1 or more each".to_owned()));
        }
        let mut random = Random::new(seed, 0);
        let layers = sizes.windows(2).map(|pair| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let mut weights = random.glorot(outputs, inputs);
            weights.resize(outputs * (inputs + 1), 0.0);
            Layer { inputs, outputs, weights }
        });
        Ok(DenseNetwork { layers: layers.collect() })
    }

    /// Trains for `epochs` epochs of seeded batches on one thread. `x`: rows x inputs; `y`: a class per row. `progress` gets
    /// each epoch's mean cross-entropy.
    ///
    /// # Errors
    /// A length is wrong, or a class is not one of the network's.
    pub fn train(
        &mut self,
        x: &[f32],
        y: &[u32],
        epochs: usize,
        config: &TrainConfig,
        progress: &mut dyn FnMut(f64),
    ) -> Result<(), Error> {
        let (inputs, classes) = self.shape();
        check_length("x", x.len(), y.len() * inputs)?;
        if config.batch == 0 || y.iter().any(|&class| class as usize >= classes) {
            return Err(Error::Config(format!(
                "a batch of 1 or more and classes below {classes} are needed"
            )));
        }
        let mut moments: Vec<Moments> = self.layers.iter().map(|l| Moments::new(l.weights.len())).collect();
        let mut random = Random::new(config.seed, 1);
        let mut order: Vec<u32> = (0..y.len() as u32).collect();
        let mut batches = 0;
        for _ in 0..epochs {
            random.shuffle(&mut order);
            let mut loss = 0.0;
            for rows in order.chunks(config.batch) {
                let inputs_of_batch: Vec<f32> =
                    rows.iter().flat_map(|&r| &x[r as usize * inputs..][..inputs]).copied().collect();
                let classes: Vec<u32> = rows.iter().map(|&row| y[row as usize]).collect();
                batches += 1;
                loss += self.step(&inputs_of_batch, &classes, &mut moments, config.learning_rate, batches);
            }
            progress(loss / y.len().max(1) as f64);
        }
        Ok(())
    }

    /// The classes' probabilities: rows x classes.
    ///
    /// # Errors
    /// `x` is not a whole number of rows.
    pub fn predict(&self, x: &[f32]) -> Result<Vec<f32>, Error> {
        let (inputs, classes) = self.shape();
        let rows = x.len() / inputs;
        check_length("x", x.len(), rows * inputs)?;
        let mut out = Vec::with_capacity(rows * classes);
        for part in x.chunks(BLOCK_ROWS * inputs) {
            let rows = part.len() / inputs;
            let mut values = part.to_vec();
            for (number, layer) in self.layers.iter().enumerate() {
                values = layer.forward(&values, rows);
                if number + 1 < self.layers.len() {
                    relu(&mut values);
                }
            }
            values.chunks_exact_mut(classes).for_each(softmax);
            out.extend(values);
        }
        Ok(out)
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.weights.len()).sum()
    }

    fn shape(&self) -> (usize, usize) {
        let ends = (self.layers.first(), self.layers.last());
        (ends.0.map_or(1, |l| l.inputs), ends.1.map_or(1, |l| l.outputs))
    }

    /// Trains on one batch and returns the sum of its losses.
    fn step(&mut self, x: &[f32], y: &[u32], moments: &mut [Moments], rate: f32, batch: i32) -> f64 {
        let rows = y.len();
        let mut inputs = vec![x.to_vec()];
        let last = self.layers.len() - 1;
        for (number, layer) in self.layers.iter().enumerate() {
            let mut out = layer.forward(&inputs[number], rows);
            if number < last {
                relu(&mut out);
            }
            inputs.push(out);
        }
        let classes = self.layers[last].outputs;
        // The gradient of softmax and cross-entropy is p - y; the loss is the mean over the batch.
        let mut gradient = inputs.pop().unwrap_or_default();
        let mut loss = 0.0;
        for (row, &class) in gradient.chunks_exact_mut(classes).zip(y) {
            softmax(row);
            loss -= f64::from(row[class as usize].max(1e-7).ln());
            row[class as usize] -= 1.0;
            row.iter_mut().for_each(|p| *p /= rows as f32);
        }
        for number in (0..=last).rev() {
            let layer = &self.layers[number];
            let (input, moments) = (&inputs[number], &mut moments[number]);
            let (of_weights, of_biases) = moments.gradient.split_at_mut(layer.inputs * layer.outputs);
            let outputs = View::new(&gradient, rows, layer.outputs);
            multiply(outputs.transposed(), View::new(input, rows, layer.inputs), 0.0, of_weights);
            of_biases.fill(0.0);
            for row in gradient.chunks_exact(layer.outputs) {
                of_biases.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
            }
            if number > 0 {
                let mut below = vec![0.0; rows * layer.inputs];
                multiply(outputs, layer.split().0, 0.0, &mut below);
                below.iter_mut().zip(input).for_each(|(d, x)| *d = if *x > 0.0 { *d } else { 0.0 });
                gradient = below;
            }
            moments.step(&mut self.layers[number].weights, rate, batch);
        }
        loss
    }
}

/// Rows that are predicted together.
const BLOCK_ROWS: usize = 1024;

fn relu(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = value.max(0.0));
}

fn softmax(row: &mut [f32]) {
    let highest = row.iter().fold(f32::MIN, |a, b| a.max(*b));
    row.iter_mut().for_each(|value| *value = (*value - highest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XOR of two inputs: no single layer can learn it.
    fn xor() -> (Vec<f32>, Vec<u32>) {
        let bits = (0..256u32).map(|n| (n & 1, n >> 1 & 1));
        (bits.clone().flat_map(|(a, b)| [a as f32, b as f32]).collect(), bits.map(|(a, b)| a ^ b).collect())
    }

    #[test]
    fn learns_xor_reproducibly() {
        let (x, y) = xor();
        let config = TrainConfig { batch: 32, learning_rate: 0.01, ..TrainConfig::default() };
        let trained = || {
            let mut network = DenseNetwork::new(&[2, 32, 32, 2], 7).unwrap();
            let mut losses = Vec::new();
            network.train(&x, &y, 60, &config, &mut |loss| losses.push(loss)).unwrap();
            (network.predict(&x).unwrap(), losses)
        };
        let (p, losses) = trained();
        assert!(losses[59] < 0.05 && losses[0] > 0.3, "{losses:?}");
        assert!(p.chunks_exact(2).zip(&y).all(|(row, &class)| row[class as usize] > 0.8));
        assert_eq!(p, trained().0);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (x, y) = (vec![0.3, -0.7, 0.9, 0.2, -0.4, 0.8], [1, 0, 2]);
        let network = DenseNetwork::new(&[2, 5, 3], 3).unwrap();
        let loss = |network: &DenseNetwork| {
            let p = network.predict(&x).unwrap();
            p.chunks_exact(3).zip(y).map(|(row, class)| -f64::from(row[class]).ln()).sum::<f64>() / 3.0
        };
        let mut moments: Vec<Moments> =
            network.layers.iter().map(|l| Moments::new(l.weights.len())).collect();
        network.clone().step(&x, &y.map(|class| class as u32), &mut moments, 0.0, 1);
        for (number, moments) in moments.iter().enumerate() {
            for (at, gradient) in moments.gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut network = network.clone();
                    network.layers[number].weights[at] += by;
                    loss(&network)
                };
                let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (slope - f64::from(*gradient)).abs() < 2e-3,
                    "layer {number}, {at}: {slope} {gradient}"
                );
            }
        }
    }

    #[test]
    fn wrong_shapes_are_errors() {
        assert!(DenseNetwork::new(&[3], 1).is_err());
        let mut network = DenseNetwork::new(&[2, 2], 1).unwrap();
        assert!(network.predict(&[1.0; 3]).is_err());
        assert!(network.train(&[1.0; 2], &[5], 1, &TrainConfig::default(), &mut |_| {}).is_err());
    }
}

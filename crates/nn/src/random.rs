//! Seeded random numbers: initial weights with Keras' distributions, and the order of rows.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// Independent sequences for each `stream` of one seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Random {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Random(rng)
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box-Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Fisher-Yates.
    pub(crate) fn shuffle(&mut self, items: &mut [u32]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Glorot uniform initialisation of a (`outputs` x `inputs`) matrix.
    pub(crate) fn glorot(&mut self, outputs: usize, inputs: usize) -> Vec<f32> {
        let limit = (6.0 / (inputs + outputs) as f64).sqrt();
        (0..outputs * inputs).map(|_| (limit * (2.0 * self.uniform() - 1.0)) as f32).collect()
    }

    /// A (`rows` x `columns`) matrix with orthonormal columns, uniformly drawn; `rows >= columns`.
    pub(crate) fn orthogonal(&mut self, rows: usize, columns: usize) -> Vec<f32> {
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns);
        while basis.len() < columns {
            let mut column: Vec<f64> = (0..rows).map(|_| self.normal()).collect();
            // The second pass of Gram-Schmidt removes the rounding errors of the first.
            for _ in 0..2 {
                for other in &basis {
                    let dot: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
                    column.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
                }
            }
            let norm = column.iter().map(|a| a * a).sum::<f64>().sqrt();
            if norm > 1e-6 {
                column.iter_mut().for_each(|a| *a /= norm);
                basis.push(column);
            }
        }
        (0..rows).flat_map(|r| basis.iter().map(move |column| column[r] as f32)).collect()
    }
}

//! Shared by the tests: stored PyTorch results, and a reference LSTM in plain f64.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::needless_range_loop)]

pub mod reference;

use citronella_nn::{LossAt, Network, Spec};
use safetensors::SafeTensors;

/// A file written by tests/fixtures/make_fixtures.py.
pub struct Fixture {
    bytes: Vec<u8>,
    pub spec: Spec,
    pub rows: usize,
    pub steps: usize,
}

impl Fixture {
    pub const ALL: [&str; 8] = [
        "lstm_26x1_h64_c5",
        "lstm_26x1_h64_c1",
        "lstm_32x32_h64_c8",
        "lstm_32x32_h64_c8_every",
        "lstm_7x3_h32_c5",
        "lstm_5x17_h128_c5",
        "lstm_12x9_h64_c5_l2",
        "lstm_1x41_h64_c2",
    ];

    pub fn open(name: &str) -> Fixture {
        let path = format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let shape = |name: &str| tensors.tensor(name).unwrap().shape().to_vec();
        let (x, outputs) = (shape("x"), shape("dense.weight")[0]);
        let mut spec = Spec::new(x[2], shape("lstm.weight_hh_l0")[1], outputs);
        if name.ends_with("_l2") {
            spec.hidden.push(shape("lstm.weight_hh_l1")[1]);
        }
        if name.ends_with("_every") {
            spec.loss_at = LossAt::EveryStep;
        }
        Fixture { spec, rows: x[0], steps: x[1], bytes }
    }

    pub fn get(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let t = tensors.tensor(name).ok()?;
        let values = t.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        Some((t.shape().to_vec(), values))
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        self.get(name).unwrap_or_else(|| panic!("no tensor {name}")).1
    }

    pub fn classes(&self) -> Vec<u32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let y = tensors.tensor("y").unwrap();
        y.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u32).collect()
    }

    pub fn network(&self) -> Network {
        Network::from_tensors(self.spec.clone(), |name| self.get(name)).unwrap()
    }
}

/// The largest difference, relative to the largest value.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

//! Outputs, gradients and ten steps of Adam against PyTorch's, on every instruction set.

#![allow(clippy::unwrap_used)]

mod common;

use citronella_nn::{LossAt, Sequences, Simd, TrainConfig, Trainer};
use common::{Fixture, distance, reference::Reference};

const TOLERANCE: f32 = 1e-4;

#[test]
fn outputs_equal_pytorch() {
    for (name, simd) in Fixture::ALL.iter().flat_map(|n| Simd::available().into_iter().map(move |s| (n, s))) {
        let fixture = Fixture::open(name);
        let network = fixture.network().with_simd(simd);
        let (x, rows, steps) = (fixture.values("x"), fixture.rows, fixture.steps);
        let found = match fixture.spec.loss_at {
            LossAt::LastStep => network.predict(&x, rows, steps, 1).unwrap(),
            LossAt::EveryStep => network.predict_steps(&x, rows, steps, 1).unwrap(),
        };
        let logits = fixture.values("logits");
        let wanted = logits.chunks_exact(fixture.spec.outputs).flat_map(|logits| {
            let logits: Vec<f64> = logits.iter().map(|&v| f64::from(v)).collect();
            Reference::probabilities(&logits).into_iter().map(|p| p as f32).collect::<Vec<f32>>()
        });
        let wanted: Vec<f32> = wanted.collect();
        let distance = distance(&found, &wanted);
        assert!(distance < 1e-5, "{name} {}: {distance}", simd.name());
    }
}

#[test]
fn gradients_equal_pytorch() {
    for (name, simd) in Fixture::ALL.iter().flat_map(|n| Simd::available().into_iter().map(move |s| (n, s))) {
        let fixture = Fixture::open(name);
        let network = fixture.network().with_simd(simd);
        let (x, y) = (fixture.values("x"), fixture.classes());
        let found = network.gradients(&Sequences::new(&x, &y, fixture.rows, fixture.steps)).unwrap();
        assert!((found.loss as f32 - fixture.values("loss")[0]).abs() < 1e-5, "{name}");
        for (tensor, _, values) in &found.tensors {
            let distance = distance(values, &fixture.values(&format!("grad.{tensor}")));
            assert!(distance < TOLERANCE, "{name} {} {tensor}: {distance}", simd.name());
        }
    }
}

#[test]
fn ten_steps_of_adam_equal_pytorch() {
    for (name, simd) in Fixture::ALL.iter().flat_map(|n| Simd::available().into_iter().map(move |s| (n, s))) {
        let fixture = Fixture::open(name);
        let network = fixture.network().with_simd(simd);
        let (x, y) = (fixture.values("x"), fixture.classes());
        let config = TrainConfig { batch: fixture.rows, ..TrainConfig::default() };
        let mut trainer = Trainer::new(network, config).unwrap();
        for (step, wanted) in fixture.values("losses").into_iter().enumerate() {
            let stats = trainer.epoch(&x, &y, fixture.rows, fixture.steps, &mut |_| ()).unwrap();
            assert!((stats.loss as f32 - wanted).abs() < TOLERANCE, "{name}, step {step}: {}", stats.loss);
        }
        for (tensor, _, values) in trainer.network().tensors() {
            let distance = distance(&values, &fixture.values(&format!("after10.{tensor}")));
            assert!(distance < TOLERANCE, "{name} {} {tensor}: {distance}", simd.name());
        }
    }
}

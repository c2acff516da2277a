//! Analytic gradients in f32 against finite differences of the loss in f64.

mod common;

use citronella_nn::{LossAt, Network, Simd, Spec};
use common::reference::Reference;

fn waves(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i % 97) as f32 * 0.37).sin() * 1.5).collect()
}

fn check(spec: Spec, rows: usize, steps: usize) {
    for simd in Simd::available() {
        let network = Network::new(spec.clone(), 7).unwrap().with_simd(simd);
        let x = waves(rows * steps * spec.inputs);
        let y: Vec<u32> = (0..rows as u32).map(|r| (r * 5 + 1) % spec.classes()).collect();
        let found = network.gradients(&x, &y, rows, steps).unwrap();
        let mut reference = Reference::of(&network);
        assert!((reference.loss(&x, &y, steps) - found.loss).abs() < 1e-5);
        for (t, (name, _, gradient)) in found.tensors.iter().enumerate() {
            let scale = gradient.iter().fold(1e-3f32, |m, g| m.max(g.abs()));
            for at in (0..gradient.len()).step_by(gradient.len() / 11 + 1) {
                let (weight, delta) = (reference.tensors[t].2[at], 1e-5);
                let mut loss = |w: f64| {
                    reference.tensors[t].2[at] = w;
                    reference.loss(&x, &y, steps)
                };
                let slope = (loss(weight + delta) - loss(weight - delta)) / (2.0 * delta);
                loss(weight);
                let difference = (slope as f32 - gradient[at]).abs() / scale;
                assert!(difference < 1e-4, "{spec:?} {} {name}[{at}]: {slope} {}", simd.name(), gradient[at]);
            }
        }
    }
}

#[test]
fn one_layer() {
    check(Spec::new(3, 8, 4), 5, 6);
    check(Spec::new(1, 21, 1), 7, 4);
    check(Spec::new(18, 33, 17), 3, 2);
}

#[test]
fn loss_at_every_step() {
    check(Spec { loss_at: LossAt::EveryStep, ..Spec::new(3, 8, 4) }, 5, 6);
}

#[test]
fn stacked() {
    check(Spec { hidden: vec![9, 17, 6], ..Spec::new(3, 8, 4) }, 5, 4);
    check(Spec { hidden: vec![9, 17], loss_at: LossAt::EveryStep, ..Spec::new(3, 8, 1) }, 2, 5);
}

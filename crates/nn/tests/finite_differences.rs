//! Analytic gradients in f32 against finite differences of the loss in f64.
#![allow(clippy::unwrap_used)]

mod common;

use citronella_nn::{LossAt, Network, Sequences, Simd, Spec};
use common::reference::Reference;

const DELTA: f64 = 1e-5;

fn waves(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i % 97) as f32 * 0.37).sin() * 1.5).collect()
}

fn check(spec: Spec, rows: usize, steps: usize) {
    let x = waves(rows * steps * spec.inputs);
    let y: Vec<u32> = (0..rows as u32).map(|r| (r * 5 + 1) % spec.classes()).collect();
    let lengths: Vec<u32> = (0..rows as u32).map(|r| 1 + (r * 3 + 2) % steps as u32).collect();
    let weights: Vec<f32> = waves(rows * steps).into_iter().map(|w| w.abs() + 0.1).collect();
    let plain = Sequences::new(&x, &y, rows, steps);
    let ragged = Sequences { lengths: Some(&lengths), weights: Some(&weights), ..plain };
    for simd in Simd::available() {
        let network = Network::new(spec.clone(), 7).unwrap().with_simd(simd);
        check_data(&network, &plain);
        check_data(&network, &ragged);
    }
}

fn check_data(network: &Network, data: &Sequences<'_>) {
    let found = network.gradients(data).unwrap();
    let mut reference = Reference::of(network);
    let loss = reference.loss(data);
    assert!((loss - found.loss).abs() < 1e-5, "{:?}: {loss} {}", network.spec(), found.loss);
    let close = |slope: f64, gradient: f32, scale: f32, what: &str| {
        let difference = (slope as f32 - gradient).abs() / scale;
        assert!(difference < 1e-4, "{:?} {what}: {slope} {gradient}", network.spec());
    };
    let largest = |all: &[f32]| all.iter().fold(1e-3f32, |m, g| m.max(g.abs()));
    for (t, (name, _, gradient)) in found.tensors.iter().enumerate() {
        if name.contains("mean") || name.contains("variance") {
            continue;
        }
        for at in (0..gradient.len()).step_by(gradient.len() / 11 + 1) {
            let weight = reference.tensors[t].2[at];
            let mut loss = |w: f64| {
                reference.tensors[t].2[at] = w;
                reference.loss(data)
            };
            let slope = (loss(weight + DELTA) - loss(weight - DELTA)) / (2.0 * DELTA);
            loss(weight);
            close(slope, gradient[at], largest(gradient), &format!("{name}[{at}]"));
        }
    }
    for at in (0..data.x.len()).step_by(data.x.len() / 11 + 1) {
        let loss = |delta: f32| {
            let mut x = data.x.to_vec();
            x[at] += delta;
            (f64::from(x[at]), reference.loss(&Sequences { x: &x, ..*data }))
        };
        let ((high, above), (low, below)) = (loss(1e-3), loss(-1e-3));
        close((above - below) / (high - low), found.x[at], largest(&found.x), &format!("x[{at}]"));
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

#[test]
fn normalised() {
    check(Spec { batch_norm: true, ..Spec::new(3, 8, 4) }, 6, 4);
    check(Spec { hidden: vec![9, 17], batch_norm: true, ..Spec::new(3, 8, 4) }, 6, 4);
    let every = LossAt::EveryStep;
    check(Spec { hidden: vec![9, 17], batch_norm: true, loss_at: every, ..Spec::new(3, 8, 1) }, 5, 5);
}

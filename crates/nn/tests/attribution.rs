//! Gradients with respect to the inputs against finite differences in f64; the axioms of integrated gradients.
#![allow(clippy::unwrap_used)]

mod common;

use citronella_nn::{LossAt, Network, Sequences, Simd, Spec};
use common::reference::Reference;

fn waves(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i % 97) as f32 * 0.37).sin() * 1.5).collect()
}

fn specs() -> Vec<Spec> {
    vec![
        Spec::new(3, 8, 4),
        Spec::new(18, 33, 17),
        Spec { loss_at: LossAt::EveryStep, dropout: 0.5, ..Spec::new(5, 21, 1) },
        Spec { hidden: vec![9, 17], ..Spec::new(3, 8, 4) },
    ]
}

fn direction(outputs: usize) -> Vec<f32> {
    (0..outputs).map(|o| [1.0, -1.0, 0.0, 0.25][o % 4]).collect()
}

fn output(reference: &Reference, x: &[f32], steps: usize, direction: &[f32]) -> f64 {
    let data = Sequences::new(x, &[0], 1, steps);
    let logits = reference.logits(&data).remove(0).pop().unwrap();
    logits.iter().zip(direction).map(|(z, d)| z * f64::from(*d)).sum()
}

#[test]
fn input_gradients_equal_finite_differences() {
    for (spec, simd) in
        specs().into_iter().flat_map(|s| Simd::available().into_iter().map(move |i| (s.clone(), i)))
    {
        let (rows, steps) = (37, 6);
        let network = Network::new(spec.clone(), 7).unwrap().with_simd(simd);
        let (x, direction) = (waves(rows * steps * spec.inputs), direction(spec.outputs));
        let found = network.input_gradients(&x, rows, steps, &direction).unwrap();
        let reference = Reference::of(&network);
        let width = steps * spec.inputs;
        let largest = found.x.iter().fold(1e-3f32, |m, g| m.max(g.abs()));
        for row in [0, 31, 32, 36] {
            let x = &x[row * width..][..width];
            let output_of_row: f64 =
                (found.logits[row * spec.outputs..][..spec.outputs].iter().zip(&direction))
                    .map(|(z, d)| f64::from(z * d))
                    .sum();
            assert!((output_of_row - output(&reference, x, steps, &direction)).abs() < 1e-4);
            for at in (0..width).step_by(width / 9 + 1) {
                let moved = |delta: f32| {
                    let mut x = x.to_vec();
                    x[at] += delta;
                    (f64::from(x[at]), output(&reference, &x, steps, &direction))
                };
                let ((high, above), (low, below)) = (moved(1e-3), moved(-1e-3));
                let (slope, gradient) = ((above - below) / (high - low), found.x[row * width + at]);
                let distance = (slope as f32 - gradient).abs() / largest;
                assert!(distance < 1e-4, "{spec:?} {}: row {row}, {at}: {slope} {gradient}", simd.name());
            }
        }
    }
}

#[test]
fn attributions_add_up_to_the_difference() {
    for spec in specs() {
        let network = Network::new(spec.clone(), 11).unwrap();
        let (x, direction) = (waves(40 * spec.inputs), direction(spec.outputs));
        for baseline in [vec![0.0; x.len()], vec![0.3; x.len()]] {
            let found = network.integrated_gradients(&x, &baseline, &direction).unwrap();
            let reference = Reference::of(&network);
            let output = |x: &[f32]| output(&reference, x, 40, &direction);
            let difference = output(&x) - output(&baseline);
            assert!((found.output - found.baseline - difference).abs() < 1e-3);
            let sum: f64 = found.values.iter().sum();
            assert!((sum - difference).abs() <= 0.01 * difference.abs(), "{spec:?}: {sum} {difference}");
            assert!((sum + found.missing - (found.output - found.baseline)).abs() < 1e-9);
        }
    }
}

#[test]
fn inputs_that_do_not_differ_or_are_not_used_have_no_attribution() {
    let network = Network::new(Spec::new(3, 8, 4), 5).unwrap();
    let mut tensors = network.tensors();
    for (_, _, values) in tensors.iter_mut().filter(|(name, ..)| name == "lstm.weight_ih_l0") {
        values.chunks_exact_mut(3).for_each(|row| row[1] = 0.0);
    }
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    let insensitive = Network::from_tensors(network.spec().clone(), get).unwrap();
    let (x, mut baseline) = (waves(30), vec![0.0; 30]);
    baseline[12] = x[12];
    let found = insensitive.integrated_gradients(&x, &baseline, &[1.0, -1.0, 0.0, 0.0]).unwrap();
    assert_eq!(found.values[12], 0.0);
    assert!(found.values.chunks_exact(3).all(|step| step[1] == 0.0));
    assert!(found.values.iter().any(|v| v.abs() > 1e-3));
}

#[test]
fn wrong_lengths_are_errors() {
    let network = Network::new(Spec::new(3, 8, 4), 5).unwrap();
    assert!(network.input_gradients(&[0.0; 9], 1, 3, &[1.0]).is_err());
    assert!(network.input_gradients(&[0.0; 8], 1, 3, &[1.0; 4]).is_err());
    assert!(network.integrated_gradients(&[0.0; 9], &[0.0; 6], &[1.0; 4]).is_err());
    assert!(network.integrated_gradients(&[], &[], &[1.0; 4]).is_err());
}

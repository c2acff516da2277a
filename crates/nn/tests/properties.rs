//! Random shapes and inputs: every instruction set agrees with the scalar f64 reference; training converges.
#![allow(clippy::unwrap_used)]

mod common;

use citronella_nn::{LossAt, Network, Sequences, Simd, Spec, TrainConfig, Trainer};
use common::reference::Reference;
use proptest::prelude::*;

fn specs() -> impl Strategy<Value = Spec> {
    let layers = prop::collection::vec(1usize..50, 1..3);
    (1usize..40, layers, 1usize..20).prop_map(|(inputs, hidden, outputs)| Spec {
        hidden,
        loss_at: LossAt::EveryStep,
        ..Spec::new(inputs, 1, outputs)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forward_and_loss_equal_the_reference(
        spec in specs(), rows in 1usize..20, steps in 1usize..6, seed in any::<u64>(), scale in 0.01f32..8.0,
    ) {
        let network = Network::new(spec, seed).unwrap();
        let (inputs, outputs) = (network.spec().inputs, network.spec().outputs);
        let x: Vec<f32> = (0..rows * steps * inputs)
            .map(|i| scale * ((i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / 2f32.powi(23) - scale)
            .collect();
        let y: Vec<u32> = (0..rows as u32).map(|r| r % network.spec().classes()).collect();
        let data = Sequences::new(&x, &y, rows, steps);
        let reference = Reference::of(&network);
        let (logits, loss) = (reference.logits(&data), reference.loss(&data));
        let wanted: Vec<f64> =
            logits.iter().flatten().flat_map(|l| Reference::probabilities(l)).collect();
        for simd in Simd::available() {
            let network = network.clone().with_simd(simd);
            let found = network.predict_steps(&x, rows, steps, 1).unwrap();
            prop_assert_eq!(found.len(), rows * steps * outputs);
            for (found, wanted) in found.iter().zip(&wanted) {
                prop_assert!((f64::from(*found) - wanted).abs() < 1e-5, "{}: {found} {wanted}", simd.name());
            }
            let found = network.gradients(&data).unwrap().loss;
            prop_assert!((found - loss).abs() < 1e-4, "{}: {found} {loss}", simd.name());
        }
    }
}

#[test]
fn training_learns_the_column_with_the_largest_mean() {
    let (rows, steps, inputs) = (1500, 8, 4);
    let noise = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let mut x: Vec<f32> = (0..rows * steps * inputs).map(|i| noise(i) as f32 / 2f32.powi(23) - 1.0).collect();
    let y: Vec<u32> = (0..rows as u32).map(|r| r % inputs as u32).collect();
    for (row, class) in x.chunks_exact_mut(steps * inputs).zip(&y) {
        row.chunks_exact_mut(inputs).for_each(|step| step[*class as usize] += 0.8);
    }
    let rich = Spec { hidden: vec![24, 16], dropout: 0.2, batch_norm: true, ..Spec::new(inputs, 1, inputs) };
    for spec in [Spec::new(inputs, 32, inputs), rich] {
        let network = Network::new(spec, 1).unwrap();
        let mut trainer =
            Trainer::new(network, TrainConfig { learning_rate: 5e-3, threads: 2, ..TrainConfig::default() })
                .unwrap();
        let mut rows_done = 0;
        for _ in 0..8 {
            let stats = trainer.epoch(&x, &y, rows, steps, &mut |done| rows_done = done).unwrap();
            assert_eq!((rows_done, stats.predictions.len()), (rows, rows));
        }
        let eval = trainer.evaluate(&x, &y, rows, steps).unwrap();
        let correct = eval
            .probabilities
            .chunks_exact(inputs)
            .zip(&y)
            .filter(|(p, y)| p.iter().all(|q| *q <= p[**y as usize]));
        assert!(correct.count() > rows * 95 / 100, "loss {}", eval.loss);
    }
}

//! The same seed gives the same bits for any number of threads, in training and inference.
#![allow(clippy::unwrap_used)]

use citronella_nn::{LossAt, Network, Sequences, Simd, Spec, TrainConfig, Trainer};

fn waves(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i % 97) as f32 * 0.37).sin() * 1.5).collect()
}

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn train(spec: &Spec, simd: Simd, threads: usize, seed: u64) -> (Tensors, Vec<f32>, f64) {
    let (rows, steps) = (150, 6);
    let (x, y) = (waves(rows * steps * spec.inputs), (0..rows as u32).map(|r| r * 7 % 4).collect::<Vec<_>>());
    let lengths: Vec<u32> = (0..rows as u32).map(|r| 1 + r % steps as u32).collect();
    let data = Sequences { lengths: Some(&lengths), ..Sequences::new(&x, &y, rows, steps) };
    let network = Network::new(spec.clone(), seed).unwrap().with_simd(simd);
    let config = TrainConfig { batch: 50, threads, seed, ..TrainConfig::default() };
    let mut trainer = Trainer::new(network, config).unwrap();
    let stats =
        [trainer.epoch_of(&data, &mut |_| ()).unwrap(), trainer.epoch_of(&data, &mut |_| ()).unwrap()];
    let eval = trainer.evaluate_of(&data).unwrap();
    assert!(stats[1].loss.is_finite() && stats[1].loss != stats[0].loss);
    (trainer.network().tensors(), eval.probabilities, stats[1].loss + eval.loss)
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let plain = Spec::new(3, 40, 4);
    let rich = Spec {
        hidden: vec![16, 24],
        dropout: 0.2,
        batch_norm: true,
        loss_at: LossAt::EveryStep,
        ..plain.clone()
    };
    for spec in [plain, rich] {
        for simd in Simd::available() {
            let one = train(&spec, simd, 1, 5);
            for threads in [2, 3, 7] {
                assert!(one == train(&spec, simd, threads, 5), "{} {threads} {spec:?}", simd.name());
            }
            assert!(one.0 != train(&spec, simd, 1, 6).0);
        }
    }
}

#[test]
fn rows_do_not_depend_on_other_rows() {
    let network = Network::new(Spec::new(3, 40, 4), 5).unwrap();
    let (rows, steps) = (101, 6);
    let x = waves(rows * steps * 3);
    let all = network.predict(&x, rows, steps, 3).unwrap();
    for (x, p) in x.chunks_exact(steps * 3).zip(all.chunks_exact(4)) {
        assert_eq!(network.predict(x, 1, steps, 1).unwrap(), p);
    }
}

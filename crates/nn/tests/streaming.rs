//! Conversations that step one by one or in micro-batches say what the batch forward says.

#![allow(clippy::unwrap_used)]

mod common;

use citronella_nn::{Network, Simd, Spec, StreamCell};
use common::distance;

const STEPS: usize = 9;

fn networks() -> Vec<Network> {
    let specs =
        [Spec::new(32, 64, 8), Spec { hidden: vec![24, 64], ..Spec::new(5, 24, 1) }, Spec::new(3, 7, 17)];
    let all = specs.into_iter().flat_map(|spec| {
        let network = Network::new(spec, 3).unwrap();
        Simd::available().into_iter().map(move |simd| network.clone().with_simd(simd))
    });
    all.collect()
}

fn waves(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i % 101) as f32 * 0.41).sin() * 2.0).collect()
}

#[test]
fn micro_batches_equal_the_batch_forward() {
    for network in networks() {
        let (n, inputs, outputs) = (60, network.spec().inputs, network.spec().outputs);
        let x = waves(n * STEPS * inputs);
        let wanted = network.predict_steps(&x, n, STEPS, 2).unwrap();
        let mut cell = StreamCell::new(&network, n).unwrap();
        let slots: Vec<u32> = (0..n as u32).map(|i| (i * 7) % n as u32).collect();
        for size in [1, 8, 33, 60] {
            (0..n as u32).for_each(|slot| cell.reset(slot));
            for t in 0..STEPS {
                for slots in slots.chunks(size) {
                    let rows = slots.iter().map(|&s| &x[(s as usize * STEPS + t) * inputs..][..inputs]);
                    let rows: Vec<f32> = rows.flatten().copied().collect();
                    let mut out = vec![0.0; slots.len() * outputs];
                    cell.step_many(slots, &rows, &mut out).unwrap();
                    for (&slot, out) in slots.iter().zip(out.chunks_exact(outputs)) {
                        let wanted = &wanted[(slot as usize * STEPS + t) * outputs..][..outputs];
                        assert!(distance(out, wanted) <= 1e-6, "{out:?} {wanted:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_slot_that_comes_twice_takes_two_steps() {
    for network in networks() {
        let (inputs, outputs) = (network.spec().inputs, network.spec().outputs);
        let x = waves(2 * inputs);
        let wanted = network.predict_steps(&x, 1, 2, 1).unwrap();
        let mut cell = StreamCell::new(&network, 2).unwrap();
        let mut out = vec![0.0; 2 * outputs];
        cell.step_many(&[1, 1], &x, &mut out).unwrap();
        assert!(distance(&out, &wanted) <= 1e-6);
        assert!(cell.state(0).unwrap().iter().all(|v| *v == 0.0));
    }
}

#[test]
fn state_is_small_and_slots_are_checked() {
    let network = Network::new(Spec::new(32, 64, 8), 1).unwrap();
    let mut cell = StreamCell::new(&network, 10).unwrap();
    assert!(cell.state_bytes() <= 600);
    let error = cell.step(10, &[0.0; 32], &mut [0.0; 8]).unwrap_err();
    assert_eq!(error.to_string(), "conversation 10, but there is room for 10");
    assert!(cell.step(9, &[0.0; 31], &mut [0.0; 8]).is_err());
}

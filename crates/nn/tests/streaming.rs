//! Streaming, one step at a time or in micro-batches, gives the results of batch inference.

#![allow(clippy::unwrap_used)]

mod common;

use citronella_nn::{Network, Precision, Simd, Spec, Stepper, Steps, StreamCell};
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
fn a_temperature_divides_the_logits() {
    for network in networks().into_iter().filter(|network| network.spec().outputs > 1) {
        let (n, inputs, outputs) = (10, network.spec().inputs, network.spec().outputs);
        let x = waves(n * STEPS * inputs);
        let hot = network.with_temperature(1.6).unwrap().predict_steps(&x, n, STEPS, 1).unwrap();
        let mut wanted = network.predict_steps(&x, n, STEPS, 1).unwrap();
        for row in wanted.chunks_exact_mut(outputs) {
            row.iter_mut().for_each(|p| *p = p.powf(1.0 / 1.6));
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        assert!(distance(&hot, &wanted) < 1e-6, "{:?}", network.spec());
    }
}

#[test]
fn micro_batches_equal_batch_inference() {
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
fn a_slot_that_occurs_twice_takes_two_steps() {
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
fn a_peek_returns_the_outputs_of_a_step_and_leaves_the_state() {
    for network in networks() {
        let (inputs, outputs) = (network.spec().inputs, network.spec().outputs);
        let (x, mut peeked, mut stepped) = (waves(2 * inputs), vec![0.0; outputs], vec![0.0; outputs]);
        let mut cell = StreamCell::new(&network, 3).unwrap();
        cell.step(1, &x[..inputs], &mut peeked).unwrap();
        let before = cell.state(1).unwrap().to_vec();
        cell.peek(1, &x[inputs..], &mut peeked).unwrap();
        assert_eq!(cell.state(1).unwrap(), before);
        cell.step(1, &x[inputs..], &mut stepped).unwrap();
        assert!(distance(&peeked, &stepped) <= 1e-6);
        assert!(cell.peek(3, &x[inputs..], &mut peeked).is_err());
    }
}

#[test]
fn state_is_small_and_slots_are_checked() {
    let network = Network::new(Spec::new(32, 64, 8), 1).unwrap();
    let mut cell = StreamCell::new(&network, 10).unwrap();
    assert!(cell.state_bytes() <= 600);
    let error = cell.step(10, &[0.0; 32], &mut [0.0; 8]).unwrap_err();
    assert_eq!(error.to_string(), "slot 10 is out of range: the capacity is 10 conversations");
    assert!(cell.step(9, &[0.0; 31], &mut [0.0; 8]).is_err());
}

/// The nearest bf16 as an f32.
fn round(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Scalar reference of the bf16 step: factors are rounded, everything else is f64.
fn reference_step(network: &Network, x: &[f32], h: &mut [f32], c: &mut [f64]) -> Vec<f64> {
    let tensors = network.tensors();
    let tensor = |name: &str| tensors.iter().find(|t| t.0 == name).unwrap().2.as_slice();
    let (ih, hh) = (tensor("lstm.weight_ih_l0"), tensor("lstm.weight_hh_l0"));
    let (bias, units) = (tensor("lstm.bias_l0"), h.len());
    let dot = |w: &[f32], v: &[f32]| -> f64 {
        w.iter().zip(v).map(|(w, v)| f64::from(round(*w)) * f64::from(round(*v))).sum()
    };
    let z: Vec<f64> = (0..4 * units)
        .map(|r| f64::from(bias[r]) + dot(&ih[r * x.len()..], x) + dot(&hh[r * units..], h))
        .collect();
    for u in 0..units {
        let (i, f, o) = (sigmoid(z[u]), sigmoid(z[units + u]), sigmoid(z[3 * units + u]));
        c[u] = f * c[u] + i * z[2 * units + u].tanh();
        h[u] = (o * c[u].tanh()) as f32;
    }
    let (weight, bias) = (tensor("dense.weight"), tensor("dense.bias"));
    let logit = |k: usize| {
        f64::from(bias[k])
            + h.iter().zip(&weight[k * units..]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    common::reference::Reference::probabilities(&(0..bias.len()).map(logit).collect::<Vec<_>>())
}

#[test]
fn bf16_equals_its_scalar_reference() {
    for spec in [Spec::new(32, 64, 8), Spec::new(5, 20, 1), Spec::new(1, 33, 3)] {
        let network = Network::new(spec, 3).unwrap();
        let (n, inputs, outputs) = (29, network.spec().inputs, network.spec().outputs);
        let (hidden, slots) = (network.spec().hidden[0], (0..n as u32).collect::<Vec<_>>());
        let Ok(mut cell) = StreamCell::with_precision(&network, n, Precision::Bf16) else {
            println!("skipped: this CPU has no AVX-512 BF16");
            return;
        };
        assert!(cell.state_bytes() <= 400);
        let x = waves(n * STEPS * inputs);
        let mut states = vec![(vec![0.0; hidden], vec![0.0; hidden]); n];
        let mut out = vec![0.0; n * outputs];
        for x in x.chunks_exact(n * inputs) {
            cell.step_many(&slots, x, &mut out).unwrap();
            for (row, (h, c)) in states.iter_mut().enumerate() {
                let wanted = reference_step(&network, &x[row * inputs..][..inputs], h, c);
                for (found, wanted) in out[row * outputs..].iter().zip(wanted) {
                    // An h between two bf16 may be rounded to the other one.
                    assert!((f64::from(*found) - wanted).abs() < 5e-4, "{found} {wanted}");
                }
            }
        }
    }
    let stacked = Network::new(Spec { hidden: vec![8, 8], ..Spec::new(3, 8, 2) }, 1).unwrap();
    assert!(StreamCell::with_precision(&stacked, 1, Precision::Bf16).is_err());
}

/// Rows in any order, resets in between, states that are copied and stepped by another stepper: the same bits as single steps
/// in one cell.
#[test]
fn steps_on_several_steppers_equal_single_steps() {
    for network in networks() {
        let (inputs, outputs) = (network.spec().inputs, network.spec().outputs);
        let (n, steps) = (40u32, 200usize);
        let x = waves(steps * inputs);
        let slots: Vec<u32> = (0..steps as u32).map(|at| at * at % n).collect();
        let rows: Vec<u32> = (0..steps as u32).map(|at| at * 7 % steps as u32).collect();
        let resets: Vec<bool> = (0..steps).map(|at| at % 11 == 3).collect();
        let mut cell = StreamCell::new(&network, n as usize).unwrap();
        let mut wanted = vec![0.0; steps * outputs];
        for (at, out) in wanted.chunks_exact_mut(outputs).enumerate() {
            if resets[at] {
                cell.reset(slots[at]);
            }
            cell.step(slots[at], &x[rows[at] as usize * inputs..][..inputs], out).unwrap();
        }
        let [mut first_stepper, mut second_stepper] =
            [0, 1].map(|_| Stepper::new(&network, Precision::F32).unwrap());
        let (mut first_states, mut second_states) =
            (first_stepper.states(n as usize), first_stepper.states(n as usize));
        let mut found = vec![0.0; steps * outputs];
        let (first, second) = found.split_at_mut(steps / 2 * outputs);
        let half =
            |range: std::ops::Range<usize>| (&slots[range.clone()], &rows[range.clone()], &resets[range]);
        let (slots_of, rows_of, resets_of) = half(0..steps / 2);
        first_stepper
            .step_rows(
                &mut first_states,
                &Steps { slots: slots_of, rows: rows_of, resets: resets_of },
                &x,
                first,
            )
            .unwrap();
        (0..n).for_each(|slot| second_states.copy(n - 1 - slot, &first_states, slot));
        let (slots_of, rows_of, resets_of) = half(steps / 2..steps);
        let reversed: Vec<u32> = slots_of.iter().map(|slot| n - 1 - slot).collect();
        second_stepper
            .step_rows(
                &mut second_states,
                &Steps { slots: &reversed, rows: rows_of, resets: resets_of },
                &x,
                second,
            )
            .unwrap();
        assert_eq!(found, wanted);
        let bad = Steps { slots: &[0], rows: &[steps as u32], resets: &[false] };
        assert!(first_stepper.step_rows(&mut first_states, &bad, &x, &mut wanted[..outputs]).is_err());
        let bad = Steps { slots: &[n], rows: &[0], resets: &[false] };
        assert!(first_stepper.step_rows(&mut first_states, &bad, &x, &mut wanted[..outputs]).is_err());
    }
}

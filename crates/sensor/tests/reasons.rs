//! The features that a call rests on.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use citronella_nn::{Network, Precision, Spec, Stepper};
use citronella_sensor::capture::Capture;
use citronella_sensor::detect::{ModelFile, Reason, reasons};
use citronella_sensor::feature::sequence::{Config, SEQUENCE, SequenceLevel, WIDTH};

#[test]
fn the_only_feature_that_is_read_is_the_only_reason() {
    let network = Network::new(Spec::new(WIDTH, 16, 2), 9).unwrap();
    let mut tensors = network.tensors();
    for (_, _, values) in tensors.iter_mut().filter(|(name, ..)| name == "lstm.weight_ih_l0") {
        for row in values.chunks_exact_mut(WIDTH) {
            row.iter_mut().enumerate().filter(|(at, _)| *at != 7).for_each(|(_, w)| *w = 0.0);
        }
    }
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    let deaf = Network::from_tensors(network.spec().clone(), get).unwrap();
    let mut stepper = Stepper::new(&deaf, Precision::F32).unwrap();
    let mut states = stepper.states(4);
    let mut said = [0.0; 2];
    // Which way the one weight pulls is chance: one of two signs speaks for an attack.
    let mut found = Vec::new();
    for sign in [1.0, -1.0] {
        let features = [sign; WIDTH];
        states.reset(2);
        stepper.step_many(&mut states, &[2], &features, &mut said).unwrap();
        let before = states.state(2).unwrap().to_vec();
        found.extend(reasons(&mut stepper, &mut states, 2, &features, &SEQUENCE, 5).unwrap());
        assert_eq!(states.state(2).unwrap(), before);
    }
    assert!(!found.is_empty());
    assert!(found.iter().all(|reason| reason.column.name == SEQUENCE[7].name && reason.weight > 0.0));
    assert!(reasons(&mut stepper, &mut states, 4, &[1.0; WIDTH], &SEQUENCE, 5).is_err());
}

#[test]
fn guessed_passwords_are_called_by_what_guessing_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = ModelFile::load(&root.join("models/sequence.safetensors")).unwrap();
    let capture = root.join("data/lab/run-2/mqtt_bruteforce.pcap.zst");
    let mut capture = Capture::open(&capture).unwrap();
    let mut level = SequenceLevel::new(Config::default());
    let mut stepper = Stepper::new(&model.network, Precision::F32).unwrap();
    let mut states = stepper.states(Config::default().flows.max_flows);
    let bruteforce = model.card.classes.iter().position(|class| class == "mqtt_bruteforce").unwrap();
    let mut said = vec![0.0; stepper.outputs()];
    // What the broker refuses, and what is guessed.
    const GUESSING: [&str; 3] = ["refused", "credentials", "users"];
    let (mut calls, mut by_guessing) = (0, 0);
    while let Some(packet) = capture.next().unwrap() {
        let Some(row) = level.packet(&packet) else { continue };
        if row.is_new {
            states.reset(row.slot);
        }
        stepper.step_many(&mut states, &[row.slot], &row.features, &mut said).unwrap();
        if said[bruteforce] > 0.99 && calls < 200 {
            calls += 1;
            let found = reasons(&mut stepper, &mut states, row.slot, &row.features, &SEQUENCE, 5).unwrap();
            assert!(found.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
            let names = |reason: &Reason| GUESSING.iter().any(|name| reason.column.name.contains(name));
            by_guessing += usize::from(found.iter().any(names));
        }
    }
    assert_eq!(calls, 200);
    assert!(by_guessing > 150, "{by_guessing} of 200 name what guessing is among the first five");
}

//! The features that explain an alert.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use citronella_nn::{Network, Precision, Spec, Stepper};
use citronella_sensor::capture::Capture;
use citronella_sensor::detect::{ModelFile, Reason, reasons};
use citronella_sensor::feature::sequence::{Config, SEQUENCE, SequenceLevel, WIDTH};

#[test]
fn the_only_input_with_weights_is_the_only_reason() {
    let network = Network::new(Spec::new(WIDTH, 16, 2), 9).unwrap();
    let mut tensors = network.tensors();
    for (_, _, values) in tensors.iter_mut().filter(|(name, ..)| name == "lstm.weight_ih_l0") {
        for row in values.chunks_exact_mut(WIDTH) {
            row.iter_mut().enumerate().filter(|(at, _)| *at != 7).for_each(|(_, w)| *w = 0.0);
        }
    }
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    let single_input = Network::from_tensors(network.spec().clone(), get).unwrap();
    let mut stepper = Stepper::new(&single_input, Precision::F32).unwrap();
    let mut states = stepper.states(4);
    let mut probabilities = [0.0; 2];
    // The sign of the weights is random: one of two input signs increases the log-odds of an attack.
    let mut found = Vec::new();
    for sign in [1.0, -1.0] {
        let features = [sign; WIDTH];
        states.reset(2);
        stepper.step_many(&mut states, &[2], &features, &mut probabilities).unwrap();
        let before = states.state(2).unwrap().to_vec();
        found.extend(reasons(&mut stepper, &mut states, 2, &features, &SEQUENCE, 5).unwrap());
        assert_eq!(states.state(2).unwrap(), before);
    }
    assert!(!found.is_empty());
    assert!(found.iter().all(|reason| reason.column.name == SEQUENCE[7].name && reason.weight > 0.0));
    assert!(reasons(&mut stepper, &mut states, 4, &[1.0; WIDTH], &SEQUENCE, 5).is_err());
}

#[test]
fn password_guessing_is_explained_by_refusals_and_credentials() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = ModelFile::load(&root.join("models/sequence.safetensors")).unwrap();
    let capture = root.join("data/lab/run-2/mqtt_bruteforce.pcap.zst");
    let mut capture = Capture::open(&capture).unwrap();
    let mut level = SequenceLevel::new(Config::default());
    let mut stepper = Stepper::new(&model.network, Precision::F32).unwrap();
    let mut states = stepper.states(Config::default().flows.max_flows);
    let bruteforce = model.card.classes.iter().position(|class| class == "mqtt_bruteforce").unwrap();
    let mut probabilities = vec![0.0; stepper.outputs()];
    const EXPECTED: [&str; 3] = ["refused", "credentials", "users"];
    let (mut packets, mut matching) = (0, 0);
    while let Some(packet) = capture.next().unwrap() {
        let Some(row) = level.packet(&packet) else { continue };
        if row.is_new {
            states.reset(row.slot);
        }
        stepper.step_many(&mut states, &[row.slot], &row.features, &mut probabilities).unwrap();
        if probabilities[bruteforce] > 0.99 && packets < 200 {
            packets += 1;
            let found = reasons(&mut stepper, &mut states, row.slot, &row.features, &SEQUENCE, 5).unwrap();
            assert!(found.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
            let is_expected = |reason: &Reason| EXPECTED.iter().any(|name| reason.column.name.contains(name));
            matching += usize::from(found.iter().any(is_expected));
        }
    }
    assert_eq!(packets, 200);
    assert!(matching > 150, "{matching} of 200 packets have such a reason among the first five");
}

//! Training of the sequence detector on recordings of this repository: quality and determinism.

use std::path::Path;

use citronella_learn::dataset::CLASSES;
use citronella_learn::sequence::{
    Options, Pool, Recording, Silent, Variant,
    experiments::{VARIANTS, harder_attacks, unseen_classes},
    figures, gather, score, train_network, variants,
};
use citronella_sensor::feature::packet::Attacker;
use citronella_sensor::feature::sequence::verdict::Settings;

fn recording(name: &str) -> Recording {
    let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/lab");
    match Recording::open(&Path::new(lab).join(name).join("manifest.csv")) {
        Ok(recording) => recording,
        Err(error) => panic!("{error}"),
    }
}

fn quick() -> Options {
    Options { epochs: 8, windows: 2_048, variants: 1, threads: 2, ..Options::default() }
}

#[test]
fn little_training_detects_the_attacks_of_a_held_out_recording() {
    let (training, held_out) = (recording("run-1"), recording("run-2"));
    let options = quick();
    let (network, limits) = train_network(&[&training], None, &options, &mut Silent).unwrap();
    let flows = score(&network, &limits, options.steps, &held_out.captures).unwrap();
    let figures = figures(&flows, &Settings::plain(64, 3, 0.9, CLASSES.len()));
    assert_eq!((figures.attacks, figures.attacks_detected), (7, 7));
    assert!(figures.attack_recall.unwrap() > 0.97, "{figures:?}");
    assert!(figures.false_alerts * 100 < figures.benign, "{figures:?}");
}

#[test]
fn the_same_seed_gives_the_same_weights_with_any_number_of_threads() {
    let mut recording = recording("run-1");
    recording.captures.truncate(2);
    let weights = |threads: usize| {
        let options = Options { epochs: 4, windows: 256, threads, ..quick() };
        train_network(&[&recording], None, &options, &mut Silent).unwrap().0.tensors()
    };
    assert!(weights(1) == weights(2));
}

/// Labels depend on the attacker; rows must not.
#[test]
fn labels_never_enter_the_rows() {
    let mut recording = recording("run-1");
    recording.captures.truncate(2);
    let options = Options { variants: 0, ..quick() };
    let rows = |recording: &Recording| {
        let drawn = Pool::union(&gather(&[recording], &options).unwrap()).draw_all(16);
        drawn.into_iter().map(|windows| windows.x).collect::<Vec<_>>()
    };
    let plain = rows(&recording);
    recording.captures.iter_mut().for_each(|capture| capture.attacker = Attacker::Nobody);
    assert!(rows(&recording) == plain);
}

#[test]
fn the_first_variant_is_the_unchanged_recording() {
    let all = variants(&Options::default());
    assert_eq!((all.len(), all[0]), (15, Variant::PLAIN));
    assert!(all[1..].iter().all(|variant| variant.time_scale > 0.2 && variant.time_scale < 5.0));
}

/// A recording with few captures, for a training of seconds.
fn small(name: &str) -> Recording {
    let mut recording = recording(name);
    recording.captures.retain(|capture| ["mqtt_bruteforce", "slowite"].contains(&capture.scenario.as_str()));
    recording
}

#[test]
fn experiments_score_the_held_out_recording() {
    let recordings = ["run-1", "run-2"].map(small);
    let options = Options { epochs: 4, windows: 256, variants: 0, ..quick() };
    let held = ["run-2".to_owned()];
    let harder = harder_attacks(&recordings, &held, &[], &options).unwrap();
    assert_eq!(harder.len(), 2 * VARIANTS.len());
    assert!(harder.iter().all(|result| result.held_out == "run-2" && result.recording == "run-2"));
    assert_eq!((harder[0].variant, harder[0].figures.attacks), ("as recorded", 2));
    let flows = |result: usize| harder[result].classes.iter().map(|class| class.flows).sum::<usize>();
    assert!(flows(4) * 10 < flows(0), "thinned to 1/50: {} of {}", flows(4), flows(0));

    let (network, _) = train_network(&[&recordings[0]], None, &options, &mut Silent).unwrap();
    let unseen = unseen_classes(&recordings, &held, &network, &options).unwrap();
    assert_eq!(unseen.len(), CLASSES.len() - 1);
    for (result, class) in unseen.iter().zip(1..) {
        let own = harder[0].classes.iter().find(|counts| counts.class == class).map(|counts| counts.flows);
        assert_eq!((result.class, Some(result.verdicts.values().sum::<usize>())), (class, own));
    }
}

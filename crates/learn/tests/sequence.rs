//! The sequence detector on recordings of this repository: what it learns, and that it learns it again.

use std::path::Path;

use citronella_learn::dataset::CLASSES;
use citronella_learn::sequence::{
    Deaf, Options, Pool, Recording, Variant, figures, gather, score, train_network, variants,
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
fn a_recording_that_was_not_seen_is_judged_well_after_little_training() {
    let (seen, unseen) = (recording("run-1"), recording("run-2"));
    let options = quick();
    let (network, limits) = train_network(&[&seen], None, &options, &mut Deaf).unwrap();
    let flows = score(&network, &limits, options.steps, &unseen.captures).unwrap();
    let found = figures(&flows, &Settings::plain(64, 3, 0.9, CLASSES.len()));
    assert_eq!((found.attacks, found.attacks_detected), (7, 7));
    assert!(found.attack_recall.unwrap() > 0.97, "{found:?}");
    assert!(found.false_alerts * 100 < found.benign, "{found:?}");
}

#[test]
fn the_same_seed_gives_the_same_weights_with_any_number_of_threads() {
    let mut seen = recording("run-1");
    seen.captures.truncate(2);
    let weights = |threads: usize| {
        let options = Options { epochs: 4, windows: 256, threads, ..quick() };
        train_network(&[&seen], None, &options, &mut Deaf).unwrap().0.tensors()
    };
    assert!(weights(1) == weights(2));
}

/// Labels come from who takes part, after the rows: another attacker changes no row.
#[test]
fn labels_never_enter_the_rows() {
    let mut seen = recording("run-1");
    seen.captures.truncate(2);
    let options = Options { variants: 0, ..quick() };
    let rows = |seen: &Recording| {
        let drawn = Pool::of(&gather(&[seen], &options).unwrap()).draw_all(16);
        drawn.into_iter().map(|windows| windows.x).collect::<Vec<_>>()
    };
    let plain = rows(&seen);
    seen.captures.iter_mut().for_each(|capture| capture.attacker = Attacker::Nobody);
    assert!(rows(&seen) == plain);
}

#[test]
fn the_first_variant_is_the_recording_itself() {
    let all = variants(&Options::default());
    assert_eq!((all.len(), all[0]), (15, Variant::PLAIN));
    assert!(all[1..].iter().all(|variant| variant.time_scale > 0.2 && variant.time_scale < 5.0));
}

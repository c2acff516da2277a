//! Training of presets: determinism, scoring of other data, progress notifications, errors.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

mod support;

use citronella_learn::{
    dataset::{LabelRule, LoadOptions, load},
    prepare::{PrepareError, Rows, encode},
    train::{Epoch, Observer, Options, Silent, Stage, TrainError, Trained, run, score},
    zoo::Preset,
};
use citronella_sensor::{
    capture::Capture,
    detect::ModelFile,
    feature::packet::{Attacker, PacketLevel},
};
use support::{lab, published, table};

const SCENARIOS: [(&str, u32); 3] = [("normal", 90), ("scan_A", 25), ("flood", 60)];

fn train(preset: &str, table: &citronella_learn::dataset::Table, threads: usize, seed: u64) -> Trained {
    let options = Options { seed, threads, epochs: Some(2), ..Options::default() };
    run(Preset::by_name(preset).unwrap(), table, &options, &mut Silent).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_numbers_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &SCENARIOS);
    let first = train("paper-multiclass", &table, 1, 7);
    for threads in [1, 2, 3] {
        let again = train("paper-multiclass", &table, threads, 7);
        assert_eq!(again.model.to_bytes().unwrap(), first.model.to_bytes().unwrap(), "{threads} threads");
        assert_eq!((&again.history, &again.test), (&first.history, &first.test), "{threads} threads");
    }
    assert_ne!(train("paper-multiclass", &table, 1, 8).history, first.history);
}

#[test]
fn every_preset_trains_and_its_model_scores_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(&folder.path().join("run-a"), &SCENARIOS);
    let other = table(&folder.path().join("run-b"), &[("normal", 20), ("sparta", 20)]);
    for preset in Preset::ALL {
        let trained = train(preset.name, &data, 2, 42);
        let bytes = trained.model.to_bytes().unwrap();
        let model = ModelFile::from_bytes("m", &bytes).unwrap();
        let same = score(&model, &data, 2).unwrap();
        assert_eq!(same.rows.len(), 175);
        assert_eq!(same.dropped, trained.dropped);
        let scored = score(&model, &other, 2).unwrap();
        let classes: Vec<&str> = scored.classes.iter().map(String::as_str).collect();
        let expected: &[&str] =
            if preset.binary { &["normal", "attack"] } else { &["normal", "scan_A", "flood", "sparta"] };
        assert_eq!(classes, expected, "classes that only the data has come last");
        assert_eq!(scored.probabilities.len(), scored.rows.len() * classes.len());
        assert!(
            scored
                .probabilities
                .chunks(classes.len())
                .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-4)
        );
        assert_eq!(scored.truth_by_file.iter().filter(|&&c| c != 0).count(), 20);
        assert_eq!(scored.truth_by_attacker.unwrap().iter().filter(|&&c| c != 0).count(), 13);
    }
}

#[test]
fn the_observer_receives_stages_progress_and_epochs() {
    #[derive(Default)]
    struct Recorder(Vec<Stage>, u64, Vec<usize>);
    impl Observer for Recorder {
        fn stage(&mut self, stage: Stage) {
            self.0.push(stage);
        }
        fn progress(&mut self, done: u64, of: u64) {
            assert!(self.1 <= done && done <= of);
            self.1 = done;
        }
        fn epoch(&mut self, epoch: &Epoch, of: usize) {
            assert_eq!(of, 2);
            self.2.push(epoch.number);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &SCENARIOS);
    let mut recorder = Recorder::default();
    let options = Options { epochs: Some(2), ..Options::default() };
    let trained = run(Preset::by_name("paper-binary").unwrap(), &table, &options, &mut recorder).unwrap();
    assert_eq!(recorder.0, [Stage::Split, Stage::Encode, Stage::Smote, Stage::Train, Stage::Test]);
    assert_eq!(recorder.1, 2 * trained.sizes.balanced.iter().sum::<u64>());
    assert_eq!(recorder.2, [1, 2]);
    assert_eq!(trained.model.card.data.len(), 3, "a hash for each file");
}

#[test]
fn one_class_or_no_connect_packet_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(&folder.path().join("one"), &[("flood", 12)]);
    let preset = Preset::by_name("paper-binary").unwrap();
    let error = run(preset, &data, &Options::default(), &mut Silent).unwrap_err();
    assert_eq!(error.to_string(), "all 12 usable rows are of class flood; add files of another scenario");
    let plain = [support::header(), support::plain(1)];
    let path = support::write(&folder.path().join("none/normal.csv"), plain);
    let data = load(&[path], &LoadOptions::default()).unwrap();
    let error = run(preset, &data, &Options::default(), &mut Silent).unwrap_err();
    assert!(matches!(error, TrainError::Prepare(PrepareError::NoRows { .. })), "{error}");
    assert!(error.to_string().contains("1 rows: mqtt_messagetype is empty"), "{error}");
}

/// Training encodes a table's rows, detection a packet's cells: both give the same bits.
#[test]
fn a_packet_is_encoded_like_its_table_row() {
    let folder = tempfile::tempdir().unwrap();
    let data = published(&folder.path().join("d"), &SCENARIOS);
    let model = train("paper-multiclass", &load(&[data], &LoadOptions::default()).unwrap(), 1, 1).model;
    let encoder = model.card.encoder().unwrap();
    let Some(run) = lab("run-2") else { return };
    let table = load(std::slice::from_ref(&run), &LoadOptions::default()).unwrap();
    let rows = Rows::complete(&table, &model.card.rows.required, None).unwrap();
    let encoded = encode(&table, &rows.used, &encoder, 2);
    let mut compared = 0;
    for source in table.sources() {
        let file = source.name.rsplit('/').next().unwrap();
        let mut capture = Capture::open(&run.join(file)).unwrap();
        let mut level = PacketLevel::new(Attacker::Unknown);
        let mut out = vec![0.0; encoder.width()];
        while let Some(packet) = capture.next().unwrap() {
            let Some(row) = level.row(&packet) else { continue };
            if encoder.encode_cells(&row.cells(), &mut out) {
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&out), bits(encoded.row(compared)));
                compared += 1;
            }
        }
    }
    assert_eq!(compared, rows.used.len());
    assert!(table.labels(LabelRule::Attacker).is_ok());
}

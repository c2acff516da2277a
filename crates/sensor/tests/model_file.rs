//! The model file: bit-exact round trip, and errors for files that do not fit.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

use std::{collections::HashMap, path::Path};

use citronella_nn::Network;
use citronella_sensor::detect::{
    Card, DataFile, FORMAT, Input, ModelError, ModelFile, NetworkCard, Op, RowRule, Shape,
};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

fn model() -> ModelFile {
    let card = Card {
        format: FORMAT,
        program: "0.1.0".into(),
        preset: "paper-multiclass".into(),
        level: "packet".into(),
        classes: vec!["normal".into(), "flood".into(), "slowite".into()],
        inputs: vec![
            Input { column: "timestamp".into(), op: Op::MinMaxSeconds { min: 1.0, max: 9.0 } },
            Input { column: "protocol".into(), op: Op::OneHot { value: "MQTT".into() } },
            Input { column: "ttl".into(), op: Op::Standardise { mean: 1.0 / 3.0, std: 0.1 } },
        ],
        rows: RowRule { required: vec!["ttl".into()], rows_per_file: Some(400_000) },
        network: NetworkCard { shape: Shape::Columns, lstm: vec![8], outputs: 3 },
        seed: u64::MAX,
        data: vec![DataFile { file: "run-1/normal.pcap.zst".into(), sha256: "00".repeat(32) }],
        training: serde_json::json!({ "epochs": 5 }),
        metrics: serde_json::Value::Null,
    };
    let network = Network::new(card.spec(), 7).unwrap();
    ModelFile { card, network }
}

/// The bytes of a model file with modified card and tensors.
fn write(
    model: &ModelFile,
    card: &str,
    change: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool,
) -> Vec<u8> {
    let mut tensors = Vec::new();
    for (name, mut shape, mut values) in model.network.tensors() {
        if change(&name, &mut shape, &mut values) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((name, shape, bytes));
        }
    }
    let views = tensors.iter().map(|(n, s, b)| (n, TensorView::new(Dtype::F32, s.clone(), b).unwrap()));
    safetensors::serialize(views, Some(HashMap::from([("citronella".to_owned(), card.to_owned())]))).unwrap()
}

fn card_json(model: &ModelFile) -> String {
    serde_json::to_string(&model.card).unwrap()
}

fn fault(bytes: &[u8]) -> ModelError {
    ModelFile::from_bytes("m.safetensors", bytes).unwrap_err()
}

#[test]
fn a_model_file_round_trips_byte_for_byte() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model.save(&path).unwrap();
    let loaded = ModelFile::load(&path).unwrap();
    assert_eq!(loaded.card, model.card);
    assert_eq!(loaded.network.tensors(), model.network.tensors());
    assert_eq!(loaded.to_bytes().unwrap(), std::fs::read(&path).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

proptest! {
    #[test]
    fn scaler_values_round_trip_bit_for_bit(mean in any::<f64>(), std in any::<f64>()) {
        prop_assume!(mean.is_finite() && std.is_finite());
        let input = Input { column: "ttl".into(), op: Op::Standardise { mean, std } };
        let read: Input = serde_json::from_str(&serde_json::to_string(&input).unwrap()).unwrap();
        let Op::Standardise { mean: read_mean, std: read_std } = read.op else { panic!("another op") };
        prop_assert_eq!(read_mean.to_bits(), mean.to_bits());
        prop_assert_eq!(read_std.to_bits(), std.to_bits());
    }

    #[test]
    fn damaged_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = model().to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = ModelFile::from_bytes("m", &bytes);
        let _ = ModelFile::from_bytes("m", &bytes[..cut.index(bytes.len())]);
    }
}

#[test]
fn a_file_that_is_not_safetensors() {
    let error = fault(b"timestamp,src_ip\n2020-02-14,10.0.0.1\n");
    assert!(matches!(error, ModelError::NotSafetensors { .. }), "{error}");
    assert!(fault(b"").to_string().starts_with("m.safetensors: not a complete safetensors file"));
}

#[test]
fn a_truncated_file() {
    let bytes = model().to_bytes().unwrap();
    let error = fault(&bytes[..bytes.len() - 1]);
    assert!(matches!(error, ModelError::NotSafetensors { .. }), "{error}");
}

#[test]
fn a_safetensors_file_of_another_program() {
    let bytes = safetensors::serialize(Vec::<(&str, TensorView)>::new(), None).unwrap();
    assert!(matches!(fault(&bytes), ModelError::NotOurs { .. }));
}

#[test]
fn another_format_version_is_an_error_with_a_remedy() {
    let model = model();
    let card = card_json(&model).replacen("\"format\":1", "\"format\":7", 1).replacen("0.1.0", "9.9.9", 1);
    let message = fault(&write(&model, &card, |_, _, _| true)).to_string();
    assert_eq!(
        message,
        "m.safetensors: format version 7 (written by citronella 9.9.9), this program reads version 1; train the model \
         again with this program, or use the one that wrote it"
    );
}

#[test]
fn a_missing_tensor() {
    let model = model();
    let error = fault(&write(&model, &card_json(&model), |name, _, _| name != "dense.bias"));
    assert!(
        matches!(error, ModelError::Weights { .. }) && error.to_string().contains("dense.bias"),
        "{error}"
    );
}

#[test]
fn a_tensor_of_another_shape() {
    let model = model();
    let error = fault(&write(&model, &card_json(&model), |name, shape, values| {
        if name == "dense.bias" {
            (*shape, *values) = (vec![2], vec![0.0; 2]);
        }
        true
    }));
    assert!(matches!(error, ModelError::Weights { .. }) && error.to_string().contains("shape"), "{error}");
}

#[test]
fn weights_that_are_not_finite() {
    let model = model();
    let error = fault(&write(&model, &card_json(&model), |name, _, values| {
        if name == "lstm.bias_l0" {
            values[3] = f32::NAN;
        }
        true
    }));
    assert!(error.to_string().contains("lstm.bias_l0 holds infinity or not a number at index 3"), "{error}");
}

#[test]
fn a_card_that_contradicts_itself() {
    let model = model();
    for (from, to, problem) in [
        ("\"ttl\",\"op\"", "\"colour\",\"op\"", "colour is not a column of the packet level"),
        ("\"level\":\"packet\"", "\"level\":\"cell\"", "there is no feature level \"cell\""),
        ("\"slowite\"]", "\"slowite\",\"x\"]", "3 outputs for 4 classes"),
        ("\"seed\":", "\"sied\":", "missing field `seed`"),
    ] {
        let card = card_json(&model).replacen(from, to, 1);
        let error = fault(&write(&model, &card, |_, _, _| true));
        assert!(matches!(error, ModelError::Card { .. }) && error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn a_missing_file_and_a_folder_without_write_permission() {
    let error = ModelFile::load(Path::new("no/such/model.safetensors")).unwrap_err();
    assert!(matches!(error, ModelError::Read { .. }));
    assert!(matches!(model().save(Path::new("/proc/m.safetensors")).unwrap_err(), ModelError::Write(_)));
}

#[test]
fn tensors_carry_pytorch_names() {
    let bytes = model().to_bytes().unwrap();
    let mut names =
        SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(str::to_owned).collect::<Vec<_>>();
    names.sort();
    assert_eq!(
        names,
        ["dense.bias", "dense.weight", "lstm.bias_l0", "lstm.weight_hh_l0", "lstm.weight_ih_l0"]
    );
}

//! The LSTM paper's recipe (Dand & Karimipour, "LSTM Based Intrusion Detection for MQTT Networks in Cyber-Physical
//! Systems") as its notebooks have it, and the same without the timestamp.
//!
//! Labels by file; 400,000 rows of each file; rows with an empty field dropped, which leaves CONNECT packets; five columns
//! dropped; protocol one-hot, the timestamp in whole seconds scaled to 0..1, the rest standardised; random splits of 80/20
//! twice; SMOTE (k = 5); an LSTM of 64 units over the columns, one column per time step; Adam 1e-3, batches of 32, 5
//! epochs. One difference: encoders and scalers are fitted on training rows only.

use citronella_sensor::feature::schema::Level;

use super::Preset;
use crate::dataset::LabelRule;

const DROPPED: [&str; 5] = ["src_ip", "dst_ip", "src_port", "ip_len", "mqtt_messagelength"];
const DROPPED_WITH_TIME: [&str; 6] =
    ["timestamp", "src_ip", "dst_ip", "src_port", "ip_len", "mqtt_messagelength"];

pub(super) const MULTICLASS: Preset = Preset {
    name: "paper-multiclass",
    summary: "the paper's LSTM over the columns of a CONNECT packet: the scenario of its file",
    level: Level::Packet,
    labels: LabelRule::File,
    binary: false,
    rows_per_file: Some(400_000),
    dropped: &DROPPED,
    one_hot: &["protocol"],
    test_percent: 20,
    validation_percent: 20,
    smote_neighbours: Some(5),
    lstm: &[64],
    epochs: 5,
    batch: 32,
    learning_rate_millionths: 1_000,
};

pub(super) const BINARY: Preset = Preset {
    name: "paper-binary",
    summary: "the paper's LSTM over the columns of a CONNECT packet: from an attack's file or not",
    binary: true,
    ..MULTICLASS
};

pub(super) const MULTICLASS_NO_TIME: Preset = Preset {
    name: "paper-multiclass-no-time",
    summary: "paper-multiclass without the timestamp",
    dropped: &DROPPED_WITH_TIME,
    ..MULTICLASS
};

pub(super) const BINARY_NO_TIME: Preset = Preset {
    name: "paper-binary-no-time",
    summary: "paper-binary without the timestamp",
    dropped: &DROPPED_WITH_TIME,
    ..BINARY
};

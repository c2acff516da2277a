//! Which rows an audit reads.

use citronella_sensor::feature::schema::Level;

use crate::dataset::LabelRule;

/// Which rows to read, and how they are labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// What a row of a capture, or of a folder in MQTT-IoT-IDS2020's layout, stands for.
    pub level: Level,
    /// Where the class comes from if there is no label column.
    pub labels: LabelRule,
    /// The label column.
    pub label: Option<String>,
    /// Whether all attacks are one class.
    pub binary: bool,
    /// Rows of the sample; each file has an equal share.
    pub rows: usize,
    /// Rows read of each file before the rest is left out.
    pub rows_per_file: Option<u64>,
    /// Columns that must not be empty in a row.
    pub required: Vec<String>,
    /// Columns that are left out.
    pub dropped: Vec<String>,
    /// Seed of the sample.
    pub seed: u64,
}

impl Default for ReadOptions {
    /// The packet level, labels by attacker, 100,000 rows, seed 42.
    fn default() -> ReadOptions {
        ReadOptions {
            level: Level::Packet,
            labels: LabelRule::Attacker,
            label: None,
            binary: false,
            rows: 100_000,
            rows_per_file: None,
            required: Vec::new(),
            dropped: Vec::new(),
            seed: 42,
        }
    }
}

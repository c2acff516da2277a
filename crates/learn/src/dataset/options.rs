//! What is read of a data set.

use citronella_sensor::feature::schema::Level;

/// The folder of a level's files in MQTT-IoT-IDS2020's layout.
pub(crate) const fn published_folder(level: Level) -> &'static str {
    match level {
        Level::Packet => "packet_features",
        Level::Uniflow | Level::UniflowExtended => "uniflow_features",
        Level::Biflow | Level::BiflowExtended => "biflow_features",
        Level::Sequence => "sequence_features",
        Level::NslKdd => "nsl-kdd",
    }
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// What a row stands for.
    pub level: Level,
    /// Rows read of each file; further ones are left out and reported.
    pub rows_per_file: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { level: Level::Packet, rows_per_file: u64::MAX }
    }
}

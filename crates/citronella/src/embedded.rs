//! What the program carries: the recordings data/lab/run-1 and run-2, and the model that detection runs.

use std::borrow::Cow;

use citronella_sensor::detect::{ModelError, ModelFile};

/// What messages call the model that the program carries.
pub(crate) const SEQUENCE_MODEL_NAME: &str = "the embedded model";

/// The model of the sequence level that detection runs by default.
pub(crate) fn sequence_model() -> Result<ModelFile, ModelError> {
    ModelFile::from_bytes(SEQUENCE_MODEL_NAME, include_bytes!("../../../models/sequence.safetensors"))
}

/// A recording within the program.
pub(crate) struct Recording {
    /// Its folder's name.
    pub(crate) name: &'static str,
    /// The text of its manifest.csv.
    pub(crate) manifest: &'static str,
    captures: &'static [(&'static str, &'static [u8])],
}

impl Recording {
    /// The bytes of a capture that the manifest names.
    pub(crate) fn capture(&self, file: &str) -> Option<Cow<'static, [u8]>> {
        self.captures.iter().find(|(name, _)| *name == file).map(|(_, bytes)| Cow::Borrowed(*bytes))
    }
}

macro_rules! recording {
    ($name:literal: $($scenario:literal)*) => {
        Recording {
            name: $name,
            manifest: include_str!(concat!("../../../data/lab/", $name, "/manifest.csv")),
            captures: &[$((
                concat!($scenario, ".pcap.zst"),
                include_bytes!(concat!("../../../data/lab/", $name, "/", $scenario, ".pcap.zst")),
            )),*],
        }
    };
}

/// Recorded first; the demo trains on it.
pub(crate) const RUN_1: Recording =
    recording!("run-1": "normal" "scan_A" "scan_sU" "sparta" "mqtt_bruteforce" "flood" "slowite" "malformed");

/// Recorded later, with other addresses and timings; the demo's model has not seen it.
pub(crate) const RUN_2: Recording =
    recording!("run-2": "normal" "scan_A" "scan_sU" "sparta" "mqtt_bruteforce" "flood" "slowite" "malformed");

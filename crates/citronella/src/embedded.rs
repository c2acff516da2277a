//! Files embedded in the program: the recordings data/lab/run-1 and run-2, and the default model of `detect`.

use std::borrow::Cow;

use citronella_sensor::detect::{ModelError, ModelFile};

/// Name of the embedded model in messages.
pub(crate) const SEQUENCE_MODEL_NAME: &str = "the embedded model";

/// The embedded model of the sequence level, which `detect` runs by default.
pub(crate) fn sequence_model() -> Result<ModelFile, ModelError> {
    ModelFile::from_bytes(SEQUENCE_MODEL_NAME, include_bytes!("../../../models/sequence.safetensors"))
}

/// An embedded recording.
pub(crate) struct Recording {
    /// Name of its folder.
    pub(crate) name: &'static str,
    /// Contents of its manifest.csv.
    pub(crate) manifest: &'static str,
    captures: &'static [(&'static str, &'static [u8])],
}

impl Recording {
    /// The contents of a capture that the manifest lists.
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

/// The recording that the demo trains on.
pub(crate) const RUN_1: Recording =
    recording!("run-1": "normal" "scan_A" "scan_sU" "sparta" "mqtt_bruteforce" "flood" "slowite" "malformed");

/// Recorded later, with other addresses and timings; the demo evaluates on it.
pub(crate) const RUN_2: Recording =
    recording!("run-2": "normal" "scan_A" "scan_sU" "sparta" "mqtt_bruteforce" "flood" "slowite" "malformed");

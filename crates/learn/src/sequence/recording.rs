//! Recordings in memory: captures and who attacked in them.

use std::{
    io::{self, Cursor},
    net::IpAddr,
    path::Path,
    sync::Arc,
};

use citronella_sensor::{capture::Capture, detect::DataFile, feature::packet::Attacker};
use citronella_wire::Frame;
use sha2::{Digest, Sha256};

use super::{SequenceError, traffic::Traffic};
use crate::dataset::{DatasetError, Manifest, NORMAL};

/// One capture, its bytes as they are in the file.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub name: String,
    /// What went on.
    pub scenario: String,
    /// Who attacked.
    pub attacker: Attacker,
    /// The broker, where the manifest names it.
    pub broker: Option<IpAddr>,
    /// The file.
    pub bytes: Arc<[u8]>,
}

impl Captured {
    /// Reads its packets from the begin.
    ///
    /// # Errors
    /// The bytes are no capture.
    pub fn open(&self) -> Result<Capture, SequenceError> {
        Ok(Capture::from_reader(&self.name, Box::new(Cursor::new(self.bytes.clone())))?)
    }

    /// The class of a packet's conversation: the scenario where an attacker is an end of it.
    pub fn class_of(&self, frame: &Frame<'_>) -> &str {
        if self.attacker.label_of(frame) == Some(true) { &self.scenario } else { NORMAL }
    }

    /// Whether anybody attacks in it.
    pub fn is_attacked(&self) -> bool {
        self.attacker.hosts().next().is_some()
    }

    /// Name and fingerprint, for a model's card.
    pub fn data_file(&self) -> DataFile {
        let digest = Sha256::digest(&self.bytes);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        DataFile { file: self.name.clone(), sha256 }
    }
}

/// A manifest and its captures.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The folder's name, such as `run-1`.
    pub name: String,
    /// The captures in the manifest's order.
    pub captures: Vec<Captured>,
}

impl Recording {
    /// Reads a `manifest.csv` and the captures beside it.
    ///
    /// # Errors
    /// The manifest or a capture of it cannot be read.
    pub fn open(manifest: &Path) -> Result<Recording, SequenceError> {
        let listed = Manifest::open(manifest)?;
        let folder = manifest.parent().unwrap_or(Path::new("."));
        Recording::of(listed, |file| {
            let path = folder.join(file);
            let read = std::fs::read(&path);
            read.map(Arc::from)
                .map_err(|source| DatasetError::Read { file: path.display().to_string(), source })
        })
    }

    /// A recording in memory: its manifest's text and the bytes of each file.
    ///
    /// # Errors
    /// The manifest contradicts its format, or `bytes_of` does not know a file of it.
    pub fn embedded(
        name: &str,
        manifest: &str,
        bytes_of: impl Fn(&str) -> Option<Arc<[u8]>>,
    ) -> Result<Recording, SequenceError> {
        let listed = Manifest::parse(name, &format!("{name}/manifest.csv"), manifest)?;
        Recording::of(listed, |file| {
            let source = || io::Error::from(io::ErrorKind::NotFound);
            bytes_of(file)
                .ok_or_else(|| DatasetError::Read { file: format!("{name}/{file}"), source: source() })
        })
    }

    fn of(
        listed: Manifest,
        bytes_of: impl Fn(&str) -> Result<Arc<[u8]>, DatasetError>,
    ) -> Result<Recording, SequenceError> {
        let captured = |entry: &crate::dataset::ManifestEntry| {
            Ok(Captured {
                name: format!("{}/{}", listed.recording, entry.file),
                scenario: entry.scenario.clone(),
                attacker: entry.attacker,
                broker: entry.broker,
                bytes: bytes_of(&entry.file)?,
            })
        };
        let captures = listed.entries.iter().map(captured).collect::<Result<_, SequenceError>>()?;
        Ok(Recording { name: listed.recording, captures })
    }

    /// Hours that its captures last, from the first packet of each to the last.
    ///
    /// # Errors
    /// A capture cannot be read.
    pub fn hours(&self) -> Result<f64, SequenceError> {
        let secs = |capture: &Captured| Ok(Traffic::read(capture)?.secs());
        let all = self.captures.iter().map(secs).collect::<Result<Vec<_>, SequenceError>>()?;
        Ok(all.iter().sum::<f64>() / 3_600.0)
    }
}

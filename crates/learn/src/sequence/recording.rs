//! Recordings in memory: captures and who attacked in them.

use std::{io::Cursor, net::IpAddr, path::Path, sync::Arc};

use citronella_sensor::{capture::Capture, detect::DataFile};
use sha2::{Digest, Sha256};

use super::SequenceError;
use crate::dataset::{DatasetError, Manifest, NORMAL};

/// One capture, its bytes as they are in the file.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub name: String,
    /// What went on.
    pub scenario: String,
    /// Who attacked; nobody where `None`.
    pub attacker: Option<IpAddr>,
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

    /// The class of a conversation between these hosts: the scenario where the attacker is one of them.
    pub fn class_of(&self, src: IpAddr, dst: IpAddr) -> &str {
        if self.attacker.is_some_and(|attacker| attacker == src || attacker == dst) {
            &self.scenario
        } else {
            NORMAL
        }
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
        let read = |entry: &crate::dataset::ManifestEntry| {
            let path = folder.join(&entry.file);
            let bytes = std::fs::read(&path)
                .map_err(|source| DatasetError::Read { file: path.display().to_string(), source })?;
            Ok(Captured {
                name: format!("{}/{}", listed.recording, entry.file),
                scenario: entry.scenario.clone(),
                attacker: entry.attacker,
                broker: entry.broker,
                bytes: bytes.into(),
            })
        };
        let captures = listed.entries.iter().map(read).collect::<Result<_, SequenceError>>()?;
        Ok(Recording { name: listed.recording, captures })
    }
}

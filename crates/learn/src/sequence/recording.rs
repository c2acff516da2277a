//! Recordings in memory: captures with their labels.

use std::{
    io::{self, Cursor},
    net::IpAddr,
    path::Path,
    sync::Arc,
};

use citronella_sensor::{capture::Capture, detect::DataFile, feature::packet::Attacker};
use citronella_wire::Frame;
use sha2::{Digest, Sha256};

use super::SequenceError;
use crate::dataset::{CLASSES, DatasetError, Manifest, ManifestEntry, NORMAL};

/// A capture file in memory, with its labels.
#[derive(Clone, Debug)]
pub struct MemoryCapture {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub name: String,
    /// The scenario: the class of the attacker's conversations.
    pub scenario: String,
    /// The attacking hosts.
    pub attacker: Attacker,
    /// The broker, if the manifest names it.
    pub broker: Option<IpAddr>,
    /// The file's bytes, compressed or not.
    pub bytes: Arc<[u8]>,
}

impl MemoryCapture {
    /// Opens the capture at its first packet.
    ///
    /// # Errors
    /// The bytes are not a capture.
    pub fn open(&self) -> Result<Capture, SequenceError> {
        Ok(Capture::from_reader(&self.name, Box::new(Cursor::new(self.bytes.clone())))?)
    }

    /// Class of the packet's conversation: the scenario if an endpoint is an attacker, otherwise `normal`.
    pub fn class_of(&self, frame: &Frame<'_>) -> &str {
        if self.attacker.label_of(frame) == Some(true) { &self.scenario } else { NORMAL }
    }

    /// Index of [`MemoryCapture::class_of`] in [`CLASSES`]; 0 for a scenario that is not one of them.
    pub(super) fn class_index_of(&self, frame: &Frame<'_>) -> u32 {
        let name = self.class_of(frame);
        CLASSES.iter().position(|class| *class == name).unwrap_or(0) as u32
    }

    /// Whether the capture has an attacker.
    pub fn is_attacked(&self) -> bool {
        self.attacker.hosts().next().is_some()
    }

    /// File name and SHA-256, for the model card.
    pub fn data_file(&self) -> DataFile {
        let digest = Sha256::digest(&self.bytes);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        DataFile { file: self.name.clone(), sha256 }
    }

    /// Seconds from the first packet to the last.
    fn duration_secs(&self) -> Result<f64, SequenceError> {
        let mut packets = self.open()?;
        let mut span: Option<(i64, i64)> = None;
        while let Some(packet) = packets.next()? {
            let first = span.map_or(packet.time_nanos, |(first, _)| first);
            span = Some((first, packet.time_nanos));
        }
        Ok(span.map_or(0.0, |(first, last)| last.saturating_sub(first).max(0) as f64 * 1e-9))
    }
}

/// A manifest and its captures.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The folder's name, such as `run-1`.
    pub name: String,
    /// The captures in the manifest's order.
    pub captures: Vec<MemoryCapture>,
}

impl Recording {
    /// Reads a `manifest.csv` and the captures in its folder.
    ///
    /// # Errors
    /// The manifest or one of its captures cannot be read.
    pub fn open(manifest: &Path) -> Result<Recording, SequenceError> {
        let listed = Manifest::open(manifest)?;
        let folder = manifest.parent().unwrap_or(Path::new("."));
        Recording::new(listed, |file| {
            let path = folder.join(file);
            let read = std::fs::read(&path);
            read.map(Arc::from)
                .map_err(|source| DatasetError::Read { file: path.display().to_string(), source })
        })
    }

    /// Builds a recording from the manifest's text and the bytes of each file.
    ///
    /// # Errors
    /// The manifest is malformed, or `bytes_of` returns `None` for one of its files.
    pub fn embedded(
        name: &str,
        manifest: &str,
        bytes_of: impl Fn(&str) -> Option<Arc<[u8]>>,
    ) -> Result<Recording, SequenceError> {
        let listed = Manifest::parse(name, &format!("{name}/manifest.csv"), manifest)?;
        Recording::new(listed, |file| {
            let source = || io::Error::from(io::ErrorKind::NotFound);
            bytes_of(file)
                .ok_or_else(|| DatasetError::Read { file: format!("{name}/{file}"), source: source() })
        })
    }

    fn new(
        listed: Manifest,
        bytes_of: impl Fn(&str) -> Result<Arc<[u8]>, DatasetError>,
    ) -> Result<Recording, SequenceError> {
        let capture = |entry: &ManifestEntry| {
            Ok(MemoryCapture {
                name: format!("{}/{}", listed.recording, entry.file),
                scenario: entry.scenario.clone(),
                attacker: entry.attacker,
                broker: entry.broker,
                bytes: bytes_of(&entry.file)?,
            })
        };
        let captures = listed.entries.iter().map(capture).collect::<Result<_, SequenceError>>()?;
        Ok(Recording { name: listed.recording, captures })
    }

    /// Whether one of the captures has an attacker.
    pub fn is_attacked(&self) -> bool {
        self.captures.iter().any(MemoryCapture::is_attacked)
    }

    /// Total duration of the captures in hours.
    ///
    /// # Errors
    /// A capture cannot be read.
    pub fn hours(&self) -> Result<f64, SequenceError> {
        let all = self.captures.iter().map(MemoryCapture::duration_secs);
        let secs = all.collect::<Result<Vec<_>, SequenceError>>()?;
        Ok(secs.iter().sum::<f64>() / 3_600.0)
    }
}

//! LabelledCapture captures, from manifests on disk or in memory.

use std::{
    borrow::Cow,
    fs::File,
    io::{Cursor, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

use citronella_sensor::{
    capture::{Capture, CaptureError},
    detect::DataFile,
    feature::packet::Attacker,
};

use crate::dataset::{DatasetError, Hashing, Manifest, ManifestEntry, NORMAL};

/// The file that lists a recording's captures.
const MANIFEST: &str = "manifest.csv";

/// A capture with its labels.
#[derive(Clone, Debug)]
pub struct LabelledCapture {
    /// The recording, such as `run-1`.
    pub recording: String,
    /// The file name.
    pub file: String,
    /// The scenario: the class of the attacker's flows.
    pub scenario: String,
    /// The attacking hosts.
    pub attacker: Attacker,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
enum Bytes {
    File(PathBuf),
    Memory(Cow<'static, [u8]>),
}

impl LabelledCapture {
    /// Lists the captures of manifests; each path is a `manifest.csv` or a folder with one.
    ///
    /// # Errors
    /// A path is neither, a manifest is malformed, or a capture is missing from its folder.
    pub fn open_all(paths: &[PathBuf]) -> Result<Vec<LabelledCapture>, DatasetError> {
        let mut all = Vec::new();
        for path in paths {
            let path = manifest_of(path)?;
            let manifest = Manifest::open(&path)?;
            let folder = path.parent().unwrap_or(Path::new("."));
            for entry in &manifest.entries {
                let bytes = Bytes::File(folder.join(&entry.file));
                if !folder.join(&entry.file).is_file() {
                    return Err(DatasetError::Manifest {
                        file: path.display().to_string(),
                        line: entry.line,
                        column: "file",
                        problem: format!("{} is missing from the manifest's folder", entry.file),
                    });
                }
                all.push(LabelledCapture::new(&manifest.recording, entry, bytes));
            }
        }
        Ok(all)
    }

    /// Builds captures from the manifest's text and the bytes of each file.
    ///
    /// # Errors
    /// The manifest is malformed, or `bytes_of` returns `None` for one of its files.
    pub fn embedded(
        recording: &str,
        manifest: &str,
        bytes_of: impl Fn(&str) -> Option<Cow<'static, [u8]>>,
    ) -> Result<Vec<LabelledCapture>, DatasetError> {
        let name = format!("{recording}/{MANIFEST}");
        let manifest = Manifest::parse(recording, &name, manifest)?;
        let one = |entry: &ManifestEntry| {
            let bytes = bytes_of(&entry.file).ok_or_else(|| DatasetError::Manifest {
                file: name.clone(),
                line: entry.line,
                column: "file",
                problem: format!("{} is missing from the manifest's folder", entry.file),
            })?;
            Ok(LabelledCapture::new(recording, entry, Bytes::Memory(bytes)))
        };
        manifest.entries.iter().map(one).collect()
    }

    fn new(recording: &str, entry: &ManifestEntry, bytes: Bytes) -> LabelledCapture {
        LabelledCapture {
            recording: recording.to_owned(),
            file: entry.file.clone(),
            scenario: entry.scenario.clone(),
            attacker: entry.attacker,
            bytes,
        }
    }

    /// Opens the capture at its first packet.
    ///
    /// # Errors
    /// The file cannot be read, or is not a capture.
    pub fn open(&self) -> Result<Capture, CaptureError> {
        match &self.bytes {
            Bytes::File(path) => Capture::open(path),
            Bytes::Memory(bytes) => Capture::from_reader(&self.name(), Box::new(Cursor::new(bytes.clone()))),
        }
    }

    /// Recording and file name, such as `run-1/flood.pcap.zst`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.recording, self.file)
    }

    /// Class of a flow: the scenario if one of its endpoints is an attacker, otherwise `normal`.
    pub fn class_of(&self, src: (IpAddr, u16), dst: (IpAddr, u16)) -> &str {
        if self.attacker.label(src, dst) == Some(true) { &self.scenario } else { NORMAL }
    }

    /// Name and SHA-256.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn data_file(&self) -> Result<DataFile, DatasetError> {
        let read = |source| DatasetError::Read { file: self.name(), source };
        let reader: Box<dyn Read> = match &self.bytes {
            Bytes::File(path) => Box::new(File::open(path).map_err(read)?),
            Bytes::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
        };
        Ok(DataFile { file: self.name(), sha256: Hashing::new(reader).finish().map_err(read)? })
    }
}

/// Resolves a path to a manifest: the path itself, or the `manifest.csv` in the folder.
///
/// # Errors
/// The path is neither a manifest nor a folder with one.
pub fn manifest_of(path: &Path) -> Result<PathBuf, DatasetError> {
    let unknown = |found: &str| DatasetError::NotRecordings {
        file: path.display().to_string(),
        found: found.to_owned(),
    };
    if path.is_dir() {
        let manifest = path.join(MANIFEST);
        return if manifest.is_file() {
            Ok(manifest)
        } else {
            Err(unknown("a folder without a manifest.csv"))
        };
    }
    let mut head = Vec::new();
    let read = |source| DatasetError::Read { file: path.display().to_string(), source };
    File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head)).map_err(read)?;
    if head.is_empty() {
        return Err(unknown("an empty file"));
    }
    let Ok(text) = std::str::from_utf8(head.split(|&byte| byte == b'\n').next().unwrap_or_default()) else {
        return Err(unknown(
            "a binary file; a capture needs a manifest that names its scenario and attacker",
        ));
    };
    if Manifest::is_header(text) && !text.contains("is_attack") {
        return Ok(path.to_owned());
    }
    Err(unknown(if text.contains(',') {
        "a table that is not a manifest"
    } else {
        "a text file that is not a manifest"
    }))
}

//! Captures with who attacks in them: from manifests on disk or from memory.

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

/// The file that names a recording's captures.
const MANIFEST: &str = "manifest.csv";

/// A capture and who attacks in it.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The recording it belongs to, such as `run-1`.
    pub recording: String,
    /// Its file name.
    pub file: String,
    /// What goes on.
    pub scenario: String,
    /// Who attacks.
    pub attacker: Attacker,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
enum Bytes {
    File(PathBuf),
    Memory(Cow<'static, [u8]>),
}

impl Labelled {
    /// The captures of manifests: each a `manifest.csv` or a folder with one.
    ///
    /// # Errors
    /// A path is neither, a manifest contradicts its format, or a capture does not lie beside it.
    pub fn open_all(paths: &[PathBuf]) -> Result<Vec<Labelled>, DatasetError> {
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
                        problem: format!("{} does not lie beside the manifest", entry.file),
                    });
                }
                all.push(Labelled::new(&manifest.recording, entry, bytes));
            }
        }
        Ok(all)
    }

    /// The captures of a recording in memory: its manifest's text and the bytes of each file.
    ///
    /// # Errors
    /// The manifest contradicts its format, or `bytes_of` does not know a file of it.
    pub fn embedded(
        recording: &str,
        manifest: &str,
        bytes_of: impl Fn(&str) -> Option<Cow<'static, [u8]>>,
    ) -> Result<Vec<Labelled>, DatasetError> {
        let name = format!("{recording}/{MANIFEST}");
        let manifest = Manifest::parse(recording, &name, manifest)?;
        let one = |entry: &ManifestEntry| {
            let bytes = bytes_of(&entry.file).ok_or_else(|| DatasetError::Manifest {
                file: name.clone(),
                line: entry.line,
                column: "file",
                problem: format!("{} does not lie beside the manifest", entry.file),
            })?;
            Ok(Labelled::new(recording, entry, Bytes::Memory(bytes)))
        };
        manifest.entries.iter().map(one).collect()
    }

    fn new(recording: &str, entry: &ManifestEntry, bytes: Bytes) -> Labelled {
        Labelled {
            recording: recording.to_owned(),
            file: entry.file.clone(),
            scenario: entry.scenario.clone(),
            attacker: entry.attacker,
            bytes,
        }
    }

    /// Its packets from the begin.
    ///
    /// # Errors
    /// The file cannot be read, or is no capture.
    pub fn open(&self) -> Result<Capture, CaptureError> {
        match &self.bytes {
            Bytes::File(path) => Capture::open(path),
            Bytes::Memory(bytes) => Capture::from_reader(&self.name(), Box::new(Cursor::new(bytes.clone()))),
        }
    }

    /// Recording and file, such as `run-1/flood.pcap.zst`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.recording, self.file)
    }

    /// The class of a flow between these ends: the scenario where an attacker is one of them, else `normal`.
    pub fn class_of(&self, src: (IpAddr, u16), dst: (IpAddr, u16)) -> &str {
        if self.attacker.label(src, dst) == Some(true) { &self.scenario } else { NORMAL }
    }

    /// Name and fingerprint.
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

/// The manifest that a path stands for.
///
/// # Errors
/// It is neither a manifest nor a folder with one.
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
        "a table that is no manifest"
    } else {
        "a text file that is no manifest"
    }))
}

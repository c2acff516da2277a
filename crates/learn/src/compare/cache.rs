//! Results on disk: one file each, named by a hash of everything that decides the result.

use std::{fs, path::Path};

use citronella_sensor::output::write_file;
use sha2::{Digest, Sha256};

use super::{CompareError, Entry};

/// The name of an entry's file, without extension.
pub(super) fn key(inputs: &serde_json::Value) -> String {
    let digest = Sha256::digest(inputs.to_string().as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a stored entry. An unreadable file counts as absent.
pub(super) fn get(folder: Option<&Path>, key: &str) -> Option<Entry> {
    let text = fs::read(folder?.join(format!("{key}.json"))).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Stores an entry, atomically.
pub(super) fn put(folder: Option<&Path>, key: &str, entry: &Entry) -> Result<(), CompareError> {
    let Some(folder) = folder else { return Ok(()) };
    let path = folder.join(format!("{key}.json"));
    let failed = |problem: String| CompareError::Cache { path: path.display().to_string(), problem };
    fs::create_dir_all(folder).map_err(|e| failed(e.to_string()))?;
    let text = serde_json::to_string(entry).map_err(|e| failed(e.to_string()))?;
    write_file(&path, text.as_bytes()).map_err(|e| failed(e.to_string()))
}

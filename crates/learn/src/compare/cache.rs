//! Results on disk: a file each, named by a hash of everything that decides it.

use std::{fs, path::Path};

use citronella_sensor::output::write_file;
use sha2::{Digest, Sha256};

use super::{CompareError, Entry};

/// The name of an entry's file.
pub(super) fn key(decides: &serde_json::Value) -> String {
    let digest = Sha256::digest(decides.to_string().as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A kept entry. A file that cannot be read as one counts as none: it is computed anew.
pub(super) fn get(folder: Option<&Path>, key: &str) -> Option<Entry> {
    let text = fs::read(folder?.join(format!("{key}.json"))).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Keeps an entry; it appears whole or not at all.
pub(super) fn put(folder: Option<&Path>, key: &str, entry: &Entry) -> Result<(), CompareError> {
    let Some(folder) = folder else { return Ok(()) };
    let path = folder.join(format!("{key}.json"));
    let wrong = |problem: String| CompareError::Cache { path: path.display().to_string(), problem };
    fs::create_dir_all(folder).map_err(|e| wrong(e.to_string()))?;
    let text = serde_json::to_string(entry).map_err(|e| wrong(e.to_string()))?;
    write_file(&path, text.as_bytes()).map_err(|e| wrong(e.to_string()))
}

//! `--state DIR`: the engine's snapshot in a file.
//!
//! The file: a magic line, the version, the SHA-256 of the payload, and the payload in postcard's format. It is replaced
//! atomically; a damaged file or one of another version is set aside under another name.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{AlertEngine, Snapshot};
use crate::flow::initiator::Initiators;

const NAME: &str = "citronella.state";
const MAGIC: &[u8] = b"citronella state\n";
/// Incremented with every change of the format.
const VERSION: u32 = 2;
const DIGEST_BYTES: usize = 32;
/// Packet time between two writes.
const WRITE_NANOS: i64 = 60_000_000_000;

/// Why a folder cannot hold the state.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot store state here: {source}; give --state a folder that this user may write to", .folder.display())]
pub struct StateError {
    /// The folder.
    pub folder: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// A folder with a state file.
pub struct StateStore {
    folder: PathBuf,
    next_nanos: Option<i64>,
    writer: Option<JoinHandle<()>>,
}

impl StateStore {
    /// Opens a folder, and creates it where it does not exist.
    ///
    /// # Errors
    /// The folder cannot be created or written to.
    pub fn open(folder: &Path) -> Result<StateStore, StateError> {
        let failed = |source| StateError { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        tempfile::tempfile_in(folder).map_err(failed)?;
        Ok(StateStore { folder: folder.to_owned(), next_nanos: None, writer: None })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Restores the engine and the host counts from the file, if there is one.
    pub fn restore(&self, engine: &mut AlertEngine, hosts: &Initiators) {
        let path = self.path();
        let file = path.display();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                warn!(%file, "{file}: cannot read the state: {error}; starting without it");
                return;
            }
        };
        let snapshot = match parse(&bytes) {
            Ok(snapshot) => snapshot,
            Err(problem) => return set_aside(&path, problem),
        };
        let (restored_hosts, same_classes) = engine.restore(snapshot, hosts);
        let open = engine.counters().open;
        info!(%file, hosts = restored_hosts, incidents = open, "{file}: restored {restored_hosts} hosts and {open} open incidents");
        if !same_classes {
            warn!(%file, "{file}: its incidents are of a model with other classes and were dropped");
        }
    }

    /// Whether the state is due to be written again.
    pub fn is_due(&mut self, now_nanos: i64) -> bool {
        let due = *self.next_nanos.get_or_insert(now_nanos.saturating_add(WRITE_NANOS));
        if now_nanos < due && due.saturating_sub(now_nanos) <= 2 * WRITE_NANOS {
            return false;
        }
        self.next_nanos = Some(now_nanos.saturating_add(WRITE_NANOS));
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Writes the file on another thread.
    pub fn write_in_background(&mut self, snapshot: Snapshot) {
        let path = self.path();
        self.writer =
            std::thread::Builder::new().name("state".to_owned()).spawn(move || save(&path, &snapshot)).ok();
    }

    /// Writes the file.
    pub fn write(mut self, snapshot: &Snapshot) {
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        save(&self.path(), snapshot);
    }
}

/// Writes the file; detection goes on if that fails.
fn save(path: &Path, snapshot: &Snapshot) {
    if let Err(error) = write(path, snapshot) {
        let file = path.display();
        warn!(%file, "{file}: cannot write the state: {error}; a restart will not restore it");
    }
}

fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let payload = postcard::to_stdvec(snapshot).map_err(io::Error::other)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".citronella-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&VERSION.to_le_bytes())?;
    file.write_all(&Sha256::digest(&payload))?;
    file.write_all(&payload)?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

fn parse(bytes: &[u8]) -> Result<Snapshot, &'static str> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("is not a state file of citronella")?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or("is cut short")?;
    if u32::from_le_bytes(*version) != VERSION {
        return Err("has another version");
    }
    let (digest, payload) = rest.split_first_chunk::<DIGEST_BYTES>().ok_or("is cut short")?;
    if Sha256::digest(payload)[..] != digest[..] {
        return Err("is damaged");
    }
    postcard::from_bytes(payload).map_err(|_| "has another format")
}

fn set_aside(path: &Path, problem: &str) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let done = match fs::rename(path, &aside) {
        Ok(()) => format!("set aside as {}", Path::new(&aside).display()),
        Err(error) => format!("cannot be set aside: {error}"),
    };
    let file = path.display();
    warn!(%file, "{file} {problem}: {done}; starting without it");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::alert::engine::EndedFlows;
    use crate::alert::settings::Settings;
    use crate::detect::{Detector, ModelFile};
    use crate::metrics::{Metric, Metrics};

    fn engine() -> AlertEngine {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sequence.safetensors");
        let detector = Detector::new("model", &ModelFile::load(&model).unwrap()).unwrap();
        AlertEngine::new(Settings::default(), &detector, "model")
    }

    #[test]
    fn damaged_files_and_other_versions_are_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Initiators::new(Default::default(), 1);
        hosts.with("10.0.0.1".parse().unwrap(), 0, |_, _| {});
        let store = || StateStore::open(folder.path()).unwrap();
        let path = folder.path().join(NAME);
        let mut first = engine();
        for second in 0..7_200 {
            let ended = EndedFlows { flows: 1, near: &[0, 1, 0] };
            first.tick(77 + second * 1_000_000_000, ended, Metrics::default());
        }
        for metric in [Metric::FalsePositivesExpected, Metric::FalsePositivesCalibrated, Metric::DriftMinutes]
        {
            assert!(first.metrics().get(metric) > 0, "{metric:?}");
        }
        store().write(&first.snapshot(&hosts));
        let whole = fs::read(&path).unwrap();
        let restored = || {
            let (hosts, mut engine) = (Initiators::new(Default::default(), 1), engine());
            store().restore(&mut engine, &hosts);
            (hosts.len(), engine.snapshot(&hosts).started_nanos, engine.outlook())
        };
        assert_eq!(restored(), (1, Some(77), first.outlook()));
        assert!(first.outlook().unwrap().is_too_many());
        let mut other_version = whole.clone();
        other_version[MAGIC.len()] += 1;
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        for bytes in
            [&whole[..whole.len() - 1], &whole[..20], &other_version, &damaged, b"", b"something else"]
        {
            fs::write(&path, bytes).unwrap();
            assert_eq!(restored(), (0, None, None));
            assert!(!path.exists());
            assert_eq!(fs::read(folder.path().join("citronella.state.aside")).unwrap(), bytes);
        }
    }

    #[test]
    fn the_state_is_due_once_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::open(folder.path()).unwrap();
        let seconds = [0, 59, 60, 61, 120, 0];
        let due = seconds.map(|second| store.is_due(second * 1_000_000_000));
        // The last one: a clock that was set back by more than two minutes.
        assert_eq!(due, [false, false, true, false, true, true]);
    }
}

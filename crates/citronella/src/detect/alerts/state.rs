//! `--state DIR`: hosts' counts, open incidents and the account of benign scores over a restart.
//!
//! One file: a line that names it, version and length, the SHA-256 of what follows, and that, in postcard's form. It
//! appears whole or not at all; one that is damaged or of another version is set aside under another name.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use citronella_sensor::{
    alert::{Incidents, incident::Kept, rules::Rules},
    detect::Drift,
    flow::initiator::{HostsSnapshot, Initiators},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::drift::Suitability;
use crate::show::{complain, count};

const NAME: &str = "citronella.state";
const MAGIC: &[u8] = b"citronella state\n";
/// Grows with every change of what is kept.
const VERSION: u32 = 2;
const DIGEST_BYTES: usize = 32;
/// Packet time between two writes.
const EVERY_NANOS: i64 = 60_000_000_000;

#[derive(Serialize)]
struct Writing {
    incidents: Kept,
    began_nanos: Option<i64>,
    hosts: HostsSnapshot,
    drift: Drift,
}

#[derive(Deserialize)]
struct Reading {
    incidents: Kept,
    began_nanos: Option<i64>,
    hosts: HostsSnapshot,
    drift: Drift,
}

/// A folder with a state file.
pub(crate) struct StateFolder {
    folder: PathBuf,
    next_nanos: Option<i64>,
    writing: Option<JoinHandle<()>>,
}

impl StateFolder {
    /// A folder, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or not be written to.
    pub(crate) fn open(folder: PathBuf) -> Result<StateFolder> {
        let place =
            || format!("{}: cannot keep state here; give --state a folder to write to", folder.display());
        fs::create_dir_all(&folder).with_context(place)?;
        tempfile::tempfile_in(&folder).with_context(place)?;
        Ok(StateFolder { folder, next_nanos: None, writing: None })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Takes up what the file has; without one nothing happens.
    pub(super) fn take_up(
        &self,
        incidents: &mut Incidents,
        rules: &mut Rules,
        hosts: &Initiators,
        suitability: &mut Suitability,
    ) {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                complain(&format!("citronella: {}: cannot read: {error}; begins without it", path.display()));
                return;
            }
        };
        let kept = match parse(&bytes) {
            Ok(kept) => kept,
            Err(problem) => return set_aside(&path, problem),
        };
        if let Some(began) = kept.began_nanos {
            rules.begin(began);
        }
        suitability.take_up(kept.drift);
        let taken = hosts.restore(&kept.hosts);
        let same_classes = incidents.take_up(kept.incidents);
        let open = incidents.counters().open;
        let mut text =
            format!("{}: {} hosts and {open} open incidents go on", path.display(), count(taken as u64));
        if !same_classes {
            text += "; incidents of a model with other classes were left out";
        }
        complain(&text);
    }

    /// Writes the file in the background now and then.
    pub(super) fn tick(
        &mut self,
        now: i64,
        incidents: &Incidents,
        rules: &Rules,
        hosts: &Initiators,
        suitability: &Suitability,
    ) {
        let due = *self.next_nanos.get_or_insert(now.saturating_add(EVERY_NANOS));
        if now < due && due.saturating_sub(now) <= 2 * EVERY_NANOS {
            return;
        }
        self.next_nanos = Some(now.saturating_add(EVERY_NANOS));
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let (path, writing) = (self.path(), gather(incidents, rules, hosts, suitability));
        self.writing = std::thread::Builder::new().spawn(move || tell(&path, write(&path, &writing))).ok();
    }

    /// Writes the file at the end.
    pub(super) fn keep(
        mut self,
        incidents: &Incidents,
        rules: &Rules,
        hosts: &Initiators,
        suitability: &Suitability,
    ) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
        let path = self.path();
        tell(&path, write(&path, &gather(incidents, rules, hosts, suitability)));
    }
}

fn gather(incidents: &Incidents, rules: &Rules, hosts: &Initiators, suitability: &Suitability) -> Writing {
    Writing {
        incidents: incidents.keep(),
        began_nanos: rules.began_nanos(),
        hosts: hosts.snapshot(),
        drift: suitability.kept().clone(),
    }
}

/// Detection goes on without.
fn tell(path: &Path, written: io::Result<()>) {
    if let Err(error) = written {
        complain(&format!("citronella: {}: cannot write: {error}; the state is not kept", path.display()));
    }
}

fn write(path: &Path, writing: &Writing) -> io::Result<()> {
    let payload = postcard::to_stdvec(writing).map_err(io::Error::other)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".citronella-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&VERSION.to_le_bytes())?;
    file.write_all(&Sha256::digest(&payload))?;
    file.write_all(&payload)?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

fn parse(bytes: &[u8]) -> Result<Reading, &'static str> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("is no state of citronella")?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or("breaks off")?;
    if u32::from_le_bytes(*version) != VERSION {
        return Err("is of another version");
    }
    let (digest, payload) = rest.split_first_chunk::<DIGEST_BYTES>().ok_or("breaks off")?;
    if Sha256::digest(payload)[..] != digest[..] {
        return Err("is damaged");
    }
    postcard::from_bytes(payload).map_err(|_| "has another form")
}

fn set_aside(path: &Path, problem: &str) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let done = match fs::rename(path, &aside) {
        Ok(()) => format!("set aside as {}", Path::new(&aside).display()),
        Err(error) => format!("cannot be set aside: {error}"),
    };
    complain(&format!("citronella: {} {problem}: {done}; begins without it", path.display()));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::detect::{Rounding, load};
    use citronella_sensor::alert::settings::Settings;

    #[test]
    fn what_is_damaged_or_of_another_version_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Initiators::new(Default::default(), 1);
        let address = "10.0.0.1".parse().unwrap();
        hosts.with(address, 0, |_, _| {});
        let settings = Settings::default();
        let new = || Incidents::new(settings.alerts.clone(), Vec::new(), &["normal".to_owned()]);
        let state = || StateFolder::open(folder.path().to_owned()).unwrap();
        let path = folder.path().join(NAME);
        let mut rules = Rules::new(settings.rules);
        rules.begin(77);
        let suitability = || Suitability::new(&load(None, Rounding::F32).unwrap());
        let mut seen = suitability();
        (0..7_200).for_each(|second| seen.account(second * 1_000_000_000, 1, &[0, 1, 0], false));
        state().keep(&new(), &rules, &hosts, &seen);
        let whole = fs::read(&path).unwrap();
        let taken = || {
            let (hosts, mut rules) = (Initiators::new(Default::default(), 1), Rules::new(settings.rules));
            let mut suitability = suitability();
            state().take_up(&mut new(), &mut rules, &hosts, &mut suitability);
            (hosts.len(), rules.began_nanos(), suitability.outlook())
        };
        assert_eq!(taken(), (1, Some(77), seen.outlook()));
        assert!(seen.outlook().unwrap().is_too_many());
        let mut other_version = whole.clone();
        other_version[MAGIC.len()] += 1;
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        for bytes in
            [&whole[..whole.len() - 1], &whole[..20], &other_version, &damaged, b"", b"something else"]
        {
            fs::write(&path, bytes).unwrap();
            assert_eq!(taken(), (0, None, None));
            assert!(!path.exists());
            assert_eq!(fs::read(folder.path().join("citronella.state.aside")).unwrap(), bytes);
        }
    }
}

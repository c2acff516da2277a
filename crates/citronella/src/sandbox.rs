//! Confines the process before it reads the first packet: user, capabilities, files, system calls.
//!
//! Two steps, both while the process has one thread: [`become_user`] once the interfaces are open, then [`confine`].
//! Output files are opened after that, under the same restrictions as later on rotation and reload. [`Level`] names each
//! restriction that the kernel could not apply.

mod landlock;
mod privileges;
mod seccomp;

use std::{fmt, path::PathBuf};

use anyhow::{Result, ensure};
pub(crate) use privileges::{Account, become_user};
use tracing::{info, warn};

/// Paths that stay accessible.
#[derive(Debug, Default)]
pub(crate) struct AllowedPaths {
    /// Files that are read again on reload: a model, a configuration. Their folders become readable.
    pub(crate) read: Vec<PathBuf>,
    /// Files that are written, rotated and created again. Their folders become writable.
    pub(crate) written: Vec<PathBuf>,
    /// Folders that become writable.
    pub(crate) folders: Vec<PathBuf>,
}

/// The restrictions that are in force, and those that are not, with the reason.
#[derive(Debug, Default)]
pub(crate) struct Level {
    applied: Vec<String>,
    missing: Vec<String>,
}

impl Level {
    fn add(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.applied.push(name.to_owned()),
            Err(reason) => self.missing.push(format!("{name} ({reason})")),
        }
    }

    /// Logs the level: a warning unless it is full.
    pub(crate) fn log(&self) {
        if self.missing.is_empty() {
            info!("{self}");
        } else {
            warn!("{self}");
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied = if self.applied.is_empty() { "nothing".to_owned() } else { self.applied.join(", ") };
        match self.missing.as_slice() {
            [] => write!(f, "sandbox: full: {applied}"),
            missing => write!(f, "sandbox: partial: {applied}; missing: {}", missing.join(", ")),
        }
    }
}

/// Confines this process irrevocably.
///
/// # Errors
/// A restriction could not be applied although all are `required`.
pub(crate) fn confine(paths: &AllowedPaths, required: bool) -> Result<Level> {
    let mut level = Level::default();
    level.add("user other than root", privileges::not_root());
    level.add("no capabilities", privileges::drop_capabilities());
    level.add("no new privileges", privileges::no_new_privileges());
    // Landlock restricts the calling thread and the threads that it starts later, no others.
    level.add("single thread", privileges::single_thread());
    level.add("Landlock", landlock::restrict(paths));
    level.add("seccomp", seccomp::restrict());
    ensure!(
        !required || level.missing.is_empty(),
        "{level}; --require-sandbox needs every restriction: start as root with --user NAME, on a kernel that supports the \
         missing ones"
    );
    Ok(level)
}

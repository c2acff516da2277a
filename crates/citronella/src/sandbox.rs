//! Giving up what detection does not need, before the first packet is read: user, capabilities, files, system calls.
//!
//! In two steps, both before any thread is begun: [`become_user`] once the interfaces are open, then [`confine`]; what is
//! opened after that is opened within the sandbox, as it will be on rotation and reload. Each step that the kernel cannot
//! take is named, none is passed over in silence.

mod calls;
mod files;
mod user;

use std::{fmt, path::PathBuf};

use anyhow::{Result, ensure};
pub(crate) use user::{Account, become_user};

/// What must stay reachable.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Files that are read again: a model, a configuration. Their folders may be read.
    pub(crate) read: Vec<PathBuf>,
    /// Files that are written, renamed and begun anew. Their folders may be written to.
    pub(crate) written: Vec<PathBuf>,
    /// Folders that may be written to.
    pub(crate) folders: Vec<PathBuf>,
}

/// How far the confinement went.
#[derive(Debug, Default)]
pub(crate) struct Level {
    reached: Vec<String>,
    missing: Vec<String>,
}

impl Level {
    fn note(&mut self, what: &str, done: Result<(), String>) {
        match done {
            Ok(()) => self.reached.push(what.to_owned()),
            Err(why) => self.missing.push(format!("{what} ({why})")),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = if self.reached.is_empty() { "nothing".to_owned() } else { self.reached.join(", ") };
        match self.missing.as_slice() {
            [] => write!(f, "sandbox: full: {reached}"),
            missing => write!(f, "sandbox: partial: {reached}; missing: {}", missing.join(", ")),
        }
    }
}

/// Confines this process for good.
///
/// # Errors
/// `required`, and a step could not be taken.
pub(crate) fn confine(places: &Places, required: bool) -> Result<Level> {
    let mut level = Level::default();
    level.note("another user than root", user::not_root());
    level.note("no capabilities", user::drop_capabilities());
    level.note("no new privileges", user::no_new_privileges());
    // Each of the next two holds for this thread and those that it begins.
    level.note("one thread so far", user::only_thread());
    level.note("Landlock", files::restrict(places));
    level.note("seccomp", calls::restrict());
    ensure!(
        !required || level.missing.is_empty(),
        "{level}; --require-sandbox asks for all of it: give --user NAME, and a kernel with what is missing"
    );
    Ok(level)
}

//! Where a finished file may go: a new name, or that of a regular file.

use std::{fs, path::Path};

use anyhow::{Result, ensure};

/// Refuses a device, a pipe or a socket: a finished file takes its name by a rename, which would replace it (as root
/// even `/dev/null`).
pub(crate) fn check(output: &Path) -> Result<()> {
    let special = |path: &Path| fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
    ensure!(
        !special(output),
        "{}: cannot write: is a device, a pipe or a socket, which a file would replace; give a file's name",
        output.display()
    );
    Ok(())
}

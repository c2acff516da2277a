//! Paths that a command may write a finished file to.

use std::{fs, path::Path};

use anyhow::{Result, ensure};

/// Rejects devices, pipes and sockets: a finished file is renamed to its path, which would replace them (as root even
/// `/dev/null`).
pub(crate) fn check(path: &Path) -> Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    ensure!(
        !is_special,
        "{}: cannot write: is a device, a pipe or a socket, which a file would replace; give a file's name",
        path.display()
    );
    Ok(())
}

//! Landlock: only the allowed paths stay accessible, and no TCP port.

use std::{
    fs,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::AllowedPaths;

/// The version that the rules are written for. An older kernel enforces the part that it knows: a partial sandbox.
const VERSION: ABI = ABI::V6;

pub(super) fn restrict(paths: &AllowedPaths) -> Result<(), String> {
    let status = rules(paths).map_err(|error| error.to_string())?;
    match status {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("this kernel enforces only a part".to_owned()),
        RulesetStatus::NotEnforced => Err("not in this kernel, or not enabled at boot".to_owned()),
    }
}

fn rules(paths: &AllowedPaths) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let read = paths.read.iter().map(|path| (folder(path), reading));
    let written = paths.written.iter().filter(|path| path.as_os_str() != "-").map(|path| {
        // Devices and pipes are reopened, never renamed: allow the file itself, not all of /dev.
        let special = path.exists() && !path.is_file();
        (if special { path.clone() } else { folder(path) }, writing)
    });
    let folders = paths.folders.iter().map(|path| {
        // An error surfaces when the folder is used.
        let _ = fs::create_dir_all(path);
        (path.clone(), writing)
    });
    for (path, access) in read.chain(written).chain(folders) {
        rules = allow(rules, &path, access)?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Skips a path that does not exist: opening it would fail anyway.
fn allow(
    rules: landlock::RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(VERSION) };
    rules.add_rule(PathBeneath::new(opened, access))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

//! User, capabilities, new privileges.

use std::{fs, str::FromStr};

use anyhow::{Context, Result, bail};
use caps::CapSet;
use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{Gid, Group, Uid, User, geteuid, setgroups, setresgid, setresuid},
};

/// The user to run as, and its group: `NAME` or `NAME:GROUP`, each a name or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    name: String,
    user: Uid,
    group: Gid,
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Account, String> {
        let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
        let found = match name.parse::<u32>() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(name),
        };
        let found = found.map_err(|error| format!("cannot look up the user {name}: {error}"))?;
        let Some(user) = found else {
            return Err(format!(
                "no user {name}; create one: useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
            ));
        };
        let group = match group {
            None => user.gid,
            Some(group) => match group.parse::<u32>() {
                Ok(number) => Gid::from_raw(number),
                Err(_) => {
                    Group::from_name(group)
                        .map_err(|error| format!("cannot look up the group {group}: {error}"))?
                        .ok_or_else(|| format!("no group {group}"))?
                        .gid
                }
            },
        };
        Ok(Account { name: user.name, user: user.uid, group })
    }
}

/// Switches to another user irrevocably, without supplementary groups.
///
/// # Errors
/// The process lacks the privilege, or the user is root.
pub(crate) fn become_user(account: &Account) -> Result<()> {
    if account.user.is_root() {
        bail!("--user {}: give a user other than root", account.name);
    }
    let denied =
        || format!("--user {}: becoming another user needs root (CAP_SETUID, CAP_SETGID)", account.name);
    if account.user == geteuid() {
        return Ok(());
    }
    // Clear the bounding set while CAP_SETPCAP is still held.
    let _ = caps::clear(None, CapSet::Bounding);
    setgroups(&[account.group]).with_context(denied)?;
    setresgid(account.group, account.group, account.group).with_context(denied)?;
    setresuid(account.user, account.user, account.user).with_context(denied)?;
    // Verify that the switch cannot be undone.
    if setresuid(Uid::from_raw(u32::MAX), Uid::from_raw(0), Uid::from_raw(u32::MAX)) != Err(Errno::EPERM) {
        bail!("--user {}: the switch away from root could be undone", account.name);
    }
    Ok(())
}

pub(super) fn not_root() -> Result<(), String> {
    if geteuid().is_root() { Err("this is root; give --user NAME".to_owned()) } else { Ok(()) }
}

/// Clears every capability set and verifies that it is empty. The bounding set may remain: it grants nothing to a process
/// whose other sets are empty and that cannot gain privileges.
pub(super) fn drop_capabilities() -> Result<(), String> {
    let _ = caps::clear(None, CapSet::Bounding);
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|error| error.to_string())?;
        let left = caps::read(None, set).map_err(|error| error.to_string())?;
        if !left.is_empty() {
            return Err(format!("{left:?} remain in the {set:?} set"));
        }
    }
    Ok(())
}

pub(super) fn no_new_privileges() -> Result<(), String> {
    prctl::set_no_new_privs().map_err(|error| error.to_string())?;
    match prctl::get_no_new_privs() {
        Ok(true) => Ok(()),
        Ok(false) => Err("the kernel did not apply it".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Fails if the process has other threads: Landlock would not restrict those.
pub(super) fn single_thread() -> Result<(), String> {
    match fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) => Ok(()),
        Ok(threads) => Err(format!("{} others are running", threads - 1)),
        Err(error) => Err(format!("/proc/self/task: {error}")),
    }
}

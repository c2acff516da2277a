//! The target of records: stdout, a file that is rotated, or a pipe. A write that failed may be retried.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Rotation of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size in bytes at which a file is rotated; 0: never.
    pub bytes: u64,
    /// Number of rotated files that are kept, `FILE.1` the youngest.
    pub keep: u32,
}

/// The target of records.
pub struct Target {
    kind: Kind,
    rotation: Rotation,
}

enum Kind {
    Stdout,
    Path {
        path: PathBuf,
        /// `None` where it could not be opened, or the reader of the pipe is gone.
        open: Option<Opened>,
    },
}

struct Opened {
    file: File,
    /// Bytes of whole records in it; `None` for a pipe or a device, which cannot be truncated.
    len: Option<u64>,
}

impl Target {
    /// Opens a file, to append to or to replace; `-` is stdout. A pipe without a reader is opened later.
    pub fn open(path: &Path, append: bool, rotation: Rotation) -> io::Result<Target> {
        if path.as_os_str() == "-" {
            return Ok(Target { kind: Kind::Stdout, rotation });
        }
        let open = match open(path, append) {
            Ok(opened) => Some(opened),
            Err(error) if is_unread_pipe(path, &error) => None,
            Err(error) => return Err(error),
        };
        Ok(Target { kind: Kind::Path { path: path.to_owned(), open }, rotation })
    }

    /// Closes the file and opens its path again: log rotation has moved it away.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Kind::Path { path, open } = &mut self.kind {
            *open = None;
            *open = Some(self::open(path, true)?);
        }
        Ok(())
    }

    /// Writes whole records; into a file all or none of them.
    pub fn write(&mut self, records: &[u8]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(records).and_then(|()| stdout.flush())
            }
            Kind::Path { path, open } => {
                if open.is_none() {
                    *open = Some(self::open(path, true)?);
                }
                if let Some(opened) = open
                    && self.rotation.bytes > 0
                    && opened
                        .len
                        .is_some_and(|len| len > 0 && len + records.len() as u64 > self.rotation.bytes)
                {
                    *open = None;
                    rotate(path, self.rotation.keep)?;
                    *open = Some(self::open(path, false)?);
                }
                let Some(opened) = open else { return Err(io::ErrorKind::NotConnected.into()) };
                let written = opened.write(records);
                if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                    *open = None;
                }
                written
            }
        }
    }
}

impl Opened {
    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(records);
        match (&written, &mut self.len) {
            (Ok(()), Some(len)) => *len += records.len() as u64,
            // Part of a record would corrupt the next one's line.
            (Err(_), Some(len)) => self.file.set_len(*len)?,
            _ => {}
        }
        written
    }
}

fn open(path: &Path, append: bool) -> io::Result<Opened> {
    let is_regular = fs::metadata(path).map_or(true, |meta| meta.is_file());
    let mut options = OpenOptions::new();
    if is_regular {
        options.create(true).append(true);
    } else {
        options.write(true);
        set_nonblocking(&mut options);
    }
    let file = options.open(path)?;
    if !is_regular {
        set_blocking(&file)?;
        return Ok(Opened { file, len: None });
    }
    if !append {
        file.set_len(0)?;
    }
    let len = Some(file.metadata()?.len());
    Ok(Opened { file, len })
}

/// Opening a pipe without a reader fails instead of blocking.
#[cfg(unix)]
fn set_nonblocking(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK);
}

#[cfg(not(unix))]
fn set_nonblocking(_: &mut OpenOptions) {}

/// Writing to a slow reader blocks: the queue bounds what waits meanwhile.
#[cfg(unix)]
fn set_blocking(file: &File) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(file, FcntlArg::F_SETFL(OFlag::empty())).map(|_| ()).map_err(io::Error::from)
}

#[cfg(not(unix))]
fn set_blocking(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    use std::os::unix::fs::FileTypeExt;
    error.raw_os_error() == Some(libc::ENXIO)
        && fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_unread_pipe(_: &Path, _: &io::Error) -> bool {
    false
}

/// Renames `FILE` to `FILE.1`, `FILE.1` to `FILE.2`, and so on; removes the oldest.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if keep == 0 {
        return fs::remove_file(path);
    }
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NEVER: Rotation = Rotation { bytes: 0, keep: 0 };

    #[test]
    fn files_are_rotated_and_the_oldest_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let mut target = Target::open(&path, true, Rotation { bytes: 10, keep: 2 }).unwrap();
        for n in 0..9 {
            target.write(format!("line{n}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            [read("eve.json"), read("eve.json.1"), read("eve.json.2")],
            ["line8\n", "line7\n", "line6\n"]
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_moved_file_is_opened_again_and_an_existing_one_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        fs::write(&path, "old\n").unwrap();
        let mut target = Target::open(&path, true, NEVER).unwrap();
        target.write(b"a\n").unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        target.write(b"b\n").unwrap();
        target.reopen().unwrap();
        target.write(b"c\n").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("moved")).unwrap(), "old\na\nb\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "c\n");
        drop(Target::open(&path, false, NEVER).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_gets_a_new_reader() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut target = Target::open(&path, true, NEVER).unwrap();
        assert!(target.write(b"nobody\n").is_err());
        let mut text = String::new();
        for line in ["first\n", "second\n"] {
            let reader = || {
                let mut options = OpenOptions::new();
                set_nonblocking(options.read(true));
                options.open(&path).unwrap()
            };
            let mut reader = reader();
            target.write(line.as_bytes()).unwrap();
            let mut bytes = [0; 64];
            let len = reader.read(&mut bytes).unwrap();
            text += std::str::from_utf8(&bytes[..len]).unwrap();
            drop(reader);
            assert_eq!(target.write(b"lost\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
        assert_eq!(text, "first\nsecond\n");
    }
}

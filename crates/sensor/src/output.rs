//! Atomic output files: written under a temporary name in the same folder, then renamed.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempPath};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write: {source}{}", .path.display(), hint(.source))]
pub struct OutputError {
    /// The file's path.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; create the folder first",
        io::ErrorKind::PermissionDenied => "; choose a folder that this user may write to",
        io::ErrorKind::StorageFull => "; free some space or choose another folder; nothing was left behind",
        io::ErrorKind::IsADirectory => "; give a file name, not a folder",
        _ => "",
    }
}

/// An uncommitted file, a device, or stdout. A file that is dropped without [`Output::commit`] leaves nothing behind.
pub struct Output {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// The final path, and the name in messages.
    path: PathBuf,
    /// The file's path until it is committed.
    temporary: Option<TempPath>,
}

impl Output {
    /// Creates the file `path`, or opens it if it is a device or a pipe; `-` is stdout.
    ///
    /// # Errors
    /// The folder does not exist or may not be written to, or `path` is a folder.
    pub fn create(path: &Path) -> Result<Output, OutputError> {
        if path.as_os_str() == "-" {
            return Ok(Output::new(io::stdout(), Path::new("stdout"), None));
        }
        let failed = |source| OutputError { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        // A device or a pipe is opened: a rename would replace it by a file.
        if path.exists() && !path.is_file() {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Output::new(file, path, None));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (file, temporary) = temporary_file(folder).map_err(failed)?.into_parts();
        Ok(Output::new(file, path, Some(temporary)))
    }

    fn new(to: impl Write + Send + 'static, path: &Path, temporary: Option<TempPath>) -> Output {
        // Larger writes, such as a chunk of rows, bypass the buffer.
        let writer = BufWriter::with_capacity(1 << 16, Box::new(to) as Box<dyn Write + Send>);
        Output { writer, path: path.to_owned(), temporary }
    }

    /// Flushes the buffer and renames the file to its path.
    ///
    /// # Errors
    /// The disk is full, or the rename fails; then no file is left behind.
    pub fn commit(mut self) -> Result<(), OutputError> {
        let named = match (self.writer.flush(), self.temporary) {
            (Ok(()), Some(temporary)) => temporary.persist(&self.path).map_err(|error| error.error),
            (flushed, _) => flushed,
        };
        named.map_err(|source| OutputError { path: self.path, source })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes `bytes` to the file `path` atomically.
///
/// # Errors
/// As [`Output::create`] and [`Output::commit`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let mut output = Output::create(path)?;
    output.write_all(bytes).map_err(|source| OutputError { path: path.to_owned(), source })?;
    output.commit()
}

/// A temporary file with the permissions of any new file (by the umask), not only the owner's.
fn temporary_file(folder: &Path) -> io::Result<NamedTempFile<File>> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".citronella-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    // Without the temporary file's name, which would confuse the reader of the message.
    builder.tempfile_in(folder).map_err(|error| error.kind().into())
}

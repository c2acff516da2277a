//! Opening files, and recognising their format by content rather than by name.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use super::{DatasetError, Manifest, hash::Hashing};

/// Bytes of a file that decide its format.
const HEAD: u64 = 4096;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// pcap or pcapng.
    Capture,
    /// A recording's `manifest.csv`.
    Manifest,
    /// Apache Parquet.
    Parquet,
    /// NSL-KDD as text or ARFF.
    NslKdd,
    /// Text with a comma in its first line.
    Csv,
    /// Other text.
    Text,
    /// Anything else.
    Binary,
    /// Nothing.
    Empty,
}

/// Opens a file; gzip and zstd are decompressed.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, DatasetError> {
    let unreadable = |source| unreadable(path, source);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(unreadable)?);
    let head = reader.fill_buf().map_err(unreadable)?;
    if head.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(reader)));
    }
    if head.starts_with(b"\x28\xb5\x2f\xfd") {
        return Ok(Box::new(zstd::Decoder::with_buffer(reader).map_err(unreadable)?));
    }
    Ok(Box::new(reader))
}

/// Recognises a file by its first 4096 bytes, decompressed.
pub(crate) fn recognise(path: &Path) -> Result<Format, DatasetError> {
    let mut head = Vec::new();
    open(path)?.take(HEAD).read_to_end(&mut head).map_err(|source| unreadable(path, source))?;
    Ok(match head.get(..4) {
        _ if head.is_empty() => Format::Empty,
        Some(
            b"\xd4\xc3\xb2\xa1" | b"\xa1\xb2\xc3\xd4" | b"\x4d\x3c\xb2\xa1" | b"\xa1\xb2\x3c\x4d"
            | b"\x0a\x0d\x0d\x0a",
        ) => Format::Capture,
        Some(b"PAR1") => Format::Parquet,
        _ if is_nsl_kdd(&head) => Format::NslKdd,
        _ => {
            let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
            match std::str::from_utf8(line) {
                Ok(line) if Manifest::is_header(line) && !line.contains("is_attack") => Format::Manifest,
                Ok(line) if line.contains(',') => Format::Csv,
                Ok(_) => Format::Text,
                Err(_) => Format::Binary,
            }
        }
    })
}

/// Whether a file that starts so is NSL-KDD's: by its first line that is neither blank nor a comment.
fn is_nsl_kdd(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| std::str::from_utf8(line).unwrap_or("?"));
    let Some(line) = lines.find(|line| !line.trim().is_empty() && !line.starts_with('%')) else {
        return false;
    };
    let cells: Vec<&str> = line.trim().split(',').map(str::trim).collect();
    let protocol = cells.get(1).is_some_and(|cell| ["tcp", "udp", "icmp", "protocol_type"].contains(cell));
    let relation = line.to_ascii_lowercase();
    (matches!(cells.len(), 42 | 43) && protocol)
        || (relation.starts_with("@relation") && relation.contains("kdd"))
}

/// The SHA-256 of a file's bytes, as 64 hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> Result<String, DatasetError> {
    let hash = || Hashing::new(BufReader::with_capacity(1 << 18, File::open(path)?)).finish();
    hash().map_err(|source| unreadable(path, source))
}

pub(super) fn unreadable(path: &Path, source: std::io::Error) -> DatasetError {
    DatasetError::Read { file: path.display().to_string(), source }
}

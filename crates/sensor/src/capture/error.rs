//! Errors of captures: every message names the file, the offset and what to do.

use std::io;

use super::expression::ExpressionError;

/// Why a capture could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be opened.
    #[error("{name}: {source}{}", hint(.source))]
    Open {
        /// The file.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// A folder was given.
    #[error(
        "{name}: is a folder; give a capture file (.pcap or .pcapng, plain, .gz or .zst), or a manifest.csv that names its captures"
    )]
    Folder {
        /// The folder.
        name: String,
    },
    /// The file is empty.
    #[error("{name}: the file is empty; a capture begins with a pcap or pcapng header")]
    Empty {
        /// The file.
        name: String,
    },
    /// The first bytes are not a capture's.
    #[error(
        "{name}: not a capture: its first bytes are {found}; expected a pcap or pcapng file, plain, .gz or .zst"
    )]
    NotACapture {
        /// The file.
        name: String,
        /// The first bytes, as text or hex.
        found: String,
    },
    /// A link type that the decoder does not know.
    #[error(
        "{name}: link type {link_type} is not supported; supported are Ethernet (1), Linux cooked v1 (113) and v2 (276), raw IP (101, 12, 14, 228, 229) and BSD loopback (0, 108)"
    )]
    LinkType {
        /// The file.
        name: String,
        /// pcap's number for the link type.
        link_type: u32,
    },
    /// The filter does not apply to packets of this link layer.
    #[error("{name}: {problem}")]
    Filter {
        /// The file.
        name: String,
        /// The filter's error.
        problem: ExpressionError,
    },
    /// The file ends in the middle of a record.
    #[error("{name}: cut short in packet {packet} at byte {offset}{stream}: {needed} more bytes were expected; the {whole} whole packets before it are intact", whole = .packet - 1)]
    Cut {
        /// The file.
        name: String,
        /// Number of the incomplete packet, from 1.
        packet: u64,
        /// Offset of the incomplete record in the (decompressed) stream.
        offset: u64,
        /// " of the decompressed stream", or nothing.
        stream: &'static str,
        /// Number of missing bytes.
        needed: u64,
    },
    /// The compressed stream is damaged or truncated.
    #[error("{name}: the {compression} stream breaks off in packet {packet} at byte {offset} of the decompressed stream ({source}); the {whole} whole packets before it are intact", whole = .packet - 1)]
    Compressed {
        /// The file.
        name: String,
        /// gzip or zstd.
        compression: &'static str,
        /// Number of the incomplete packet, from 1.
        packet: u64,
        /// Offset in the decompressed stream.
        offset: u64,
        /// The decompressor's error.
        source: io::Error,
    },
    /// A record that contradicts the format.
    #[error("{name}: packet {packet} at byte {offset}{stream}: {problem}; the file is damaged from here on")]
    Malformed {
        /// The file.
        name: String,
        /// Number of the packet that would have come next, from 1.
        packet: u64,
        /// Offset of the record in the (decompressed) stream.
        offset: u64,
        /// " of the decompressed stream", or nothing.
        stream: &'static str,
        /// The contradiction.
        problem: String,
    },
    /// Live capture failed.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Live(#[from] super::live::LiveError),
    /// Reading failed.
    #[error("{name}: reading failed at byte {offset}: {source}")]
    Read {
        /// The file.
        name: String,
        /// Offset in the stream.
        offset: u64,
        /// The system's error.
        source: io::Error,
    },
}

impl CaptureError {
    /// Whether complete packets were read before the fault, so that a caller may choose to use them.
    pub fn is_cut(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Compressed { .. } | Self::Malformed { .. })
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied => "; grant this user read permission",
        _ => "",
    }
}

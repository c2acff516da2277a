//! Reading captures: packets in the order in which they were recorded.
//!
//! In: a pcap or pcapng file, plain, gzip or zstd, or any reader. Out: [`Packet`]s, one at a time, borrowed from one
//! buffer, or a [`Block`] at a time. A truncated file yields its complete packets first, then an error with the offset.
//! [`live`] captures from interfaces; [`filter`] and [`expression`] select packets.

mod block;
pub mod bpf;
mod counters;
mod error;
pub mod expression;
mod files;
pub mod filter;
mod link_notice;
#[cfg(target_os = "linux")]
pub mod live;
mod packet_source;
mod pcap;
mod pcapng;
mod source;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use citronella_wire::LinkType;

pub use block::Block;
pub use counters::CaptureCounters;
pub use error::CaptureError;
pub use files::Files;
pub use link_notice::{LinkEvent, LinkNotice};
pub use packet_source::{Next, Source};
use pcap::Pcap;
use pcapng::PcapNg;
pub use source::Compression;
use source::Source as ByteSource;

/// Wireshark's largest packet is 256 KiB; a longer record is damaged.
const MAX_RECORD_BYTES: usize = 1 << 24;

/// One recorded packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Number in the capture, from 1, as in Wireshark.
    pub number: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// Type of the first header.
    pub link: LinkType,
    /// Bytes on the wire; more than `bytes.len()` if the snap length cut the packet.
    pub wire_len: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// An open capture.
pub struct Capture {
    name: String,
    source: ByteSource,
    format: Format,
    packets: u64,
    /// Length of the record returned last, still in the buffer.
    pending: usize,
    failed: bool,
    /// The error to return after the last block's packets.
    fault: Option<CaptureError>,
}

/// A record within the source's window.
struct Record {
    time_nanos: i64,
    link: LinkType,
    wire_len: u32,
    from: usize,
    to: usize,
    length: usize,
}

/// An error of a format reader; the capture adds file, packet and offset.
enum Fault {
    Io(io::Error),
    Cut { needed: usize },
    LinkType(u32),
    Malformed(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

impl Capture {
    /// Opens a capture file; `-` is stdin.
    ///
    /// # Errors
    /// The file cannot be opened, is empty, is a folder, or is not a capture.
    pub fn open(path: &Path) -> Result<Capture, CaptureError> {
        let name = path.display().to_string();
        if path.as_os_str() == "-" {
            return Capture::from_reader("stdin", Box::new(io::stdin()));
        }
        if path.is_dir() {
            return Err(CaptureError::Folder { name });
        }
        match File::open(path) {
            Ok(file) => Capture::from_reader(&name, Box::new(file)),
            Err(source) => Err(CaptureError::Open { name, source }),
        }
    }

    /// Reads a capture from `reader`; errors call it `name`.
    ///
    /// # Errors
    /// The bytes are not a capture.
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send>) -> Result<Capture, CaptureError> {
        let name = name.to_owned();
        let mut source = match ByteSource::new(reader) {
            Ok(source) => source,
            Err(source) => return Err(CaptureError::Read { name, offset: 0, source }),
        };
        if let Err(error) = source.fill(4) {
            return Err(locate(&name, &source, 1, Fault::Io(error)));
        }
        let Some(magic) = source.available().first_chunk::<4>().copied() else {
            return Err(match source.available() {
                [] => CaptureError::Empty { name },
                head => CaptureError::NotACapture { found: describe(head), name },
            });
        };
        let format = if Pcap::recognises(magic) {
            Format::Pcap(Pcap::open(&mut source).map_err(|fault| locate(&name, &source, 1, fault))?)
        } else if PcapNg::recognises(magic) {
            Format::PcapNg(PcapNg::new())
        } else {
            let head = source.available();
            return Err(CaptureError::NotACapture { found: describe(head.get(..16).unwrap_or(head)), name });
        };
        Ok(Capture { name, source, format, packets: 0, pending: 0, failed: false, fault: None })
    }

    /// The next packet, or `None` at the end. After an error there are no more packets.
    ///
    /// # Errors
    /// The capture is truncated or damaged here.
    #[inline]
    #[allow(clippy::should_implement_trait)] // packets borrow from the capture, which Iterator cannot express
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        if self.failed {
            return Ok(None);
        }
        self.source.consume(std::mem::take(&mut self.pending));
        let record = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.source),
            Format::PcapNg(pcapng) => pcapng.next(&mut self.source),
        };
        match record {
            Ok(Some(record)) => {
                self.packets += 1;
                self.pending = record.length;
                Ok(Some(Packet {
                    number: self.packets,
                    time_nanos: record.time_nanos,
                    link: record.link,
                    wire_len: record.wire_len,
                    bytes: self.source.available().get(record.from..record.to).unwrap_or_default(),
                }))
            }
            Ok(None) => Ok(None),
            Err(fault) => {
                self.failed = true;
                Err(locate(&self.name, &self.source, self.packets + 1, fault))
            }
        }
    }

    /// The capture's name in error messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Packets read so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes read so far, of the decompressed stream.
    pub fn bytes(&self) -> u64 {
        self.source.offset()
    }

    /// pcapng blocks of unknown types that were skipped.
    pub fn unknown_blocks(&self) -> u64 {
        match &self.format {
            Format::Pcap(_) => 0,
            Format::PcapNg(pcapng) => pcapng.unknown_blocks,
        }
    }
}

fn locate(name: &str, source: &ByteSource, packet: u64, fault: Fault) -> CaptureError {
    let (name, offset, compression) = (name.to_owned(), source.offset(), source.compression());
    let stream = if compression == Compression::None { "" } else { " of the decompressed stream" };
    match fault {
        Fault::Io(source) if compression != Compression::None => {
            CaptureError::Compressed { name, compression: compression.name(), packet, offset, source }
        }
        Fault::Io(source) => CaptureError::Read { name, offset, source },
        Fault::Cut { needed } => CaptureError::Cut { name, packet, offset, stream, needed: needed as u64 },
        Fault::LinkType(link_type) => CaptureError::LinkType { name, link_type },
        Fault::Malformed(problem) => CaptureError::Malformed { name, packet, offset, stream, problem },
    }
}

/// The first bytes as text if they are text, else as hex.
fn describe(head: &[u8]) -> String {
    match std::str::from_utf8(head) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => {
            format!("the text {text:?}")
        }
        _ => head.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}

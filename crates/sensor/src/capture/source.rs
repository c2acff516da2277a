//! Bytes in order from a file or stdin, decompressed on the way, through one growing block buffer.
//!
//! In: a reader. Out: slices of the (decompressed) stream with their byte offset. Memory: one block, or the largest
//! record so far.

use std::io::{self, BufRead, BufReader, Read};

const BLOCK_BYTES: usize = 1 << 20;

/// How the bytes were compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

impl Compression {
    /// What error messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

/// A window onto the decompressed stream.
pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    compression: Compression,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of `buffer[start]` in the decompressed stream.
    offset: u64,
    finished: bool,
    /// Nothing is read or moved: what is buffered has to do.
    held: bool,
    /// It did not do.
    short: bool,
}

impl Source {
    /// Looks at the first bytes to find the compression.
    pub(super) fn new(reader: Box<dyn Read + Send>) -> io::Result<Source> {
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let magic = peek(&mut reader)?;
        let (reader, compression): (Box<dyn Read + Send>, _) = match magic {
            [0x1f, 0x8b, ..] => (Box::new(flate2::bufread::MultiGzDecoder::new(reader)), Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                (Box::new(zstd::stream::read::Decoder::with_buffer(reader)?), Compression::Zstd)
            }
            _ => (Box::new(reader), Compression::None),
        };
        Ok(Source {
            reader,
            compression,
            buffer: vec![0; BLOCK_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            finished: false,
            held: false,
            short: false,
        })
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Offset of the next unread byte in the decompressed stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is buffered and not yet consumed.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until `needed` bytes are available; `false` where the stream ends before that.
    #[inline]
    pub(super) fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if self.end - self.start >= needed {
            return Ok(true);
        }
        self.fill_slow(needed)
    }

    #[cold]
    fn fill_slow(&mut self, needed: usize) -> io::Result<bool> {
        if self.held {
            self.short = true;
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < needed && !self.finished {
            if self.end == self.buffer.len() {
                // What a length announces is believed as its bytes come.
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(free) {
                Ok(0) => self.finished = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.finished = true;
                    return Err(error);
                }
            }
        }
        Ok(self.end >= needed)
    }

    /// From now on nothing is read and nothing moves, or the stream goes on.
    #[inline]
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether more was asked for than was buffered while nothing was read; asked once.
    #[inline]
    pub(super) fn ran_short(&mut self) -> bool {
        std::mem::take(&mut self.short)
    }

    /// Where in the buffer the next unread byte stands.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// Gives the buffer away for another one, in which the stream goes on with what is not consumed.
    pub(super) fn swap(&mut self, other: &mut Vec<u8>, least_bytes: usize) {
        let rest = self.end - self.start;
        if other.len() < least_bytes.max(rest) {
            other.resize(least_bytes.max(rest), 0);
        }
        other.iter_mut().zip(self.available()).for_each(|(to, from)| *to = *from);
        std::mem::swap(&mut self.buffer, other);
        (self.start, self.end) = (0, rest);
    }

    /// Passes over `bytes`, which a caller has seen through [`Source::available`].
    #[inline]
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }
}

/// The first four bytes (zeros where there are fewer), left in the reader. A pipe may hand out fewer at first.
fn peek(reader: &mut BufReader<Box<dyn Read + Send>>) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    while let Err(error) = reader.fill_buf() {
        // A signal came.
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let head = reader.fill_buf()?;
    if head.len() >= 4 || head.is_empty() {
        magic.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        return Ok(magic);
    }
    let mut first = head.to_vec();
    let seen = first.len();
    reader.consume(seen);
    let mut rest = vec![0; 4 - seen];
    let mut got = 0;
    while got < rest.len() {
        match reader.read(rest.get_mut(got..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    rest.truncate(got);
    first.extend(rest);
    magic.iter_mut().zip(&first).for_each(|(to, from)| *to = *from);
    let inner = std::mem::replace(reader, BufReader::new(Box::new(io::empty())));
    *reader = BufReader::new(Box::new(io::Cursor::new(first).chain(inner)));
    Ok(magic)
}

//! A buffered byte stream from a file or stdin, with decompression.
//!
//! In: a reader. Out: slices of the (decompressed) stream with their byte offset. Memory: one block, or the largest
//! record so far.

use std::io::{self, BufRead, BufReader, Read};

const BLOCK_BYTES: usize = 1 << 20;

/// How the bytes were compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

impl Compression {
    /// Its name in error messages.
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
    /// The buffer is frozen: nothing is read or moved.
    is_frozen: bool,
    /// More bytes were requested than a frozen buffer has.
    is_short: bool,
}

impl Source {
    /// Detects the compression from the first bytes.
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
            is_frozen: false,
            is_short: false,
        })
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Offset of the next unread byte in the decompressed stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The buffered bytes that are not consumed.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until `needed` bytes are available; returns `false` if the stream ends before.
    #[inline]
    pub(super) fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if self.end - self.start >= needed {
            return Ok(true);
        }
        self.fill_slow(needed)
    }

    #[cold]
    fn fill_slow(&mut self, needed: usize) -> io::Result<bool> {
        if self.is_frozen {
            self.is_short = true;
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < needed && !self.finished {
            if self.end == self.buffer.len() {
                // Grows with the bytes that arrive, not with an announced length.
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

    /// Freezes the buffer, so that nothing is read or moved, or releases it.
    #[inline]
    pub(super) fn set_frozen(&mut self, is_frozen: bool) {
        self.is_frozen = is_frozen;
    }

    /// Whether more bytes were requested than the frozen buffer has; resets the answer.
    #[inline]
    pub(super) fn take_short(&mut self) -> bool {
        std::mem::take(&mut self.is_short)
    }

    /// Index in the buffer of the next unread byte.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// Swaps the buffer for another of at least `least_bytes`, and copies the bytes that are not consumed into it.
    pub(super) fn swap(&mut self, other: &mut Vec<u8>, least_bytes: usize) {
        let rest = self.end - self.start;
        if other.len() < least_bytes.max(rest) {
            other.resize(least_bytes.max(rest), 0);
        }
        other.iter_mut().zip(self.available()).for_each(|(to, from)| *to = *from);
        std::mem::swap(&mut self.buffer, other);
        (self.start, self.end) = (0, rest);
    }

    /// Skips `bytes` that [`Source::available`] returned.
    #[inline]
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }
}

/// The first four bytes, zero-padded, without consuming them. A pipe's first read may return fewer.
fn peek(reader: &mut BufReader<Box<dyn Read + Send>>) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    while let Err(error) = reader.fill_buf() {
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

//! SHA-256 of files.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// A file and the SHA-256 of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileHash {
    /// Recording and file name, such as `run-1/normal.pcap.zst`.
    pub file: String,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// A reader that hashes the bytes that pass through it.
pub(crate) struct Hashing<R> {
    inner: R,
    state: Sha256,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, state: Sha256::new() }
    }

    /// Reads the rest, and returns the digest of all bytes as 64 hexadecimal digits.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.state.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.state.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_includes_the_unread_rest() {
        let mut reader = Hashing::new(&b"abc"[..]);
        reader.read_exact(&mut [0; 1]).unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(reader.finish().unwrap(), expected);
    }
}

//! A text buffer that is written in pieces of fixed size: bytes beyond a piece's used length are overwritten by the next.
//!
//! Storing 8 bytes takes one instruction, appending a slice takes a call; a row has 31 pieces.

use std::{
    io::{self, Write},
    net::Ipv4Addr,
};

/// A buffer whose first `len` bytes are text; the others are capacity.
#[derive(Default)]
pub(in crate::feature) struct TextBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl TextBuffer {
    pub(in crate::feature) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Clears the text without freeing memory.
    pub(in crate::feature) fn clear(&mut self) {
        self.len = 0;
    }

    /// A writer with capacity for `pieces`; [`TextBuffer::commit`] appends what it wrote.
    #[inline]
    pub(super) fn writer(&mut self, pieces: usize) -> PieceWriter<'_> {
        let capacity = pieces * MAX_PIECE_BYTES + MAX_PIECE_BYTES;
        if self.bytes.len() < self.len + capacity {
            self.grow(capacity);
        }
        PieceWriter { free: self.bytes.get_mut(self.len..).unwrap_or_default(), at: 0 }
    }

    /// Appends the first `bytes` that a writer wrote.
    #[inline]
    pub(super) fn commit(&mut self, bytes: usize) {
        self.len = self.bytes.len().min(self.len + bytes);
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        self.bytes.resize((2 * self.bytes.len()).max(self.len + more), 0);
    }
}

impl Write for TextBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() < self.len + bytes.len() {
            self.grow(bytes.len());
        }
        if let Some(free) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            free.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Maximum size of a piece, including its unused bytes.
const MAX_PIECE_BYTES: usize = 40;

/// Writes pieces; separate from the buffer, so that a loop keeps its state in registers.
pub(super) struct PieceWriter<'a> {
    free: &'a mut [u8],
    /// Bytes written.
    at: usize,
}

impl PieceWriter<'_> {
    /// Bytes written.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Writes bytes of which the first `used` are text.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N], used: usize) {
        const { assert!(N <= MAX_PIECE_BYTES) };
        if let Some(free) = self.free.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *free = bytes;
        }
        self.at += used;
    }

    /// Writes a name of 2 to 16 bytes, as two pieces that may overlap; returns `false` for another length.
    #[inline]
    pub(super) fn name(&mut self, name: &[u8]) -> bool {
        match name.len() {
            2..4 => self.first_and_last::<2>(name),
            4..8 => self.first_and_last::<4>(name),
            8..=16 => self.first_and_last::<8>(name),
            _ => false,
        }
    }

    #[inline]
    fn first_and_last<const N: usize>(&mut self, name: &[u8]) -> bool {
        let (Some(first), Some(last)) = (name.first_chunk::<N>(), name.last_chunk::<N>()) else {
            return false;
        };
        self.put(*first, name.len() - N);
        self.put(*last, N);
        true
    }

    /// Writes a number below 100,000,000; returns `false` for a larger one.
    #[inline]
    pub(super) fn number(&mut self, number: u32) -> bool {
        if number >= 100_000_000 {
            return false;
        }
        let digits = eight_digits(number);
        // The last digit is written even if it is 0.
        let zeros = (digits | (1 << 56)).trailing_zeros() / 8;
        self.put(((digits | ASCII_ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
        true
    }

    /// Writes a decimal point and six digits.
    #[inline]
    pub(super) fn micros(&mut self, micros: u32) {
        let text = (eight_digits(micros) | ASCII_ZEROS) >> 8;
        self.put(((text & !0xff) | u64::from(b'.')).to_le_bytes(), 7);
    }

    /// Writes an IPv4 address.
    #[inline]
    pub(super) fn v4(&mut self, address: Ipv4Addr) {
        for octet in address.octets() {
            let used = 2 + usize::from(octet >= 10) + usize::from(octet >= 100);
            self.put(OCTETS[usize::from(octet)], used);
        }
        // Without the last dot.
        self.at = self.at.saturating_sub(1);
    }

    /// Overwrites the last byte.
    #[inline]
    pub(super) fn set_last(&mut self, byte: u8) {
        if let Some(last) = self.at.checked_sub(1).and_then(|last| self.free.get_mut(last)) {
            *last = byte;
        }
    }
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The digits of a number below 100,000,000, one per byte, the most significant in the lowest byte. Divides all halves at
/// once by multiplication (4 digits by 100, 2 digits by 10).
#[inline]
fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Each octet's digits, followed by a dot.
const OCTETS: [[u8; 4]; 256] = {
    let mut texts = [[b'.'; 4]; 256];
    let mut octet = 0;
    while octet < texts.len() {
        let mut rest = octet;
        let mut digits = 1 + (octet >= 10) as usize + (octet >= 100) as usize;
        while digits > 0 {
            digits -= 1;
            texts[octet][digits] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        octet += 1;
    }
    texts
};

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut PieceWriter<'_>)) -> String {
        let mut buffer = TextBuffer::default();
        let mut writer = buffer.writer(1);
        write(&mut writer);
        let bytes = writer.at();
        buffer.commit(bytes);
        String::from_utf8(buffer.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_formatted_as_by_std() {
        let powers = (0..8).map(|power| 10_u32.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, 7 * power]);
        for number in near.chain(0..=70_000).chain([99_999_999]) {
            assert_eq!(text(|writer| assert!(writer.number(number))), number.to_string());
        }
        assert_eq!(text(|writer| assert!(!writer.number(100_000_000))), "");
        for micros in (0..1_000_000).step_by(37).chain([999_999]) {
            assert_eq!(text(|writer| writer.micros(micros)), format!(".{micros:06}"));
        }
    }

    #[test]
    fn addresses_are_formatted_as_by_std() {
        for octet in 0..=255 {
            let address = Ipv4Addr::from([octet, 255 - octet, octet / 3, octet / 30]);
            assert_eq!(text(|writer| writer.v4(address)), address.to_string());
        }
    }

    #[test]
    fn short_names_are_written_completely() {
        let name = "ABCDEFGHIJKLMNOPQ";
        for len in 0..=name.len() {
            let name = &name[..len];
            let is_short = (2..=16).contains(&len);
            assert_eq!(
                text(|writer| assert_eq!(writer.name(name.as_bytes()), is_short)),
                if is_short { name } else { "" }
            );
        }
    }

    #[test]
    fn the_buffer_grows_and_is_reused() {
        let mut buffer = TextBuffer::default();
        for round in 0..3 {
            buffer.clear();
            let mut expected = String::new();
            for number in 0..20_000 {
                let mut writer = buffer.writer(2);
                writer.number(number);
                writer.put(*b"abcd", 2);
                writer.set_last(b'e');
                let bytes = writer.at();
                buffer.commit(bytes);
                buffer.write_all(b"...").unwrap();
                expected += &format!("{number}ae...");
            }
            assert_eq!(buffer.as_bytes(), expected.as_bytes(), "round {round}");
        }
    }
}

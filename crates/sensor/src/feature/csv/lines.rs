//! Text in the making: pieces of a fixed size are stored whole, and what is not meant is written over by the next.
//!
//! To store 8 bytes takes one instruction, to append as many as there are takes a call; a row has 31 pieces.

use std::{
    io::{self, Write},
    net::Ipv4Addr,
};

/// Bytes of which the first `len` count; the others are room that has been used before.
#[derive(Default)]
pub(in crate::feature) struct Lines {
    bytes: Vec<u8>,
    len: usize,
}

impl Lines {
    pub(in crate::feature) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Empty, its memory kept.
    pub(in crate::feature) fn clear(&mut self) {
        self.len = 0;
    }

    /// Room for so many pieces; [`Lines::take`] makes what is written there part of the text.
    #[inline]
    pub(super) fn pen(&mut self, pieces: usize) -> Pen<'_> {
        let room = pieces * WIDEST + WIDEST;
        if self.bytes.len() < self.len + room {
            self.grow(room);
        }
        Pen { room: self.bytes.get_mut(self.len..).unwrap_or_default(), at: 0 }
    }

    /// Adds what a pen wrote, so many bytes.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        self.len = self.bytes.len().min(self.len + bytes);
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        self.bytes.resize((2 * self.bytes.len()).max(self.len + more), 0);
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() < self.len + bytes.len() {
            self.grow(bytes.len());
        }
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that a piece may have, what is not meant of it included.
const WIDEST: usize = 40;

/// Writes pieces; a value of its own, which a loop keeps in registers.
pub(super) struct Pen<'a> {
    room: &'a mut [u8],
    /// Bytes written.
    at: usize,
}

impl Pen<'_> {
    /// Bytes written.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Writes bytes of which the first `used` are meant.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N], used: usize) {
        const { assert!(N <= WIDEST) };
        if let Some(room) = self.room.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *room = bytes;
        }
        self.at += used;
    }

    /// A name of 2 to 16 bytes, as two pieces that may overlap; whether it was one.
    #[inline]
    pub(super) fn name(&mut self, name: &[u8]) -> bool {
        match name.len() {
            2..4 => self.ends::<2>(name),
            4..8 => self.ends::<4>(name),
            8..=16 => self.ends::<8>(name),
            _ => false,
        }
    }

    #[inline]
    fn ends<const N: usize>(&mut self, name: &[u8]) -> bool {
        let (Some(first), Some(last)) = (name.first_chunk::<N>(), name.last_chunk::<N>()) else {
            return false;
        };
        self.put(*first, name.len() - N);
        self.put(*last, N);
        true
    }

    /// A number below 100,000,000; whether it was one.
    #[inline]
    pub(super) fn number(&mut self, number: u32) -> bool {
        if number >= 100_000_000 {
            return false;
        }
        let digits = eight_digits(number);
        // The least one stands even if it is 0.
        let zeros = (digits | (1 << 56)).trailing_zeros() / 8;
        self.put(((digits | ASCII_ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
        true
    }

    /// A point and six digits.
    #[inline]
    pub(super) fn micros(&mut self, micros: u32) {
        let text = (eight_digits(micros) | ASCII_ZEROS) >> 8;
        self.put(((text & !0xff) | u64::from(b'.')).to_le_bytes(), 7);
    }

    #[inline]
    pub(super) fn v4(&mut self, address: Ipv4Addr) {
        for octet in address.octets() {
            let used = 2 + usize::from(octet >= 10) + usize::from(octet >= 100);
            self.put(OCTETS[usize::from(octet)], used);
        }
        // Without the last point.
        self.at = self.at.saturating_sub(1);
    }

    /// Writes over the last byte.
    #[inline]
    pub(super) fn set_last(&mut self, byte: u8) {
        if let Some(last) = self.at.checked_sub(1).and_then(|last| self.room.get_mut(last)) {
            *last = byte;
        }
    }
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The digits of a number below 100,000,000, a byte each, the greatest in the least byte: all halves are divided at a
/// time, by multiplying (4 digits by 100, 2 digits by 10).
#[inline]
fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Each octet's digits, and a point behind them.
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

    fn text(write: impl Fn(&mut Pen<'_>)) -> String {
        let mut lines = Lines::default();
        let mut pen = lines.pen(1);
        write(&mut pen);
        let bytes = pen.at();
        lines.take(bytes);
        String::from_utf8(lines.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_spelt_as_std_spells_them() {
        let powers = (0..8).map(|power| 10_u32.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, 7 * power]);
        for number in near.chain(0..=70_000).chain([99_999_999]) {
            assert_eq!(text(|pen| assert!(pen.number(number))), number.to_string());
        }
        assert_eq!(text(|pen| assert!(!pen.number(100_000_000))), "");
        for micros in (0..1_000_000).step_by(37).chain([999_999]) {
            assert_eq!(text(|pen| pen.micros(micros)), format!(".{micros:06}"));
        }
    }

    #[test]
    fn addresses_are_spelt_as_std_spells_them() {
        for octet in 0..=255 {
            let address = Ipv4Addr::from([octet, 255 - octet, octet / 3, octet / 30]);
            assert_eq!(text(|pen| pen.v4(address)), address.to_string());
        }
    }

    #[test]
    fn short_names_are_written_whole() {
        let name = "ABCDEFGHIJKLMNOPQ";
        for len in 0..=name.len() {
            let name = &name[..len];
            let is_short = (2..=16).contains(&len);
            assert_eq!(
                text(|pen| assert_eq!(pen.name(name.as_bytes()), is_short)),
                if is_short { name } else { "" }
            );
        }
    }

    #[test]
    fn text_grows_and_is_used_again() {
        let mut lines = Lines::default();
        for round in 0..3 {
            lines.clear();
            let mut expected = String::new();
            for number in 0..20_000 {
                let mut pen = lines.pen(2);
                pen.number(number);
                pen.put(*b"abcd", 2);
                pen.set_last(b'e');
                let bytes = pen.at();
                lines.take(bytes);
                lines.write_all(b"...").unwrap();
                expected += &format!("{number}ae...");
            }
            assert_eq!(lines.as_bytes(), expected.as_bytes(), "round {round}");
        }
    }
}

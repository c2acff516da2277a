//! Primitive encodings: variable byte integers and length-prefixed data (MQTT 5.0, 1.5).

use super::{Violation, Violations};
use crate::cursor::Cursor;

/// Decodes a variable byte integer of at most four bytes (MQTT 5.0, 1.5.5).
pub(super) fn variable(cursor: &mut Cursor<'_>, found: &mut Violations) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = cursor.u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            found.insert_if(byte == 0 && shift > 0, Violation::RemainingLengthNotMinimal);
            return Some(value);
        }
    }
    None
}

/// Decodes binary data or a text: two bytes of length, then as many bytes.
pub(super) fn prefixed<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut ahead = *cursor;
    let len = ahead.u16()?;
    let bytes = ahead.take(usize::from(len))?;
    *cursor = ahead;
    Some(bytes)
}

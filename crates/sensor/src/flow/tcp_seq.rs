//! TCP sequence number arithmetic.

/// Whether sequence number `a` comes after `b`, modulo 2^32 (RFC 9293, 3.4).
#[inline]
pub(crate) fn after(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) < 0
}

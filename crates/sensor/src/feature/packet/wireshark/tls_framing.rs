//! Wireshark's framing of TLS records and WebSocket frames over TCP, and their Protocol column.
//!
//! In: bytes that start at a record. Out: its [`Extent`]. [`TlsState`] holds the state of a connection.

use super::services::Extent;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// RFC 8446, 4.2.1.
const SUPPORTED_VERSIONS: u16 = 43;

/// State of a TLS connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TlsState {
    is_tls: bool,
    /// Minor version from the records or the ServerHello; 4 is TLS 1.3.
    version: Option<u8>,
}

impl TlsState {
    /// Looks for a TLS record at the start of a segment of no other service; whether the connection is TLS.
    #[inline]
    pub(super) fn recognise(&mut self, payload: &[u8]) -> bool {
        self.is_tls |= matches!(payload, [20..=23, 3, 1 | 3, ..]);
        self.is_tls
    }

    /// The extent of the next record and its Protocol column.
    pub(super) fn record(&mut self, bytes: &[u8]) -> (Extent, &'static str) {
        let Some([kind, major, minor, a, b]) = bytes.first_chunk::<5>().copied() else {
            return (Extent::NeedsSegment, name(self.version));
        };
        if !matches!(kind, 20..=24) || major != 3 {
            return (Extent::Whole(bytes.len()), name(self.version));
        }
        let body = bytes.get(5..).unwrap_or_default();
        let version = match (kind, body.first()) {
            (HANDSHAKE, Some(&CLIENT_HELLO) | None) => None,
            (HANDSHAKE, Some(&SERVER_HELLO)) => server_version(body).or(Some(minor)),
            _ => Some(minor),
        };
        self.version = self.version.or(version);
        let len = 5 + usize::from(u16::from_be_bytes([a, b]));
        let name = name(self.version.or(Some(minor)));
        match len.checked_sub(bytes.len()) {
            None | Some(0) => (Extent::Whole(len), name),
            Some(more) => (Extent::Needs(more as u32), name),
        }
    }
}

fn name(version: Option<u8>) -> &'static str {
    match version {
        Some(0) => "SSLv3",
        Some(1) => "TLSv1",
        Some(2) => "TLSv1.1",
        Some(3) => "TLSv1.2",
        Some(4) => "TLSv1.3",
        _ => "TCP",
    }
}

/// The minor version selected by a ServerHello's supported_versions extension; `None` without the extension.
fn server_version(hello: &[u8]) -> Option<u8> {
    // Type and length (4), version (2), random (32), session (1 + n), cipher suite (2), compression (1), length (2).
    let session = usize::from(*hello.get(38)?);
    let mut rest = hello.get(39 + session + 5..)?;
    while let Some(([a, b, c, d], after)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([*c, *d]));
        if u16::from_be_bytes([*a, *b]) == SUPPORTED_VERSIONS {
            return after.get(1).copied();
        }
        rest = after.get(len..)?;
    }
    None
}

/// The extent of the next WebSocket frame (RFC 6455, 5.2).
pub(super) fn web_socket(bytes: &[u8]) -> Extent {
    let Some([_, second]) = bytes.first_chunk::<2>() else { return Extent::NeedsSegment };
    let number = |from: usize, to: usize| {
        Some(bytes.get(from..to)?.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (head, payload) = match second & 0x7f {
        126 => (4, number(2, 4)),
        127 => (10, number(2, 10)),
        short => (2, Some(u64::from(short))),
    };
    let Some(payload) = payload else { return Extent::NeedsSegment };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    match payload.saturating_add(head + mask).checked_sub(bytes.len() as u64) {
        None | Some(0) => Extent::Whole((payload + head + mask) as usize),
        Some(more) => Extent::Needs(more as u32),
    }
}

/// Whether an HTTP response upgrades the connection to WebSocket (RFC 6455, 4.2.2).
pub(super) fn is_web_socket_upgrade(response: &[u8]) -> bool {
    let needle = b"upgrade: websocket";
    response.starts_with(b"HTTP/1.1 101")
        && response.windows(needle.len()).any(|words| words.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_hello_sets_the_version() {
        let mut tls = TlsState::default();
        assert!(!tls.recognise(b"\x16\x03\x00") && tls.recognise(b"\x16\x03\x01"));
        assert_eq!(tls.record(&[22, 3, 1, 0, 2, 1, 0]), (Extent::Whole(7), "TLSv1"));
        assert_eq!(tls.record(&[22, 3]), (Extent::NeedsSegment, "TCP"));
        let mut hello = vec![2, 0, 0, 0, 3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0x13, 1, 0, 0, 10, 0, 51, 0, 0, 0, 43, 0, 2, 3, 4]);
        let record = [&[22, 3, 3, 0, hello.len() as u8][..], &hello].concat();
        assert_eq!(tls.record(&record), (Extent::Whole(record.len()), "TLSv1.3"));
        assert_eq!(tls.record(&[23, 3, 3, 1, 0, 9]), (Extent::Needs(255), "TLSv1.3"));
        let mut older = TlsState::default();
        assert_eq!(older.record(&[23, 3, 3, 0, 1, 9, 23, 3]), (Extent::Whole(6), "TLSv1.2"));
    }

    #[test]
    fn web_socket_frames_have_three_lengths() {
        assert_eq!(web_socket(&[0x82, 3, 1, 2, 3, 0x82]), Extent::Whole(5));
        assert_eq!(web_socket(&[0x82, 0x83, 1, 2, 3, 4]), Extent::Needs(3));
        assert_eq!(web_socket(&[0x82, 126, 1]), Extent::NeedsSegment);
        assert_eq!(web_socket(&[0x82, 126, 1, 0]), Extent::Needs(256));
        assert_eq!(web_socket(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Extent::Needs(65_536));
        assert_eq!(web_socket(&[0x82; 1]), Extent::NeedsSegment);
        let _ = web_socket(&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]);
        assert!(is_web_socket_upgrade(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n"));
        assert!(!is_web_socket_upgrade(b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\n"));
    }
}

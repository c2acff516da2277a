//! MQTT over WebSocket (RFC 6455; MQTT 5.0, 6): one direction of a connection, from the HTTP handshake to frame
//! payloads.
//!
//! In: chunks of any size, in order. Out: the unmasked payload of binary frames, for [`crate::mqtt::Stream`] (frames
//! and control packets need not share boundaries, MQTT-6.0.0-2). The HTTP head is buffered up to a cap.

use crate::cursor::{after, first};

/// Bytes of the HTTP head that are buffered; a longer one is not a WebSocket's.
const HEAD_BYTES: usize = 8_192;
/// Bytes unmasked at a time.
const PIECE: usize = 512;

/// State of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebSocketState {
    /// Within the HTTP head.
    Head,
    /// After an upgrade: frames.
    Frames,
    /// After a close frame.
    Closed,
    /// HTTP without an upgrade, or not HTTP: no payload.
    Other,
}

/// One direction of a WebSocket connection.
#[derive(Clone, Debug)]
pub struct WebSocket {
    state: WebSocketState,
    /// The HTTP head, or an incomplete frame header.
    buffer: Vec<u8>,
    is_mqtt: bool,
    frame: Option<Frame>,
    frames: u64,
    unread_frames: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    /// Compressed by an extension: its payload is not decoded.
    compressed: bool,
    remaining: u64,
    mask: [u8; 4],
    /// Bytes of the payload so far, modulo 4.
    phase: usize,
}

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

impl Default for WebSocket {
    fn default() -> Self {
        Self::new()
    }
}

impl WebSocket {
    /// A direction seen from its first byte.
    pub fn new() -> Self {
        Self {
            state: WebSocketState::Head,
            buffer: Vec::new(),
            is_mqtt: false,
            frame: None,
            frames: 0,
            unread_frames: 0,
        }
    }

    /// Current state.
    pub fn state(&self) -> WebSocketState {
        self.state
    }

    /// Whether the HTTP head names the subprotocol `mqtt` (MQTT-6.0.0-3), or `mqttv3.1` of older clients.
    pub fn is_mqtt(&self) -> bool {
        self.is_mqtt
    }

    /// Frames so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames whose payload was not decoded: text, control, compressed.
    pub fn unread_frames(&self) -> u64 {
        self.unread_frames
    }

    /// Whether a direction may be a WebSocket, by its first bytes: an HTTP `GET`, or a `101` response.
    pub fn looks_like_upgrade(bytes: &[u8]) -> bool {
        bytes.starts_with(b"GET ") || bytes.starts_with(b"HTTP/1.1 101")
    }

    /// Takes the next bytes; `sink` gets the payload of binary frames in pieces.
    pub fn push(&mut self, mut chunk: &[u8], mut sink: impl FnMut(&[u8])) {
        while !chunk.is_empty() {
            chunk = match self.state {
                WebSocketState::Head => self.head(chunk),
                WebSocketState::Frames if self.frame.is_some() => self.payload(chunk, &mut sink),
                WebSocketState::Frames => self.header(chunk),
                WebSocketState::Closed | WebSocketState::Other => return,
            };
        }
    }

    /// Takes a loss: frame boundaries cannot be found again.
    pub fn gap(&mut self) {
        self.buffer = Vec::new();
        self.frame = None;
        self.state = WebSocketState::Other;
    }

    fn head<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let before = self.buffer.len();
        let free = HEAD_BYTES - before.min(HEAD_BYTES);
        self.buffer.extend_from_slice(first(chunk, free));
        let from = before.saturating_sub(3);
        let end = after(&self.buffer, from).windows(4).position(|window| window == b"\r\n\r\n");
        match end {
            Some(at) => {
                let head_len = from + at + 4;
                let (upgrade, is_mqtt) = read_head(first(&self.buffer, head_len));
                self.is_mqtt = is_mqtt;
                self.state = if upgrade { WebSocketState::Frames } else { WebSocketState::Other };
                self.buffer = Vec::new();
                after(chunk, head_len - before)
            }
            None if self.buffer.len() >= HEAD_BYTES => {
                self.gap();
                &[]
            }
            None => &[],
        }
    }

    fn header<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let before = self.buffer.len();
        self.buffer.extend_from_slice(first(chunk, LONGEST_HEADER));
        let Some((frame, header_len)) = frame_header(&self.buffer) else {
            return after(chunk, LONGEST_HEADER);
        };
        self.buffer.clear();
        self.frames += 1;
        let is_read = matches!(frame.opcode, CONTINUATION | BINARY) && !frame.compressed;
        self.unread_frames += u64::from(!is_read);
        match frame {
            Frame { opcode: CLOSE, .. } => self.state = WebSocketState::Closed,
            Frame { remaining: 0, .. } => {}
            _ => self.frame = Some(frame),
        }
        after(chunk, header_len.saturating_sub(before))
    }

    fn payload<'c>(&mut self, chunk: &'c [u8], sink: &mut impl FnMut(&[u8])) -> &'c [u8] {
        let Some(frame) = &mut self.frame else { return chunk };
        let here = usize::try_from(frame.remaining).map_or(chunk.len(), |left| left.min(chunk.len()));
        let part = first(chunk, here);
        if matches!(frame.opcode, CONTINUATION | BINARY) && !frame.compressed {
            for piece in part.chunks(PIECE) {
                frame.unmask(piece, sink);
            }
        }
        frame.remaining -= here as u64;
        if frame.remaining == 0 {
            self.frame = None;
        }
        after(chunk, here)
    }
}

impl Frame {
    /// Unmasks a piece of at most [`PIECE`] bytes (RFC 6455, 5.3).
    fn unmask(&mut self, piece: &[u8], sink: &mut impl FnMut(&[u8])) {
        if self.mask == [0; 4] {
            return sink(piece);
        }
        let mut clear = [0; PIECE];
        let mask = self.mask.iter().cycle().skip(self.phase);
        for ((slot, byte), mask) in clear.iter_mut().zip(piece).zip(mask) {
            *slot = byte ^ mask;
        }
        self.phase = (self.phase + piece.len()) % 4;
        sink(first(&clear, piece.len()));
    }
}

const LONGEST_HEADER: usize = 14;

/// Decodes a frame header (RFC 6455, 5.2); `None` if it is incomplete.
fn frame_header(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [start, lengths] = *bytes.first_chunk::<2>()?;
    let rest = after(bytes, 2);
    let (remaining, used) = match lengths & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        len => (u64::from(len), 0),
    };
    let mut header_len = 2 + used;
    let mut mask = [0; 4];
    if lengths & 0x80 != 0 {
        mask = *after(rest, used).first_chunk()?;
        header_len += 4;
    }
    let frame = Frame { opcode: start & 0x0f, compressed: start & 0x40 != 0, remaining, mask, phase: 0 };
    Some((frame, header_len))
}

/// Whether the HTTP head upgrades to WebSocket, and whether it names a subprotocol of MQTT.
fn read_head(head: &[u8]) -> (bool, bool) {
    let mut upgrade = false;
    let mut is_mqtt = false;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (first(line, colon).trim_ascii(), after(line, colon + 1).trim_ascii());
        if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade |= value.eq_ignore_ascii_case(b"websocket");
        } else if name.eq_ignore_ascii_case(b"sec-websocket-protocol") {
            is_mqtt |= value.split(|byte| *byte == b',').any(|protocol| {
                let protocol = protocol.trim_ascii();
                protocol.eq_ignore_ascii_case(b"mqtt") || protocol.eq_ignore_ascii_case(b"mqttv3.1")
            });
        }
    }
    (upgrade, is_mqtt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Protocol: x, mqtt\r\n\r\n";

    /// RFC 6455, 5.7: a masked "Hello", as a binary frame, and an unmasked one of 256 bytes.
    fn frames() -> Vec<u8> {
        let mut bytes = vec![0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        bytes.extend([0x89, 0x00, 0x82, 0x7e, 0x01, 0x00]);
        bytes.extend([b'x'; 256]);
        bytes.extend([0x88, 0x00]);
        bytes
    }

    #[test]
    fn any_chunking_gives_the_same_payload() {
        let all = [REQUEST, &frames()].concat();
        for size in 1..all.len() {
            let mut socket = WebSocket::new();
            let mut payload = Vec::new();
            for chunk in all.chunks(size) {
                socket.push(chunk, |piece| payload.extend_from_slice(piece));
            }
            assert!(socket.is_mqtt());
            assert_eq!(socket.state(), WebSocketState::Closed);
            assert_eq!((socket.frames(), socket.unread_frames()), (4, 2));
            assert_eq!(payload, [&b"Hello"[..], &[b'x'; 256]].concat());
        }
    }

    #[test]
    fn http_without_upgrade_gives_nothing() {
        let mut socket = WebSocket::new();
        socket.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\x82\x01a", |_| panic!("no payload"));
        assert_eq!(socket.state(), WebSocketState::Other);
        let mut endless = WebSocket::new();
        endless.push(&[b'a'; 100_000], |_| panic!("no payload"));
        assert_eq!(endless.state(), WebSocketState::Other);
    }
}

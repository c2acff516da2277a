//! TCP headers (RFC 9293), flags and four options.

use etherparse::TcpHeaderSlice;

use crate::cursor::{after, first};
use crate::stop::{Layer, Reason, Stop};

/// A TCP header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tcp {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number, absolute.
    pub seq: u32,
    /// Acknowledgment number, absolute.
    pub ack: u32,
    /// The twelve bits after Data Offset.
    pub flags: TcpFlags,
    /// Window, unscaled.
    pub window: u16,
    /// Checksum as sent; not verified.
    pub checksum: u16,
    /// Urgent pointer.
    pub urgent_pointer: u16,
    /// Bytes of the header with options, by Data Offset.
    pub header_len: u8,
    /// The decoded options.
    pub options: TcpOptions,
}

/// TCP's control bits: the eight of RFC 9293, AE (formerly NS) and three reserved ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// Bit of FIN.
    pub const FIN: u16 = 0x001;
    /// Bit of SYN.
    pub const SYN: u16 = 0x002;
    /// Bit of RST.
    pub const RST: u16 = 0x004;
    /// Bit of PSH.
    pub const PSH: u16 = 0x008;
    /// Bit of ACK.
    pub const ACK: u16 = 0x010;
    /// Bit of URG.
    pub const URG: u16 = 0x020;
    /// Bit of ECE.
    pub const ECE: u16 = 0x040;
    /// Bit of CWR.
    pub const CWR: u16 = 0x080;
    /// Bit of AE, formerly NS.
    pub const NS: u16 = 0x100;
    /// The three reserved bits.
    pub const RESERVED: u16 = 0xe00;

    #[inline]
    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// No more data from the sender.
    #[inline]
    pub fn fin(self) -> bool {
        self.has(Self::FIN)
    }

    /// Synchronise sequence numbers.
    #[inline]
    pub fn syn(self) -> bool {
        self.has(Self::SYN)
    }

    /// Reset the connection.
    #[inline]
    pub fn rst(self) -> bool {
        self.has(Self::RST)
    }

    /// Push.
    #[inline]
    pub fn psh(self) -> bool {
        self.has(Self::PSH)
    }

    /// The acknowledgment number is valid.
    #[inline]
    pub fn ack(self) -> bool {
        self.has(Self::ACK)
    }

    /// The urgent pointer is valid.
    #[inline]
    pub fn urg(self) -> bool {
        self.has(Self::URG)
    }

    /// ECN echo (RFC 3168).
    #[inline]
    pub fn ece(self) -> bool {
        self.has(Self::ECE)
    }

    /// Congestion window reduced (RFC 3168).
    #[inline]
    pub fn cwr(self) -> bool {
        self.has(Self::CWR)
    }

    /// Accurate ECN, formerly the nonce sum (RFC 3540).
    #[inline]
    pub fn ns(self) -> bool {
        self.has(Self::NS)
    }

    /// Any of the three reserved bits.
    #[inline]
    pub fn reserved(self) -> bool {
        self.has(Self::RESERVED)
    }
}

/// The decoded options; others are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpOptions {
    /// Maximum segment size in bytes.
    pub mss: Option<u16>,
    /// Window scale: the shift count as sent.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323): value and echo reply.
    pub timestamps: Option<(u32, u32)>,
    /// The list ends early, or an option has an invalid length.
    pub malformed: bool,
}

impl TcpOptions {
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::default(),
            // Fast path: the options of nearly every segment of an open connection.
            [1, 1, 8, 10, a, b, c, d, e, f, g, h] => Self {
                timestamps: Some((
                    u32::from_be_bytes([*a, *b, *c, *d]),
                    u32::from_be_bytes([*e, *f, *g, *h]),
                )),
                ..Self::default()
            },
            _ => Self::walk(bytes),
        }
    }

    fn walk(mut rest: &[u8]) -> Self {
        let mut options = Self::default();
        loop {
            match rest {
                [] | [0, ..] => return options,
                [1, tail @ ..] => rest = tail,
                [kind, len, ..] if *len >= 2 && usize::from(*len) <= rest.len() => {
                    options.set(*kind, first(after(rest, 2), usize::from(*len) - 2));
                    rest = after(rest, usize::from(*len));
                }
                _ => {
                    options.malformed = true;
                    return options;
                }
            }
        }
    }

    fn set(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (2, [a, b]) => self.mss = Some(u16::from_be_bytes([*a, *b])),
            (3, [shift]) => self.window_scale = Some(*shift),
            (4, []) => self.sack_permitted = true,
            (8, [a, b, c, d, e, f, g, h]) => {
                self.timestamps =
                    Some((u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h])));
            }
            (2 | 3 | 4 | 8, _) => self.malformed = true,
            _ => {}
        }
    }
}

/// Decodes a TCP header that begins at byte `at` of the frame. With an invalid Data Offset, the fixed fields are
/// decoded.
#[inline(always)]
pub(crate) fn decode(bytes: &[u8], at: usize) -> (Option<Tcp>, Option<Stop>) {
    if let Ok(header) = TcpHeaderSlice::from_slice(bytes) {
        return (Some(fields(&header)), None);
    }
    malformed(bytes, at)
}

#[cold]
#[inline(never)]
fn malformed(bytes: &[u8], at: usize) -> (Option<Tcp>, Option<Stop>) {
    let stop = |reason| Some(Stop { layer: Layer::Tcp, reason, offset: at });
    let Some(mut fixed) = bytes.first_chunk::<20>().copied() else { return (None, stop(Reason::Cut)) };
    let offset = fixed[12] >> 4;
    let reason = if offset < 5 { Reason::HeaderLength } else { Reason::Cut };
    fixed[12] = (fixed[12] & 0x0f) | 0x50;
    match TcpHeaderSlice::from_slice(&fixed) {
        Ok(header) => (Some(Tcp { header_len: offset * 4, ..fields(&header) }), stop(reason)),
        Err(_) => (None, stop(reason)),
    }
}

#[inline(always)]
fn fields(header: &TcpHeaderSlice<'_>) -> Tcp {
    let flags = match header.slice().first_chunk::<14>() {
        Some([.., high, low]) => u16::from_be_bytes([*high, *low]) & 0x0fff,
        None => 0,
    };
    Tcp {
        src_port: header.source_port(),
        dst_port: header.destination_port(),
        seq: header.sequence_number(),
        ack: header.acknowledgment_number(),
        flags: TcpFlags(flags),
        window: header.window_size(),
        checksum: header.checksum(),
        urgent_pointer: header.urgent_pointer(),
        header_len: header.data_offset() * 4,
        options: TcpOptions::read(header.options()),
    }
}

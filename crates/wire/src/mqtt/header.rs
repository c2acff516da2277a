//! The fixed header: type, flags, Remaining Length (MQTT 3.1.1, 2.2; MQTT 5.0, 2.1).

use super::{Version, Violation, Violations};

/// A control packet's fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedHeader {
    /// Control packet type, 0 to 15 (see [`super::kind`]).
    pub kind: u8,
    /// The four flags: for a PUBLISH DUP (8), QoS (6) and RETAIN (1).
    pub flags: u8,
    /// Bytes of the message after the fixed header.
    pub remaining_length: u32,
    /// Bytes of the fixed header: 2 to 5.
    pub header_len: usize,
}

/// Result of an incremental read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Complete.
    Done(T),
    /// The input is too short.
    Incomplete {
        /// Bytes needed in total, at least.
        needed: usize,
    },
    /// Invalid, whatever follows.
    Malformed(Violation),
}

/// Decodes a fixed header; malformed only with a Remaining Length of more than four bytes.
#[inline]
pub fn fixed_header(bytes: &[u8]) -> Step<FixedHeader> {
    let Some(first) = bytes.first() else { return Step::Incomplete { needed: 2 } };
    let mut remaining_length = 0;
    for index in 1..5 {
        let Some(byte) = bytes.get(index) else { return Step::Incomplete { needed: index + 1 } };
        remaining_length |= u32::from(byte & 0x7f) << (7 * (index - 1));
        if byte & 0x80 == 0 {
            let header = FixedHeader {
                kind: first >> 4,
                flags: first & 0x0f,
                remaining_length,
                header_len: index + 1,
            };
            return Step::Done(header);
        }
    }
    Step::Malformed(Violation::RemainingLengthTooLong)
}

impl FixedHeader {
    /// DUP of a PUBLISH.
    #[inline]
    pub fn dup(&self) -> bool {
        self.flags & 8 != 0
    }

    /// QoS of a PUBLISH: 0 to 2, or 3, which is invalid.
    #[inline]
    pub fn qos(&self) -> u8 {
        (self.flags >> 1) & 3
    }

    /// RETAIN of a PUBLISH.
    #[inline]
    pub fn retain(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Bytes of the message with its fixed header.
    #[inline]
    pub fn total_len(&self) -> u64 {
        self.header_len as u64 + u64::from(self.remaining_length)
    }

    /// Violations of the fixed header alone. Version 3.1 allows DUP on these messages and does not restrict unused
    /// flags.
    pub fn violations(&self, version: Version) -> Violations {
        use super::kind::{PUBLISH, PUBREL, RESERVED, SUBSCRIBE, UNSUBSCRIBE};
        let mut found = Violations::NONE;
        match self.kind {
            RESERVED => found.insert(Violation::UnassignedMsgType),
            PUBLISH => {
                found.insert_if(self.qos() == 3, Violation::InvalidQosLevel);
                found.insert_if(self.dup() && self.qos() == 0, Violation::DupWithoutQos);
            }
            PUBREL | SUBSCRIBE | UNSUBSCRIBE => {
                let fixed = if version == Version::V31 { self.flags & 6 } else { self.flags };
                found.insert_if(fixed != 2, Violation::BadHeaderFlags);
            }
            _ if version == Version::V31 => {}
            _ => found.insert_if(self.flags != 0, Violation::BadHeaderFlags),
        }
        let shortest = match self.remaining_length {
            0..0x80 => 2,
            0x80..0x4000 => 3,
            0x4000..0x20_0000 => 4,
            _ => 5,
        };
        found.insert_if(self.header_len > shortest, Violation::RemainingLengthNotMinimal);
        found
    }
}

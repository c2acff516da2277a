//! The classic pcap format: a header of 24 bytes, then records of a 16-byte header and the frame
//! (draft-ietf-opsawg-pcap).

use citronella_wire::LinkType;

use super::{Fault, MAX_RECORD_BYTES, Record, source::Source};

pub(super) const HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;

/// The fields of the file header, which apply to all records.
pub(super) struct Pcap {
    link: LinkType,
    big_endian: bool,
    /// Nanoseconds per unit of a record's fraction of a second.
    fraction_nanos: i64,
}

impl Pcap {
    /// Whether these are the first bytes of a pcap file.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        matches!(u32::from_le_bytes(magic), 0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1)
    }

    pub(super) fn open(source: &mut Source) -> Result<Pcap, Fault> {
        if !source.fill(HEADER_BYTES)? {
            return Err(Fault::Cut { needed: HEADER_BYTES - source.available().len() });
        }
        let (_, header) = pcap_parser::parse_pcap_header(source.available())
            .map_err(|_| Fault::Malformed("its file header is not a pcap header".into()))?;
        // The upper bits carry the frame check sequence's length and reserved flags.
        let number = header.network.0 as u32 & 0xffff;
        let link = LinkType::from_pcap(number).ok_or(Fault::LinkType(number))?;
        let fraction_nanos = if header.is_nanosecond_precision() { 1 } else { 1000 };
        let big_endian = header.is_bigendian();
        source.consume(HEADER_BYTES);
        Ok(Pcap { link, big_endian, fraction_nanos })
    }

    /// The next record, whose frame is `source.available()[record.from..record.to]`.
    #[inline]
    pub(super) fn next(&self, source: &mut Source) -> Result<Option<Record>, Fault> {
        if !source.fill(RECORD_HEADER_BYTES)? {
            let rest = source.available().len();
            return if rest == 0 { Ok(None) } else { Err(Fault::Cut { needed: RECORD_HEADER_BYTES - rest }) };
        }
        let Some(header) = source.available().first_chunk::<RECORD_HEADER_BYTES>() else { return Ok(None) };
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let (seconds, fraction, captured, wire_len) = (word(0), word(4), word(8) as usize, word(12));
        if captured > MAX_RECORD_BYTES {
            return Err(Fault::Malformed(format!("a captured length of {captured} bytes is not possible")));
        }
        let length = RECORD_HEADER_BYTES + captured;
        if !source.fill(length)? {
            return Err(Fault::Cut { needed: length - source.available().len() });
        }
        Ok(Some(Record {
            time_nanos: i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.fraction_nanos,
            link: self.link,
            wire_len,
            from: RECORD_HEADER_BYTES,
            to: length,
            length,
        }))
    }
}

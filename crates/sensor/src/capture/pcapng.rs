//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks. Packets are in enhanced, simple and obsolete packet
//! blocks; unknown blocks are skipped, as the draft requires, and counted.

use citronella_wire::LinkType;
use pcap_parser::{Block, parse_block_be, parse_block_le};

use super::{Fault, MAX_RECORD_BYTES, Record, source::Source};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// The draft's blocks without packets: name resolution, statistics, journal, secrets, custom (2), process.
const KNOWN_WITHOUT_PACKETS: [u32; 7] = [4, 5, 9, 0x0a, 0x0bad, 0x4000_0bad, 0x8000_0001];
/// Cap of interfaces in a section.
const MAX_INTERFACES: usize = 65_536;

struct Interface {
    link: Result<LinkType, u32>,
    snap_len: u32,
    units_per_second: u64,
    offset_seconds: i64,
}

pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Blocks of types that the draft does not define.
    pub(super) unknown_blocks: u64,
}

impl PcapNg {
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        u32::from_le_bytes(magic) == SECTION_HEADER
    }

    pub(super) fn new() -> PcapNg {
        PcapNg { big_endian: false, interfaces: Vec::new(), unknown_blocks: 0 }
    }

    pub(super) fn next(&mut self, source: &mut Source) -> Result<Option<Record>, Fault> {
        loop {
            if !source.fill(12)? {
                let rest = source.available().len();
                return if rest == 0 { Ok(None) } else { Err(Fault::Cut { needed: 12 - rest }) };
            }
            let (kind, length) = self.block_head(source)?;
            if !source.fill(length)? {
                return Err(Fault::Cut { needed: length - source.available().len() });
            }
            let bytes = source.available().get(..length).unwrap_or_default();
            match kind {
                SECTION_HEADER => self.interfaces.clear(),
                INTERFACE => self.interface(bytes)?,
                ENHANCED_PACKET | SIMPLE_PACKET => return self.packet(bytes).map(Some),
                OBSOLETE_PACKET => return self.obsolete_packet(bytes).map(Some),
                kind if KNOWN_WITHOUT_PACKETS.contains(&kind) => {}
                _ => self.unknown_blocks += 1,
            }
            source.consume(length);
        }
    }

    /// Type and total length of the next block; a section header also sets the byte order.
    fn block_head(&mut self, source: &Source) -> Result<(u32, usize), Fault> {
        let Some(head) = source.available().first_chunk::<12>() else {
            return Err(Fault::Cut { needed: 12 });
        };
        let [k0, k1, k2, k3, l0, l1, l2, l3, o0, o1, o2, o3] = *head;
        if u32::from_le_bytes([k0, k1, k2, k3]) == SECTION_HEADER {
            self.big_endian = match u32::from_le_bytes([o0, o1, o2, o3]) {
                0x1a2b_3c4d => false,
                0x4d3c_2b1a => true,
                other => {
                    return Err(Fault::Malformed(format!("section byte order 0x{other:08x} is unknown")));
                }
            };
        }
        let kind = self.word([k0, k1, k2, k3]);
        let length = self.word([l0, l1, l2, l3]) as usize;
        if length < 12 || !length.is_multiple_of(4) || length > MAX_RECORD_BYTES {
            return Err(Fault::Malformed(format!("a block length of {length} bytes is not possible")));
        }
        Ok((kind, length))
    }

    fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Block<'a>, Fault> {
        let parsed = if self.big_endian { parse_block_be(bytes) } else { parse_block_le(bytes) };
        parsed
            .map(|(_, block)| block)
            .map_err(|_| Fault::Malformed("its block does not fit its own lengths".into()))
    }

    fn interface(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Block::InterfaceDescription(block) = self.parse(bytes)? else {
            return Err(Fault::Malformed("its interface description cannot be read".into()));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Fault::Malformed(format!("more than {MAX_INTERFACES} interfaces")));
        }
        let number = block.linktype.0 as u32;
        let units_per_second = block.ts_resolution().filter(|units| *units > 0).ok_or_else(|| {
            Fault::Malformed(format!("a time resolution of {} is not possible", block.if_tsresol))
        })?;
        self.interfaces.push(Interface {
            link: LinkType::from_pcap(number).ok_or(number),
            snap_len: block.snaplen,
            units_per_second,
            offset_seconds: block.ts_offset(),
        });
        Ok(())
    }

    fn packet(&self, bytes: &[u8]) -> Result<Record, Fault> {
        match self.parse(bytes)? {
            Block::EnhancedPacket(block) => {
                if block.caplen as usize > block.data.len() {
                    return Err(Fault::Malformed("its captured length is longer than its block".into()));
                }
                let interface = self.interface_of(block.if_id)?;
                let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                interface.record(ticks, 28, block.caplen as usize, block.origlen, bytes.len())
            }
            Block::SimplePacket(block) => {
                let interface = self.interface_of(0)?;
                let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
                let captured = (block.origlen.min(limit) as usize).min(bytes.len() - 16);
                interface.record(0, 12, captured, block.origlen, bytes.len())
            }
            _ => Err(Fault::Malformed("its packet block cannot be read".into())),
        }
    }

    /// Obsolete packet block (type 2, written until 2009): interface id and drop count share the first word.
    fn obsolete_packet(&self, bytes: &[u8]) -> Result<Record, Fault> {
        let Some(
            [
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                i0,
                i1,
                _,
                _,
                h0,
                h1,
                h2,
                h3,
                t0,
                t1,
                t2,
                t3,
                c0,
                c1,
                c2,
                c3,
                w0,
                w1,
                w2,
                w3,
            ],
        ) = bytes.first_chunk::<28>()
        else {
            return Err(Fault::Malformed("its packet block is too short".into()));
        };
        let id =
            if self.big_endian { u16::from_be_bytes([*i0, *i1]) } else { u16::from_le_bytes([*i0, *i1]) };
        let ticks =
            u64::from(self.word([*h0, *h1, *h2, *h3])) << 32 | u64::from(self.word([*t0, *t1, *t2, *t3]));
        let captured = self.word([*c0, *c1, *c2, *c3]) as usize;
        if captured > bytes.len().saturating_sub(32) {
            return Err(Fault::Malformed("its captured length is longer than its block".into()));
        }
        self.interface_of(id.into())?.record(
            ticks,
            28,
            captured,
            self.word([*w0, *w1, *w2, *w3]),
            bytes.len(),
        )
    }

    fn interface_of(&self, id: u32) -> Result<&Interface, Fault> {
        self.interfaces
            .get(id as usize)
            .ok_or_else(|| Fault::Malformed(format!("interface {id} was never described")))
    }
}

impl Interface {
    fn record(
        &self,
        ticks: u64,
        from: usize,
        captured: usize,
        wire_len: u32,
        length: usize,
    ) -> Result<Record, Fault> {
        let link = self.link.map_err(Fault::LinkType)?;
        let (seconds, rest) = (ticks / self.units_per_second, ticks % self.units_per_second);
        let nanos = u128::from(rest) * 1_000_000_000 / u128::from(self.units_per_second);
        let time = i128::from(seconds) + i128::from(self.offset_seconds);
        let time_nanos = i64::try_from(time * 1_000_000_000 + nanos as i128)
            .map_err(|_| Fault::Malformed("its time is beyond the year 2262".into()))?;
        Ok(Record { time_nanos, link, wire_len, from, to: from + captured, length })
    }
}

//! Reads the packets of a ring block: safe code over a byte slice, with every offset checked.
//!
//! The layouts are `struct tpacket_block_desc`, `struct tpacket3_hdr` and `struct sockaddr_ll` of linux/if_packet.h,
//! in the machine's byte order.

use std::ops::Range;

/// Headroom before a packet for the VLAN tag that the kernel has removed (PACKET_RESERVE).
pub(super) const TAG_BYTES: usize = 4;
/// Offset of the link-layer address after a packet's header: `TPACKET_ALIGN(sizeof(struct tpacket3_hdr))`.
const ADDRESS: usize = 48;
/// Destination and source address of an Ethernet header, before the tag.
const ADDRESSES_BYTES: usize = 12;

const VLAN_VALID: u32 = 1 << 4;
const TPID_VALID: u32 = 1 << 6;
const DOT1Q: u16 = 0x8100;

/// A packet of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) time_nanos: i64,
    /// Bytes on the wire, VLAN tag included.
    pub(super) wire_len: u32,
    /// EtherType, from the kernel.
    pub(super) protocol: u16,
    /// ARPHRD_ number of the interface.
    pub(super) hardware: u16,
    /// PACKET_HOST, PACKET_OUTGOING, ...
    pub(super) direction: u8,
    /// The captured bytes within the block, VLAN tag included.
    pub(super) bytes: Range<usize>,
}

/// Iterates over the packets of a block, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockCursor {
    /// Packets that the kernel announced and that have not been read.
    remaining: u32,
    /// Offset of the next packet's header.
    offset: usize,
}

impl BlockCursor {
    /// The beginning of a block.
    pub(super) fn new(block: &[u8]) -> BlockCursor {
        let offset = word(block, 16).unwrap_or(0) as usize;
        BlockCursor { remaining: word(block, 12).unwrap_or(0), offset }
    }

    /// The next packet; `None` at the end of the block, or where an offset points outside it: then
    /// [`BlockCursor::remaining`] packets are lost. `ethernet`: a VLAN tag that the kernel removed is put back.
    #[inline]
    pub(super) fn next(&mut self, block: &mut [u8], ethernet: bool) -> Option<Entry> {
        if self.remaining == 0 {
            return None;
        }
        let (entry, length) = entry(block, self.offset, ethernet)?;
        self.remaining -= 1;
        self.offset += length;
        Some(entry)
    }

    /// Packets that were announced and not read.
    pub(super) fn remaining(&self) -> u32 {
        self.remaining
    }
}

/// The packet whose header is at `at`, and the distance to the next header.
#[inline]
fn entry(block: &mut [u8], at: usize, ethernet: bool) -> Option<(Entry, usize)> {
    let header = block.get(at..at.checked_add(ADDRESS + 12)?)?;
    let [next, seconds, nanos, captured, wire_len, status] =
        [0, 4, 8, 12, 16, 20].map(|offset| word(header, offset).unwrap_or(0));
    let mac = usize::from(half(header, 24)?);
    let (tci, tpid) = (word(header, 32)?, half(header, 36)?);
    let protocol = u16::from_be(half(header, ADDRESS + 2)?);
    let hardware = half(header, ADDRESS + 8)?;
    let direction = *header.get(ADDRESS + 10)?;
    let mut bytes = at.checked_add(mac)?..at.checked_add(mac)?.checked_add(captured as usize)?;
    let mut wire_len = wire_len;
    if status & VLAN_VALID != 0 && ethernet {
        let tpid = if status & TPID_VALID != 0 { tpid } else { DOT1Q };
        bytes = restore_tag(block, bytes, tpid, tci as u16)?;
        wire_len = wire_len.saturating_add(TAG_BYTES as u32);
    }
    block.get(bytes.clone())?;
    let time_nanos = i64::from(seconds) * 1_000_000_000 + i64::from(nanos);
    Some((Entry { time_nanos, wire_len, protocol, hardware, direction, bytes }, next as usize))
}

/// Moves the two addresses forward into the headroom and writes the tag after them.
fn restore_tag(block: &mut [u8], packet: Range<usize>, tpid: u16, tci: u16) -> Option<Range<usize>> {
    let from = packet.start.checked_sub(TAG_BYTES)?;
    let head = block.get_mut(from..packet.end)?.get_mut(..ADDRESSES_BYTES + TAG_BYTES)?;
    head.copy_within(TAG_BYTES.., 0);
    let tag = head.get_mut(ADDRESSES_BYTES..)?;
    tag.get_mut(..2)?.copy_from_slice(&tpid.to_be_bytes());
    tag.get_mut(2..)?.copy_from_slice(&tci.to_be_bytes());
    Some(from..packet.end)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A block of one packet, as the kernel lays it out.
    fn block(status: u32, tci: u32, packet: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(12, &1_u32.to_ne_bytes());
        put(16, &48_u32.to_ne_bytes());
        for (field, value) in
            [0, 1_700_000_000, 42, packet.len() as u32, 1500, status].into_iter().enumerate()
        {
            put(48 + 4 * field, &u32::to_ne_bytes(value));
        }
        put(48 + 24, &98_u16.to_ne_bytes());
        put(48 + 32, &tci.to_ne_bytes());
        put(48 + 36, &0x88a8_u16.to_ne_bytes());
        put(48 + ADDRESS + 2, &0x0800_u16.to_be_bytes());
        put(48 + 98, packet);
        block
    }

    fn packet() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..60).collect();
        bytes[12..14].copy_from_slice(&[0x08, 0x00]);
        bytes
    }

    #[test]
    fn a_packet_has_its_time_and_lengths() {
        let mut block = block(1, 0, &packet());
        let mut cursor = BlockCursor::new(&block);
        let entry = cursor.next(&mut block, true).unwrap();
        assert_eq!(entry.time_nanos, 1_700_000_000_000_000_042);
        assert_eq!((entry.wire_len, entry.protocol), (1500, 0x0800));
        assert_eq!(block[entry.bytes], packet());
        assert_eq!((cursor.next(&mut block, true), cursor.remaining()), (None, 0));
    }

    #[test]
    fn a_removed_vlan_tag_is_put_back() {
        for (status, tpid) in [(VLAN_VALID, [0x81, 0x00]), (VLAN_VALID | TPID_VALID, [0x88, 0xa8])] {
            let mut block = block(status, 0x2abc, &packet());
            let entry = BlockCursor::new(&block).next(&mut block, true).unwrap();
            let whole = [&packet()[..12], &tpid, &[0x2a, 0xbc], &packet()[12..]].concat();
            assert_eq!((entry.wire_len, &block[entry.bytes]), (1504, &whole[..]));
        }
    }

    #[test]
    fn without_an_ethernet_header_no_tag_is_inserted() {
        let mut block = block(VLAN_VALID, 5, &packet());
        let entry = BlockCursor::new(&block).next(&mut block, false).unwrap();
        assert_eq!(block[entry.bytes], packet());
    }

    proptest! {
        #[test]
        fn nothing_outside_the_block_is_read(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
            (count, first, next, mac) in (0_u32..5, 0_u32..400, 0_u32..400, 0_u16..400),
        ) {
            for (at, value) in [(12, count), (16, first)] {
                if let Some(field) = bytes.get_mut(at..at + 4) {
                    field.copy_from_slice(&value.to_ne_bytes());
                }
            }
            for (at, value) in [(0, &next.to_ne_bytes()[..]), (24, &mac.to_ne_bytes()[..])] {
                if let Some(field) = bytes.get_mut(first as usize + at..first as usize + at + value.len()) {
                    field.copy_from_slice(value);
                }
            }
            let announced = word(&bytes, 12).unwrap_or(0);
            let mut cursor = BlockCursor::new(&bytes);
            let mut read = 0;
            while let Some(entry) = cursor.next(&mut bytes, true) {
                prop_assert!(bytes.get(entry.bytes).is_some());
                read += 1;
            }
            prop_assert_eq!(read + cursor.remaining(), announced);
        }
    }
}

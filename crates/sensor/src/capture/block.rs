//! Packets by the block: what one thread reads and another can look at.
//!
//! In: a capture. Out: [`Block`]s of whole packets that own their bytes, which are read into the block's buffer.

use super::{Capture, CaptureError, Format, Packet, Record, locate};

/// Small enough for its bytes to stay in a core's cache until its packets have been looked at.
const BLOCK_BYTES: usize = 1 << 18;

/// Consecutive packets of a capture and their bytes.
#[derive(Default)]
pub struct Block {
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// Packets before it.
    before: u64,
}

impl Block {
    /// Its packets, in order.
    #[inline]
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.records.iter().zip(self.before + 1..).map(|(record, number)| Packet {
            number,
            time_nanos: record.time_nanos,
            link: record.link,
            wire_len: record.wire_len,
            bytes: self.bytes.get(record.from..record.to).unwrap_or_default(),
        })
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no packets.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Capture {
    /// Replaces the block's packets by the next ones; `false` at the capture's end. Whole packets come before the error
    /// that ends them.
    ///
    /// # Errors
    /// As [`Capture::next`].
    pub fn block(&mut self, block: &mut Block) -> Result<bool, CaptureError> {
        block.records.clear();
        block.before = self.packets;
        self.source.consume(std::mem::take(&mut self.pending));
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.failed {
            return Ok(false);
        }
        // Into the block's own buffer: where threads take turns, each reads into memory that its core has already.
        self.source.swap(&mut block.bytes, BLOCK_BYTES);
        loop {
            // The first packet may need reading; from then on the buffer stays as it is.
            self.source.hold(!block.records.is_empty());
            let record = match &mut self.format {
                Format::Pcap(pcap) => pcap.next(&mut self.source),
                Format::PcapNg(pcapng) => pcapng.next(&mut self.source),
            };
            if self.source.ran_short() {
                break;
            }
            match record {
                Ok(Some(record)) => {
                    let at = self.source.position();
                    self.source.consume(record.length);
                    block.records.push(Record { from: at + record.from, to: at + record.to, ..record });
                }
                Ok(None) => break,
                Err(fault) => {
                    let packet = self.packets + block.records.len() as u64 + 1;
                    self.fault = Some(locate(&self.name, &self.source, packet, fault));
                    self.failed = true;
                    break;
                }
            }
        }
        self.source.hold(false);
        self.packets += block.records.len() as u64;
        self.source.swap(&mut block.bytes, 0);
        match block.is_empty() {
            true => self.fault.take().map_or(Ok(false), Err),
            false => Ok(true),
        }
    }
}

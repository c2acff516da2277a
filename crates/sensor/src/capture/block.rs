//! Packets by the block, which one thread reads and another can process.
//!
//! In: a capture. Out: [`Block`]s of complete packets that own their bytes.

use super::{Capture, CaptureError, Format, Packet, Record, locate};

/// Small enough to stay in a core's cache until its packets have been processed.
const BLOCK_BYTES: usize = 1 << 18;

/// Consecutive packets of a capture and their bytes.
#[derive(Default)]
pub struct Block {
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// Number of packets before this block.
    before: u64,
}

impl Block {
    /// The packets, in order.
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

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Capture {
    /// Replaces the block's packets by the next ones; returns `false` at the capture's end. An error is returned after
    /// the complete packets before it.
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
        // Reads into the block's own buffer, which is in the cache of this thread's core.
        self.source.swap(&mut block.bytes, BLOCK_BYTES);
        loop {
            // Only the first packet may read and move bytes; then the records' offsets must stay valid.
            self.source.set_frozen(!block.records.is_empty());
            let record = match &mut self.format {
                Format::Pcap(pcap) => pcap.next(&mut self.source),
                Format::PcapNg(pcapng) => pcapng.next(&mut self.source),
            };
            if self.source.take_short() {
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
        self.source.set_frozen(false);
        self.packets += block.records.len() as u64;
        self.source.swap(&mut block.bytes, 0);
        match block.is_empty() {
            true => self.fault.take().map_or(Ok(false), Err),
            false => Ok(true),
        }
    }
}

//! The bytes of one direction of a TCP connection, in order: small and bounded.
//!
//! In: segments in capture order. Out: [`Piece`]s: bytes that continue the stream, or a gap that nothing filled.
//! A segment that comes in order is handed through as it is, without a copy. What comes early is kept until the hole
//! before it is filled, given up, or the caps are reached; what comes twice is compared with what is still kept, and
//! the first copy wins. Numbers wrap (RFC 9293, 3.4); a connection may be picked up in mid-stream.
//!
//! Invariant: the kept blocks are in order, do not overlap, and all lie behind `next`.
//!
//! What was handed out is not kept: a later copy of it is counted, not compared.
//!
//! Limits: see [`Limits`]. Memory: what is kept (a block counts [`BLOCK_BYTES`] beside its bytes), and nothing for a
//! direction that is in order.

use super::tcp_seq::after;

/// What a block counts beside its bytes: its place, and what an allocation of a single byte costs.
pub const BLOCK_BYTES: usize = 64;

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes kept of one direction.
    pub bytes_per_direction: usize,
    /// Blocks (runs of bytes between holes) kept of one direction.
    pub blocks_per_direction: usize,
    /// Bytes kept in all.
    pub bytes_in_all: usize,
    /// How far ahead of the stream a segment may lie and still belong to it, in bytes.
    pub window_bytes: u32,
}

impl Default for Limits {
    /// 256 KiB and 64 blocks a direction, 64 MiB in all, a window of 1 GiB (the largest there is: RFC 7323, 2.3).
    fn default() -> Limits {
        Limits {
            bytes_per_direction: 256 << 10,
            blocks_per_direction: 64,
            bytes_in_all: 64 << 20,
            window_bytes: 1 << 30,
        }
    }
}

/// What all directions together keep and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes kept now, those of the blocks included.
    pub kept_bytes: usize,
    /// Bytes that came again.
    pub repeated_bytes: u64,
    /// Segments that came again with other bytes: somebody shows two receivers two streams.
    pub conflicts: u64,
    /// Gaps that were given up, and the bytes that they lack.
    pub gaps: u64,
    /// See `gaps`.
    pub gap_bytes: u64,
    /// Segments outside the window, not taken.
    pub outside_window: u64,
    /// How often a cap on one direction forced a gap.
    pub direction_full: u64,
    /// How often the cap on all forced a gap.
    pub all_full: u64,
}

/// Bounds and counters that the directions share.
#[derive(Clone, Debug, Default)]
pub struct Reassembly {
    limits: Limits,
    counters: Counters,
}

impl Reassembly {
    /// With these bounds.
    pub fn new(limits: Limits) -> Reassembly {
        Reassembly { limits, counters: Counters::default() }
    }

    /// What is kept and was lost.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// A part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes that continue the stream.
    Bytes(&'a [u8]),
    /// So many bytes are missing here.
    Gap(u64),
    /// A segment came again with other bytes than before; the first ones were or will be handed out.
    Conflict,
    /// FIN was reached: nothing follows.
    End,
}

struct Block {
    seq: u32,
    bytes: Vec<u8>,
}

impl Block {
    fn cost(&self) -> usize {
        BLOCK_BYTES + self.bytes.len()
    }

    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.bytes.len() as u32)
    }
}

/// One direction of a connection.
#[derive(Default)]
pub struct Stream {
    /// Sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    blocks: Vec<Block>,
    /// Where FIN stands.
    fin: Option<u32>,
    ended: bool,
}

/// A segment's sequence number, control bits and payload.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sequence number.
    pub seq: u32,
    /// SYN: the payload begins one later.
    pub syn: bool,
    /// FIN follows the payload.
    pub fin: bool,
    /// What was recorded of the payload.
    pub bytes: &'a [u8],
    /// The payload's length on the wire, at least `bytes.len()`.
    pub wire_len: usize,
}

impl Stream {
    /// Nothing yet.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Bytes that are kept, those of the blocks included.
    pub fn kept_bytes(&self) -> usize {
        self.blocks.iter().map(Block::cost).sum()
    }

    /// Whether FIN was reached.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a segment; `out` gets what can be handed out now, in order.
    #[inline]
    pub fn segment(&mut self, shared: &mut Reassembly, segment: Segment<'_>, mut out: impl FnMut(Piece<'_>)) {
        let seq = segment.seq.wrapping_add(u32::from(segment.syn));
        let next = *self.next.get_or_insert(seq);
        // In order, nothing kept, nothing cut: handed through.
        if seq == next && self.blocks.is_empty() && !self.ended && segment.bytes.len() == segment.wire_len {
            if !segment.bytes.is_empty() {
                self.next = Some(seq.wrapping_add(segment.wire_len as u32));
                out(Piece::Bytes(segment.bytes));
            }
            if segment.fin {
                self.ended = true;
                out(Piece::End);
            } else if self.fin.is_some() {
                self.drain(shared, &mut out);
            }
            return;
        }
        self.elsewhere(shared, seq, next, segment, &mut out);
    }

    /// The other end has acknowledged everything before `ack`: a hole before it will not be filled, its bytes were
    /// there and were not recorded.
    #[inline]
    pub fn acknowledged(&mut self, shared: &mut Reassembly, ack: u32, mut out: impl FnMut(Piece<'_>)) {
        while self.blocks.first().is_some_and(|block| after(ack, block.seq)) {
            self.give_up_hole(shared, &mut out);
        }
    }

    /// Ends the direction: what is kept is handed out with the gaps between.
    /// To be called before a stream is dropped, for the counters are shared.
    pub fn finish(&mut self, shared: &mut Reassembly, mut out: impl FnMut(Piece<'_>)) {
        while !self.blocks.is_empty() {
            self.give_up_hole(shared, &mut out);
        }
    }

    /// A segment that does not just continue the stream.
    fn elsewhere(
        &mut self,
        shared: &mut Reassembly,
        seq: u32,
        next: u32,
        segment: Segment<'_>,
        out: &mut impl FnMut(Piece<'_>),
    ) {
        if segment.wire_len == 0 && !segment.fin {
            return;
        }
        let window = shared.limits.window_bytes;
        let (ahead, behind) = (seq.wrapping_sub(next), next.wrapping_sub(seq));
        if ahead > window && behind > window {
            shared.counters.outside_window += 1;
            return;
        }
        let end = seq.wrapping_add(segment.wire_len as u32);
        if segment.fin && !self.ended && self.fin.is_none() && !after(next, end) {
            self.fin = Some(end);
        }
        // What stands before `next` was handed out and is no longer there to compare.
        let old = if after(next, seq) { behind as usize } else { 0 };
        shared.counters.repeated_bytes += old.min(segment.wire_len) as u64;
        let bytes = segment.bytes.get(old..).unwrap_or_default();
        let seq = seq.wrapping_add(old as u32);
        if !self.ended && !bytes.is_empty() && self.keep(shared, seq, bytes) {
            out(Piece::Conflict);
        }
        self.drain(shared, out);
        let recorded = seq.wrapping_add(bytes.len() as u32);
        if self.next == Some(recorded) && after(end, recorded) && !self.ended {
            self.cut(shared, end, out);
        }
        self.respect_caps(shared, out);
    }

    /// Keeps what is new of `bytes`; whether what is not new differs.
    fn keep(&mut self, shared: &mut Reassembly, mut seq: u32, mut bytes: &[u8]) -> bool {
        let mut conflict = false;
        let mut at = self.blocks.partition_point(|block| !after(block.end(), seq));
        while !bytes.is_empty() {
            let hole = match self.blocks.get(at) {
                Some(block) if !after(block.seq, seq) => {
                    // Overlap: the first copy wins.
                    let from = seq.wrapping_sub(block.seq) as usize;
                    let known = block.bytes.get(from..).unwrap_or_default();
                    let both = known.len().min(bytes.len());
                    conflict |= known.get(..both) != bytes.get(..both);
                    shared.counters.repeated_bytes += both as u64;
                    seq = seq.wrapping_add(both as u32);
                    bytes = bytes.get(both..).unwrap_or_default();
                    at += 1;
                    continue;
                }
                Some(block) => block.seq.wrapping_sub(seq) as usize,
                None => usize::MAX,
            };
            let (fresh, rest) = bytes.split_at(hole.min(bytes.len()));
            at = self.insert(shared, at, seq, fresh);
            seq = seq.wrapping_add(fresh.len() as u32);
            bytes = rest;
        }
        shared.counters.conflicts += u64::from(conflict);
        conflict
    }

    /// Puts bytes that fit into the hole before block `at`; the place of the block after them.
    fn insert(&mut self, shared: &mut Reassembly, at: usize, seq: u32, fresh: &[u8]) -> usize {
        shared.counters.kept_bytes += fresh.len();
        if let Some(before) = at.checked_sub(1).and_then(|before| self.blocks.get_mut(before))
            && before.end() == seq
        {
            before.bytes.extend_from_slice(fresh);
            return at;
        }
        shared.counters.kept_bytes += BLOCK_BYTES;
        self.blocks.insert(at, Block { seq, bytes: fresh.to_vec() });
        at + 1
    }

    /// Hands out the blocks that now continue the stream.
    fn drain(&mut self, shared: &mut Reassembly, out: &mut impl FnMut(Piece<'_>)) {
        let mut next = self.next.unwrap_or(0);
        let ready = self.blocks.iter().take_while(|block| {
            let follows = block.seq == next;
            if follows {
                next = block.end();
            }
            follows
        });
        let ready = ready.count();
        for block in self.blocks.drain(..ready) {
            shared.counters.kept_bytes = shared.counters.kept_bytes.saturating_sub(block.cost());
            out(Piece::Bytes(&block.bytes));
        }
        self.next = Some(next);
        if self.fin == Some(next) && !self.ended {
            self.ended = true;
            // What lies behind a FIN is no part of the stream.
            for block in self.blocks.drain(..) {
                shared.counters.kept_bytes = shared.counters.kept_bytes.saturating_sub(block.cost());
            }
            out(Piece::End);
        }
    }

    /// The recorder cut the segment that the stream has come to: up to `end`, or what is kept, nothing will come.
    fn cut(&mut self, shared: &mut Reassembly, end: u32, out: &mut impl FnMut(Piece<'_>)) {
        let kept = self.blocks.first().map(|block| block.seq).filter(|seq| after(end, *seq));
        self.skip_to(shared, kept.unwrap_or(end), out);
    }

    fn skip_to(&mut self, shared: &mut Reassembly, seq: u32, out: &mut impl FnMut(Piece<'_>)) {
        let missing = u64::from(seq.wrapping_sub(self.next.unwrap_or(seq)));
        if missing > 0 {
            shared.counters.gaps += 1;
            shared.counters.gap_bytes += missing;
            self.next = Some(seq);
            out(Piece::Gap(missing));
        }
        self.drain(shared, out);
    }

    fn respect_caps(&mut self, shared: &mut Reassembly, out: &mut impl FnMut(Piece<'_>)) {
        while !self.blocks.is_empty() {
            let limits = &shared.limits;
            let full = self.blocks.len() > limits.blocks_per_direction
                || self.kept_bytes() > limits.bytes_per_direction;
            let all_full = shared.counters.kept_bytes > limits.bytes_in_all;
            if !full && !all_full {
                return;
            }
            shared.counters.direction_full += u64::from(full);
            shared.counters.all_full += u64::from(all_full && !full);
            self.give_up_hole(shared, out);
        }
    }

    /// The hole before the first block is not waited for any longer.
    fn give_up_hole(&mut self, shared: &mut Reassembly, out: &mut impl FnMut(Piece<'_>)) {
        if let Some(block) = self.blocks.first() {
            self.skip_to(shared, block.seq, out);
        }
    }
}

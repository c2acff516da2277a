//! TCP reassembly: the bytes of one direction of a connection, in order; bounded.
//!
//! In: segments in capture order. Out: [`Piece`]s: bytes that continue the stream, or a gap that was never filled. A
//! segment in order is passed through without a copy. An early segment is buffered until the hole before it is filled
//! or abandoned, or a cap is reached; retransmitted bytes are compared with buffered ones, and the first copy wins.
//! Bytes already passed on are not buffered: a later copy is counted, not compared. Sequence numbers wrap (RFC 9293,
//! 3.4); a connection may be picked up in mid-stream.
//!
//! Invariant: the blocks are in order, do not overlap, and all start after `next`. Memory: see [`Limits`]; a block
//! costs [`BLOCK_BYTES`] on top of its bytes, a direction in order nothing.

/// Cost of a block on top of its bytes: its entry, and the overhead of a small allocation.
pub const BLOCK_BYTES: usize = 64;

/// Bounds of the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes buffered per direction.
    pub bytes_per_direction: usize,
    /// Blocks (runs of bytes between holes) buffered per direction.
    pub blocks_per_direction: usize,
    /// Bytes buffered in all directions together.
    pub total_bytes: usize,
    /// How far ahead of the stream a segment may be, in bytes.
    pub window_bytes: u32,
}

impl Default for Limits {
    /// 256 KiB and 64 blocks a direction, 64 MiB in total, a window of 1 GiB (the largest: RFC 7323, 2.3).
    fn default() -> Limits {
        Limits {
            bytes_per_direction: 256 << 10,
            blocks_per_direction: 64,
            total_bytes: 64 << 20,
            window_bytes: 1 << 30,
        }
    }
}

/// Buffered and lost bytes of all directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes buffered now, with the blocks' cost.
    pub buffered_bytes: usize,
    /// Retransmitted bytes.
    pub repeated_bytes: u64,
    /// Retransmissions with other bytes: two receivers may see two streams.
    pub conflicts: u64,
    /// Holes abandoned.
    pub gaps: u64,
    /// Bytes missing in them.
    pub gap_bytes: u64,
    /// Segments outside the window, ignored.
    pub outside_window: u64,
    /// Gaps forced by a direction's cap.
    pub direction_full: u64,
    /// Gaps forced by the total cap.
    pub total_full: u64,
}

/// Limits and counters shared by all directions.
#[derive(Clone, Debug, Default)]
pub struct Reassembly {
    limits: Limits,
    counters: Counters,
}

impl Reassembly {
    /// Shared state with these limits.
    pub fn new(limits: Limits) -> Reassembly {
        Reassembly { limits, counters: Counters::default() }
    }

    /// Buffered and lost bytes.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// A part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes that continue the stream.
    Bytes(&'a [u8]),
    /// This many bytes are missing.
    Gap(u64),
    /// A retransmission with other bytes; the first copy was or will be emitted.
    Conflict,
    /// FIN: nothing follows.
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
    /// Sequence number of FIN.
    fin: Option<u32>,
    has_ended: bool,
}

/// A segment's sequence number, control bits and payload.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sequence number.
    pub seq: u32,
    /// SYN takes one sequence number: the payload starts at `seq + 1`.
    pub syn: bool,
    /// FIN follows the payload.
    pub fin: bool,
    /// The captured part of the payload.
    pub bytes: &'a [u8],
    /// The payload's length on the wire, at least `bytes.len()`.
    pub wire_len: usize,
}

impl Stream {
    /// An empty stream.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Bytes buffered, with the blocks' cost.
    pub fn buffered_bytes(&self) -> usize {
        self.blocks.iter().map(Block::cost).sum()
    }

    /// Whether FIN was reached.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Takes a segment; `out` gets the pieces that are now in order.
    #[inline]
    pub fn segment(&mut self, shared: &mut Reassembly, segment: Segment<'_>, mut out: impl FnMut(Piece<'_>)) {
        let seq = segment.seq.wrapping_add(u32::from(segment.syn));
        let next = *self.next.get_or_insert(seq);
        // In order, nothing buffered, nothing cut: passed through.
        if seq == next && self.blocks.is_empty() && !self.has_ended && segment.bytes.len() == segment.wire_len
        {
            if !segment.bytes.is_empty() {
                self.next = Some(seq.wrapping_add(segment.wire_len as u32));
                out(Piece::Bytes(segment.bytes));
            }
            if segment.fin {
                self.has_ended = true;
                out(Piece::End);
            } else if self.fin.is_some() {
                self.drain(shared, &mut out);
            }
            return;
        }
        self.out_of_order(shared, seq, next, segment, &mut out);
    }

    /// The receiver acknowledged everything before `ack`: a hole before it will not be filled, its bytes were sent
    /// and not captured.
    #[inline]
    pub fn acknowledged(&mut self, shared: &mut Reassembly, ack: u32, mut out: impl FnMut(Piece<'_>)) {
        while self.blocks.first().is_some_and(|block| is_after(ack, block.seq)) {
            self.abandon_hole(shared, &mut out);
        }
    }

    /// Ends the direction: emits the blocks with the gaps between. Must be called before the stream is dropped, because
    /// the counters are shared.
    pub fn finish(&mut self, shared: &mut Reassembly, mut out: impl FnMut(Piece<'_>)) {
        while !self.blocks.is_empty() {
            self.abandon_hole(shared, &mut out);
        }
    }

    /// Takes a segment that does not simply continue the stream.
    fn out_of_order(
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
        if segment.fin && !self.has_ended && self.fin.is_none() && !is_after(next, end) {
            self.fin = Some(end);
        }
        // Bytes before `next` were emitted and cannot be compared.
        let old = if is_after(next, seq) { behind as usize } else { 0 };
        shared.counters.repeated_bytes += old.min(segment.wire_len) as u64;
        let bytes = segment.bytes.get(old..).unwrap_or_default();
        let seq = seq.wrapping_add(old as u32);
        if !self.has_ended && !bytes.is_empty() && self.buffer(shared, seq, bytes) {
            out(Piece::Conflict);
        }
        self.drain(shared, out);
        let recorded = seq.wrapping_add(bytes.len() as u32);
        if self.next == Some(recorded) && is_after(end, recorded) && !self.has_ended {
            self.cut(shared, end, out);
        }
        self.enforce_caps(shared, out);
    }

    /// Buffers the new part of `bytes`; returns whether the rest differs from the first copy.
    fn buffer(&mut self, shared: &mut Reassembly, mut seq: u32, mut bytes: &[u8]) -> bool {
        let mut conflict = false;
        let mut at = self.blocks.partition_point(|block| !is_after(block.end(), seq));
        while !bytes.is_empty() {
            let hole = match self.blocks.get(at) {
                Some(block) if !is_after(block.seq, seq) => {
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

    /// Inserts bytes into the hole before block `at`; returns the index of the block after them.
    fn insert(&mut self, shared: &mut Reassembly, at: usize, seq: u32, fresh: &[u8]) -> usize {
        shared.counters.buffered_bytes += fresh.len();
        if let Some(before) = at.checked_sub(1).and_then(|before| self.blocks.get_mut(before))
            && before.end() == seq
        {
            before.bytes.extend_from_slice(fresh);
            return at;
        }
        shared.counters.buffered_bytes += BLOCK_BYTES;
        self.blocks.insert(at, Block { seq, bytes: fresh.to_vec() });
        at + 1
    }

    /// Emits the blocks that now continue the stream.
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
            shared.counters.buffered_bytes = shared.counters.buffered_bytes.saturating_sub(block.cost());
            out(Piece::Bytes(&block.bytes));
        }
        self.next = Some(next);
        if self.fin == Some(next) && !self.has_ended {
            self.has_ended = true;
            // Bytes after FIN are not part of the stream.
            for block in self.blocks.drain(..) {
                shared.counters.buffered_bytes = shared.counters.buffered_bytes.saturating_sub(block.cost());
            }
            out(Piece::End);
        }
    }

    /// The segment at `next` was cut by the snap length: the bytes up to `end`, or to the next block, are missing.
    fn cut(&mut self, shared: &mut Reassembly, end: u32, out: &mut impl FnMut(Piece<'_>)) {
        let block = self.blocks.first().map(|block| block.seq).filter(|seq| is_after(end, *seq));
        self.skip_to(shared, block.unwrap_or(end), out);
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

    fn enforce_caps(&mut self, shared: &mut Reassembly, out: &mut impl FnMut(Piece<'_>)) {
        while !self.blocks.is_empty() {
            let limits = &shared.limits;
            let full = self.blocks.len() > limits.blocks_per_direction
                || self.buffered_bytes() > limits.bytes_per_direction;
            let total_full = shared.counters.buffered_bytes > limits.total_bytes;
            if !full && !total_full {
                return;
            }
            shared.counters.direction_full += u64::from(full);
            shared.counters.total_full += u64::from(total_full && !full);
            self.abandon_hole(shared, out);
        }
    }

    /// Emits the hole before the first block as a gap.
    fn abandon_hole(&mut self, shared: &mut Reassembly, out: &mut impl FnMut(Piece<'_>)) {
        if let Some(block) = self.blocks.first() {
            self.skip_to(shared, block.seq, out);
        }
    }
}

/// Whether sequence number `a` is after `b`; numbers wrap (RFC 9293, 3.4).
#[inline]
fn is_after(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) < 0
}

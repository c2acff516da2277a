//! Reassembly through the public API: any order, segmentation and overlap gives the stream that was sent; caps hold.

use citronella_sensor::flow::reassembly::{Counters, Limits, Piece, Reassembly, Segment, Stream};
use proptest::prelude::*;

/// The pieces of a direction: bytes, and lengths of gaps.
#[derive(Default, Debug, PartialEq)]
struct Output {
    bytes: Vec<u8>,
    gaps: Vec<u64>,
    conflicts: usize,
    ends: usize,
}

impl Output {
    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
            Piece::Gap(missing) => self.gaps.push(missing),
            Piece::Conflict => self.conflicts += 1,
            Piece::End => self.ends += 1,
        }
    }
}

fn segment(seq: u32, bytes: &[u8]) -> Segment<'_> {
    Segment { seq, syn: false, fin: false, bytes, wire_len: bytes.len() }
}

fn run(limits: Limits, segments: &[Segment<'_>]) -> (Output, Counters) {
    let (mut shared, mut stream, mut output) = (Reassembly::new(limits), Stream::new(), Output::default());
    for segment in segments {
        stream.segment(&mut shared, *segment, |piece| output.take(piece));
        let buffered = stream.buffered_bytes();
        assert!(buffered <= limits.bytes_per_direction && buffered <= limits.total_bytes, "{buffered} bytes");
        assert_eq!(shared.counters().buffered_bytes, buffered);
    }
    stream.finish(&mut shared, |piece| output.take(piece));
    assert_eq!(shared.counters().buffered_bytes, 0);
    (output, shared.counters())
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

proptest! {
    /// Any segmentation with overlaps and retransmissions, in any order after the SYN, gives one stream.
    #[test]
    fn any_order_gives_the_stream(
        isn in any::<u32>(),
        len in 1_usize..400,
        cuts in prop::collection::vec((0_usize..400, 1_usize..80), 0..12),
        seed in any::<u64>(),
    ) {
        let sent = content(len);
        let first = isn.wrapping_add(1);
        let mut ranges: Vec<(usize, usize)> = (0..len).step_by(37).map(|at| (at, (at + 37).min(len))).collect();
        ranges.extend(cuts.iter().map(|(from, by)| (*from.min(&len), (from + by).min(len))).filter(|(a, b)| a < b));
        let mut state = seed;
        for at in (1..ranges.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ranges.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut segments = vec![Segment { seq: isn, syn: true, fin: false, bytes: &[], wire_len: 0 }];
        segments.extend(ranges.iter().map(|(from, to)| Segment {
            fin: *to == len,
            ..segment(first.wrapping_add(*from as u32), &sent[*from..*to])
        }));
        let (output, counters) = run(Limits::default(), &segments);
        prop_assert_eq!(output, Output { bytes: sent, gaps: vec![], conflicts: 0, ends: 1 });
        prop_assert_eq!(counters.gaps, 0);
    }

    /// On any input, no more bytes are emitted than were taken, and nothing panics.
    #[test]
    fn hostile_segments_are_bounded(
        segments in prop::collection::vec((any::<u32>(), any::<bool>(), any::<bool>(), 0_usize..60, 0_usize..8), 0..60),
        near in any::<bool>(),
    ) {
        let bytes = content(60);
        let limits = Limits { bytes_per_direction: 600, blocks_per_direction: 5, total_bytes: 500, ..Limits::default() };
        let segments: Vec<Segment<'_>> = segments
            .iter()
            .map(|(seq, syn, fin, len, cut)| Segment {
                seq: if near { seq % 300 } else { *seq },
                syn: *syn,
                fin: *fin,
                bytes: &bytes[..*len],
                wire_len: len + cut,
            })
            .collect();
        let (output, _) = run(limits, &segments);
        prop_assert!(output.bytes.len() <= segments.iter().map(|s| s.bytes.len()).sum());
        prop_assert!(output.ends <= 1);
    }
}

#[test]
fn numbers_wrap() {
    let sent = content(100);
    let first = u32::MAX - 49;
    let late = [
        segment(first, &sent[..20]),
        segment(first.wrapping_add(60), &sent[60..]),
        segment(first.wrapping_add(20), &sent[20..60]),
    ];
    assert_eq!(run(Limits::default(), &late).0.bytes, sent);
}

#[test]
fn the_first_copy_wins_and_the_conflict_is_reported() {
    let late = [segment(10, b"ab"), segment(14, b"ef"), segment(13, b"XXX"), segment(12, b"cd")];
    let (output, counters) = run(Limits::default(), &late);
    assert_eq!(output.bytes, b"abcXef");
    assert_eq!((output.conflicts, counters.conflicts), (2, 2));
}

#[test]
fn an_acknowledged_hole_is_abandoned() {
    let (mut shared, mut stream, mut output) = (Reassembly::default(), Stream::new(), Output::default());
    stream.segment(&mut shared, segment(0, b"ab"), |piece| output.take(piece));
    stream.segment(&mut shared, segment(5, b"fg"), |piece| output.take(piece));
    stream.acknowledged(&mut shared, 2, |piece| output.take(piece));
    assert!(output.gaps.is_empty());
    stream.acknowledged(&mut shared, 7, |piece| output.take(piece));
    assert_eq!((output.gaps.as_slice(), output.bytes.as_slice()), ([3].as_slice(), b"abfg".as_slice()));
}

#[test]
fn a_cut_packet_is_a_gap_at_once() {
    let cut = Segment { wire_len: 10, ..segment(0, b"abc") };
    let (output, counters) = run(Limits::default(), &[cut, segment(10, b"z")]);
    assert_eq!((output.bytes.as_slice(), output.gaps.as_slice()), (b"abcz".as_slice(), [7].as_slice()));
    assert_eq!(counters.gap_bytes, 7);
}

#[test]
fn the_cap_on_a_direction_forces_a_gap() {
    let limits = Limits { bytes_per_direction: 1000, ..Limits::default() };
    let bytes = content(900);
    let (output, counters) = run(limits, &[segment(0, b"a"), segment(100, &bytes), segment(1_000, &bytes)]);
    assert_eq!(output.gaps, [99]);
    assert_eq!(output.bytes.len(), 1801);
    assert_eq!(counters.direction_full, 1);
}

#[test]
fn the_cap_on_blocks_forces_gaps() {
    let segments: Vec<Segment<'_>> = (0..1000).map(|at| segment(at * 2, b"x")).collect();
    let (output, counters) = run(Limits::default(), &segments);
    assert_eq!(output.bytes.len(), 1000);
    assert_eq!(counters.gaps, 999);
    assert!(counters.direction_full > 900);
}

#[test]
fn the_total_cap_forces_gaps_in_the_direction_that_exceeds_it() {
    let limits = Limits { total_bytes: 10_000, ..Limits::default() };
    let mut shared = Reassembly::new(limits);
    let mut streams: Vec<Stream> = (0..1000).map(|_| Stream::new()).collect();
    let mut output = Output::default();
    for stream in &mut streams {
        stream.segment(&mut shared, segment(0, b"a"), |piece| output.take(piece));
        stream.segment(&mut shared, segment(50, &[7; 100]), |piece| output.take(piece));
        assert!(shared.counters().buffered_bytes <= 10_000);
    }
    assert!(shared.counters().total_full > 900);
    for stream in &mut streams {
        stream.finish(&mut shared, |piece| output.take(piece));
    }
    assert_eq!((output.bytes.len(), output.gaps.len()), (101_000, 1000));
    assert_eq!(shared.counters().buffered_bytes, 0);
}

#[test]
fn segments_outside_the_window_are_ignored() {
    let (output, counters) =
        run(Limits::default(), &[segment(0, b"a"), segment(1 << 31, b"b"), segment(1, b"c")]);
    assert_eq!(output.bytes, b"ac");
    assert_eq!(counters.outside_window, 1);
}

#[test]
fn ten_million_segments_of_one_byte_take_linear_time() {
    let (mut shared, mut stream, mut bytes) = (Reassembly::default(), Stream::new(), 0_u64);
    for seq in 0..10_000_000_u32 {
        stream.segment(&mut shared, segment(seq, b"x"), |piece| {
            bytes += if let Piece::Bytes(piece) = piece { piece.len() as u64 } else { 0 };
        });
    }
    assert_eq!((bytes, stream.buffered_bytes()), (10_000_000, 0));
}

//! One direction of a TCP connection in any order, with overlaps, cut packets and acknowledgements, under small caps.
//!
//! An operation is six bytes: kind (2 bits: segment, acknowledgement, FIN, cut), a sequence number near the start or
//! anywhere (1 bit), two bytes of sequence number, two of acknowledgement, and a length.
#![no_main]

use citronella_sensor::flow::reassembly::{Limits, Piece, Reassembly, Segment, Stream};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    bytes_per_direction: 1_024,
    blocks_per_direction: 6,
    total_bytes: 900,
    window_bytes: 1 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    let content: Vec<u8> = (0..=255).collect();
    let (mut shared, mut stream) = (Reassembly::new(LIMITS), Stream::new());
    let (mut given, mut taken, mut ends) = (0, 0, 0);
    let mut take = |piece: Piece<'_>| match piece {
        Piece::Bytes(bytes) => {
            assert_eq!(ends, 0, "bytes after the end");
            given += bytes.len();
        }
        Piece::Gap(missing) => assert!(missing > 0 && missing <= u64::from(u32::MAX)),
        Piece::Conflict => {}
        Piece::End => ends += 1,
    };
    for operation in bytes.chunks_exact(6) {
        let [what, s0, s1, a0, a1, len] = *operation else { continue };
        let near = u32::from(u16::from_be_bytes([s0, s1]));
        let seq = if what & 4 == 0 { near % 4_096 } else { near << 16 | near };
        let ack = u32::from(u16::from_be_bytes([a0, a1])) % 4_096;
        let payload = content.get(..usize::from(len)).unwrap_or_default();
        match what & 3 {
            1 => stream.acknowledged(&mut shared, ack, &mut take),
            kind => {
                taken += payload.len();
                let cut = if kind == 3 { ack as usize } else { 0 };
                let segment =
                    Segment { seq, syn: what & 8 != 0, fin: kind == 2, bytes: payload, wire_len: payload.len() + cut };
                stream.segment(&mut shared, segment, &mut take);
            }
        }
        let buffered = stream.buffered_bytes();
        assert_eq!(buffered, shared.counters().buffered_bytes);
        assert!(buffered <= LIMITS.total_bytes);
    }
    stream.finish(&mut shared, &mut take);
    assert_eq!(shared.counters().buffered_bytes, 0);
    assert!(given <= taken && ends <= 1);
});

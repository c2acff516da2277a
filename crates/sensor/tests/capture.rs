//! Captures: every format and byte order, complete and damaged.

use std::io::{self, Cursor, Read, Write};

use citronella_sensor::capture::{Block, Capture, CaptureError};
use proptest::prelude::*;

const ETHERNET: u32 = 1;

fn pcap(magic: u32, big_endian: bool, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let w = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let h = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = Vec::new();
    out.extend(w(magic));
    out.extend(h(2));
    out.extend(h(4));
    for word in [0, 0, 65_535, ETHERNET] {
        out.extend(w(word));
    }
    for (seconds, fraction, bytes) in packets {
        for word in [*seconds, *fraction, bytes.len() as u32, bytes.len() as u32 + 7] {
            out.extend(w(word));
        }
        out.extend(*bytes);
    }
    out
}

fn block(big_endian: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let w = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = body.len() as u32 + 12;
    [w(kind).to_vec(), w(length).to_vec(), body, w(length).to_vec()].concat()
}

/// A section, an Ethernet interface with nanosecond stamps, an unknown block, then the packets.
fn pcapng(big_endian: bool, packets: &[(u64, &[u8])]) -> Vec<u8> {
    let w = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let h = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let section = [w(0x1a2b_3c4d).to_vec(), h(1).to_vec(), h(0).to_vec(), vec![0xff; 8]].concat();
    let nanos = [h(9).to_vec(), h(1).to_vec(), vec![9, 0, 0, 0], vec![0; 4]].concat();
    let interface = [h(1).to_vec(), h(0).to_vec(), w(0).to_vec(), nanos].concat();
    let mut out = block(big_endian, 0x0a0d_0d0a, &section);
    out.extend(block(big_endian, 1, &interface));
    out.extend(block(big_endian, 0x7777, b"unknown to all"));
    for (time, bytes) in packets {
        let head = [0, (time >> 32) as u32, *time as u32, bytes.len() as u32, bytes.len() as u32];
        let body = [head.iter().flat_map(|v| w(*v)).collect(), bytes.to_vec()].concat();
        out.extend(block(big_endian, 6, &body));
    }
    out
}

/// Time, wire length, bytes.
type Seen = (i64, u32, Vec<u8>);

/// All packets, and the error that ended the capture; read packet by packet and in blocks.
fn read(bytes: Vec<u8>) -> (Vec<Seen>, Option<CaptureError>) {
    let open = |bytes| Capture::from_reader("test", Box::new(Cursor::new(bytes)));
    let mut capture = match open(bytes.clone()) {
        Ok(capture) => capture,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut packets = Vec::new();
    let error = loop {
        match capture.next() {
            Ok(Some(packet)) => {
                assert_eq!(packet.number as usize, packets.len() + 1);
                packets.push((packet.time_nanos, packet.wire_len, packet.bytes.to_vec()));
            }
            Ok(None) => break None,
            Err(error) => {
                assert!(matches!(capture.next(), Ok(None)), "nothing follows an error");
                break Some(error);
            }
        }
    };
    let Ok(mut by_block) = open(bytes) else { panic!("the first open succeeded") };
    let mut block = Block::default();
    let mut at = 0;
    let end = loop {
        match by_block.block(&mut block) {
            Ok(true) => {
                assert!(!block.is_empty());
                for packet in block.packets() {
                    let seen = (packet.time_nanos, packet.wire_len, packet.bytes.to_vec());
                    assert_eq!((packet.number as usize, Some(&seen)), (at + 1, packets.get(at)));
                    at += 1;
                }
            }
            Ok(false) => break None,
            Err(error) => {
                assert!(matches!(by_block.block(&mut block), Ok(false)), "nothing follows an error");
                break Some(error);
            }
        }
    };
    let text = |error: &Option<CaptureError>| error.as_ref().map(ToString::to_string);
    assert_eq!((at, text(&end)), (packets.len(), text(&error)));
    assert_eq!((capture.bytes(), capture.unknown_blocks()), (by_block.bytes(), by_block.unknown_blocks()));
    (packets, error)
}

#[test]
fn pcap_of_both_resolutions_and_byte_orders() {
    for (magic, nanos) in [(0xa1b2_c3d4, 5_000), (0xa1b2_3c4d, 5)] {
        for big_endian in [false, true] {
            let (packets, error) = read(pcap(magic, big_endian, &[(3, 5, b"first"), (4, 0, b"")]));
            assert!(error.is_none());
            assert_eq!(packets, [(3_000_000_000 + nanos, 12, b"first".to_vec()), (4_000_000_000, 7, vec![])]);
        }
    }
}

#[test]
fn pcapng_of_both_byte_orders_skips_unknown_blocks() {
    for big_endian in [false, true] {
        let bytes = pcapng(big_endian, &[(1_581_698_796_000_000_127, b"one"), (5, b"four")]);
        let (packets, error) = read(bytes.clone());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(packets, [(1_581_698_796_000_000_127, 3, b"one".to_vec()), (5, 4, b"four".to_vec())]);
        let mut capture = Capture::from_reader("test", Box::new(Cursor::new(bytes))).unwrap();
        while capture.next().unwrap().is_some() {}
        assert_eq!(capture.unknown_blocks(), 1);
    }
}

#[test]
fn compressed_captures_read_the_same() {
    let plain = pcap(0xa1b2_c3d4, false, &[(1, 2, &[7; 3000]), (3, 4, b"x")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let expected = read(plain).0;
    assert_eq!(expected.len(), 2);
    assert_eq!(read(gzip.finish().unwrap()).0, expected);
    assert_eq!(read(zstd).0, expected);
}

#[test]
fn a_truncated_file_yields_its_complete_packets_then_an_error() {
    let whole = pcap(0xa1b2_c3d4, false, &[(1, 2, b"abc"), (3, 4, b"defgh")]);
    let (packets, error) = read(whole[..whole.len() - 2].to_vec());
    assert_eq!(packets.len(), 1);
    let message = error.unwrap().to_string();
    assert_eq!(
        message,
        "test: cut short in packet 2 at byte 43: 2 more bytes were expected; the 1 whole packets before it are intact"
    );
}

#[test]
fn a_truncated_compressed_file_names_the_stream() {
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(400_000)
    .collect();
    let packets: Vec<_> = noise.chunks(1000).map(|chunk| (1, 2, chunk)).collect();
    let zstd = zstd::encode_all(&pcap(0xa1b2_c3d4, false, &packets)[..], 1).unwrap();
    let (read, error) = read(zstd[..zstd.len() / 2].to_vec());
    assert!(!read.is_empty() && read.len() < 400);
    assert!(read.iter().zip(&packets).all(|(ours, theirs)| ours.2 == theirs.2));
    let error = error.unwrap();
    assert!(
        matches!(&error, CaptureError::Compressed { packet, .. } if *packet == read.len() as u64 + 1),
        "{error}"
    );
    assert!(error.to_string().contains("zstd") && error.to_string().contains("decompressed stream"));
}

#[test]
fn a_file_that_is_not_a_capture_is_rejected() {
    let message = |bytes: &[u8]| read(bytes.to_vec()).1.unwrap().to_string();
    assert!(message(b"").contains("empty"));
    let text = message(b"timestamp,src_ip,dst_ip\n");
    assert!(
        text.contains("the text \"timestamp,src_ip\"") && text.contains("expected a pcap or pcapng"),
        "{text}"
    );
    assert!(message(&[0xff; 40]).contains("ff ff ff ff"));
    let mut token_ring = pcap(0xa1b2_c3d4, false, &[]);
    token_ring[20] = 6;
    assert!(message(&token_ring).contains("link type 6 is not supported"));
}

#[test]
fn impossible_lengths_are_damage() {
    let mut bytes = pcap(0xa1b2_c3d4, false, &[(1, 2, b"abc"), (3, 4, b"defgh")]);
    bytes[24 + 16 + 3 + 8 + 3] = 0xff;
    let (packets, error) = read(bytes);
    assert_eq!(packets.len(), 1);
    assert!(matches!(error, Some(CaptureError::Malformed { packet: 2, offset: 43, .. })), "{error:?}");
    let (_, error) = read(block(false, 0x0a0d_0d0a, &[0; 16]));
    assert!(matches!(error, Some(CaptureError::Malformed { .. })), "{error:?}");
}

#[test]
fn errors_name_a_missing_file_and_a_folder() {
    let missing = Capture::open("no/such.pcap".as_ref()).err().unwrap().to_string();
    assert!(missing.starts_with("no/such.pcap: ") && missing.ends_with("check the path"), "{missing}");
    let folder = Capture::open(std::env::temp_dir().as_path()).err().unwrap().to_string();
    assert!(folder.contains("is a folder"), "{folder}");
}

/// A pipe: reads return any number of bytes, or are interrupted by signals.
struct Pipe {
    bytes: Cursor<Vec<u8>>,
    reads: Vec<usize>,
    at: usize,
}

impl Read for Pipe {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.at += 1;
        match self.reads[self.at % self.reads.len()] {
            0 => Err(io::ErrorKind::Interrupted.into()),
            size => {
                let most = size.min(to.len());
                self.bytes.read(&mut to[..most])
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Packets are complete for any sizes of a pipe's reads, across blocks of the buffer.
    #[test]
    fn a_pipe_loses_nothing(
        reads in proptest::collection::vec(prop_oneof![Just(0), 1usize..8, 4_000usize..4_200, Just(65_536), Just(1 << 20)], 1..6),
        length in 0usize..2_000,
    ) {
        prop_assume!(reads.iter().any(|size| *size > 1_000));
        let frames: Vec<Vec<u8>> = (0..3_000_000 / (length + 100))
            .map(|number| (0..length + number % 7).map(|at| (at ^ number) as u8).collect())
            .collect();
        let packets: Vec<_> = frames.iter().map(|frame| (1, 2, frame.as_slice())).collect();
        let bytes = Cursor::new(pcap(0xa1b2_c3d4, false, &packets));
        let mut capture = Capture::from_reader("pipe", Box::new(Pipe { bytes, reads, at: 0 })).unwrap();
        for frame in &frames {
            prop_assert_eq!(capture.next().unwrap().unwrap().bytes, frame.as_slice());
        }
        prop_assert!(capture.next().unwrap().is_none());
    }
}

proptest! {
    /// Damage anywhere yields packets or an error, never a panic and never more bytes than the file has.
    #[test]
    fn damaged_captures_never_panic(at in 0usize..400, byte: u8, cut in 0usize..400, ng: bool, big_endian: bool) {
        let frames: [&[u8]; 3] = [b"abc", &[9; 100], b""];
        let mut bytes = if ng {
            pcapng(big_endian, &frames.map(|frame| (7, frame)))
        } else {
            pcap(0xa1b2_c3d4, big_endian, &frames.map(|frame| (1, 2, frame)))
        };
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % bytes.len());
        let length = bytes.len();
        let (packets, _) = read(bytes);
        prop_assert!(packets.iter().map(|packet| packet.2.len()).sum::<usize>() <= length);
    }
}

#[test]
fn packets_continue_from_block_to_block() {
    // Several blocks, with one packet longer than a block and a truncated one.
    let long = vec![7; 700_000];
    let bytes: Vec<Vec<u8>> = (0..6_000).map(|at| vec![at as u8; at % 400]).collect();
    let mut packets: Vec<(u32, u32, &[u8])> =
        bytes.iter().enumerate().map(|(at, bytes)| (at as u32, 5, bytes.as_slice())).collect();
    packets.insert(3_000, (9, 9, &long));
    let mut whole = pcap(0xa1b2_c3d4, false, &packets);
    assert_eq!(read(whole.clone()).0.len(), 6_001);
    whole.truncate(whole.len() - 3);
    let (seen, error) = read(whole);
    assert!(seen.len() == 6_000 && error.is_some_and(|error| error.is_cut()));
    let times: Vec<(u64, &[u8])> = packets.iter().map(|(at, _, bytes)| (u64::from(*at), *bytes)).collect();
    assert_eq!(read(pcapng(true, &times)).0.len(), 6_001);
}

//! IP fragments of two hosts in any order, with overlaps and contradictions, under small caps.
//!
//! An operation is five bytes: version, identification and more-fragments (1 byte), two bytes of offset (a small one if
//! the top bit is 0), a length, and seconds since the last one.
#![no_main]

use citronella_sensor::flow::fragments::{Fragments, Limits};
use citronella_wire::{LinkType, decode_frame};
use libfuzzer_sys::fuzz_target;

fn packet(control: u8, offset: u16, len: u8) -> Vec<u8> {
    let more = u16::from(control >> 1 & 1);
    let id = control >> 2 & 7;
    let payload = (0..len).map(|at| at ^ control);
    let mut bytes = vec![];
    if control & 1 == 0 {
        bytes.extend([0x45, 0, 0, 20 + len.min(235), 0, id]);
        bytes.extend((more << 13 | offset).to_be_bytes());
        bytes.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    } else {
        bytes.extend([0x60, 0, 0, 0]);
        bytes.extend((u16::from(len) + 8).to_be_bytes());
        bytes.extend([44, 64]);
        bytes.extend([[0xfd; 16], [0xfe; 16]].concat());
        bytes.extend([17, 0]);
        bytes.extend((offset << 3 | more).to_be_bytes());
        bytes.extend([0, 0, 0, id]);
    }
    bytes.extend(payload);
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { datagrams: 3, bytes_in_all: 4_000, runs_per_datagram: 5, ..Limits::default() };
    let mut fragments = Fragments::new(limits);
    let (mut given, mut now) = (0, 0);
    for operation in bytes.chunks_exact(5) {
        let [control, high, low, len, seconds] = *operation else { continue };
        let offset = u16::from_be_bytes([high, low]);
        let offset = if offset & 0x8000 == 0 { offset % 32 } else { offset & 0x1fff };
        now += i64::from(seconds) * 1_000_000_000;
        given += usize::from(len);
        let bytes = packet(control, offset, len);
        let mut faults = 0;
        let whole = fragments.frame(now, decode_frame(LinkType::RawIp, &bytes), |_| faults += 1);
        assert!(whole.payload.len() <= given && whole.payload_len >= whole.payload.len());
        assert!(faults <= 1);
        let counters = fragments.counters();
        assert!(fragments.len() <= limits.datagrams && counters.kept_bytes <= limits.bytes_in_all);
    }
});

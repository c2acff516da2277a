//! A pcap file (the first byte selects byte order and resolution), down to rows and sessions.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod file;

const MAGICS: [u32; 4] = [0xa1b2_c3d4, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x4d3c_b2a1];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let magic = MAGICS[usize::from(*first) % MAGICS.len()].to_le_bytes();
    file::read(&[&magic, rest].concat());
});

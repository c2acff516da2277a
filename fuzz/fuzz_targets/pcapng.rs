//! A pcapng file, from its section header on, down to rows and sessions.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod file;

fuzz_target!(|bytes: &[u8]| {
    file::read(&[&[0x0a, 0x0d, 0x0d, 0x0a], bytes].concat());
});

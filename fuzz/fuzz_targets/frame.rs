//! A frame of any link layer (first byte), with all tunnels decapsulated.
#![no_main]

use citronella_wire::{LinkType, decode_frame};
use libfuzzer_sys::fuzz_target;

const LINKS: [LinkType; 8] = [
    LinkType::Ethernet,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::Null,
    LinkType::Loop,
    LinkType::RawIp,
    LinkType::RawIpv4,
    LinkType::RawIpv6,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut frame = Some(decode_frame(LINKS[usize::from(*first) % LINKS.len()], rest));
    while let Some(found) = frame {
        assert!(found.payload_len >= found.payload.len());
        assert!(found.payload.len() <= rest.len());
        frame = found.inner();
    }
});

//! Writes the fuzz targets' seeds from data/lab into fuzz/corpus:
//! `cargo test -p citronella-wire --test seeds -- --ignored`.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use citronella_wire::{Transport, decode_frame};
use support::{lab_captures, read_pcap};

/// Bytes of a connection in a seed.
const SEED_BYTES: usize = 4_096;

fn corpus(target: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
#[ignore = "writes files that only fuzzing needs"]
fn write_seeds() {
    let (frames, streams) = (corpus("frame"), corpus("mqtt_stream"));
    for (file, path) in lab_captures().iter().enumerate() {
        // One recording is pcapng, which is not read here.
        let Some(captured) = read_pcap(path) else { continue };
        let mut connections: BTreeMap<(u16, std::net::IpAddr), Vec<u8>> = BTreeMap::new();
        for (number, one) in captured.iter().enumerate() {
            if number % 97 == 0 {
                // The first byte selects the link layer: 0 is Ethernet.
                std::fs::write(frames.join(format!("{file}-{number}")), [&[0], &one.bytes[..]].concat())
                    .unwrap();
            }
            let frame = decode_frame(one.link, &one.bytes);
            let (Some(ip), Some(Transport::Tcp(tcp))) = (frame.ip, frame.transport) else { continue };
            let (key, direction) = match (tcp.src_port, tcp.dst_port) {
                (1883, port) => ((port, ip.dst), 1),
                (port, 1883) => ((port, ip.src), 0),
                _ => continue,
            };
            let seed = connections.entry(key).or_default();
            for chunk in frame.payload.chunks(64) {
                if seed.len() < SEED_BYTES {
                    seed.push(direction | ((chunk.len() as u8 - 1) << 2));
                    seed.extend(chunk);
                }
            }
        }
        for (number, seed) in connections.values().enumerate().take(40) {
            std::fs::write(streams.join(format!("{file}-{number}")), seed).unwrap();
        }
    }
}

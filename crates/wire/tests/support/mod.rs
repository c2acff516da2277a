//! Test support: captures, their connections, and builders that share no code with the decoder.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod build;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use citronella_wire::mqtt::{Direction, Limits, Observed, Record, Session, Stream};
use citronella_wire::{LinkType, Transport, decode_frame};

/// A captured frame.
pub struct Captured {
    pub at_micros: i64,
    pub link: LinkType,
    pub bytes: Vec<u8>,
}

/// A capture outside of the repository; `None`, with a note on stdout, if it is missing.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {name} is missing");
    None
}

/// The repository's recordings.
pub fn lab_captures() -> Vec<PathBuf> {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab");
    let mut files = Vec::new();
    for run in std::fs::read_dir(lab).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(run.path()).into_iter().flatten().flatten() {
            if file.path().to_string_lossy().ends_with(".pcap.zst") {
                files.push(file.path());
            }
        }
    }
    files.sort();
    if files.is_empty() {
        println!("skipped: data/lab has no captures");
    }
    files
}

/// Reads a little-endian pcap with microsecond times, plain or .zst; `None` for other formats.
pub fn read_pcap(path: &Path) -> Option<Vec<Captured>> {
    let mut bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|ext| ext == "zst") {
        bytes = zstd::decode_all(&bytes[..]).unwrap();
    }
    if bytes.get(..4)? != [0xd4, 0xc3, 0xb2, 0xa1] {
        return None;
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let link = LinkType::from_pcap(word(20)).unwrap();
    let mut frames = Vec::new();
    let mut at = 24;
    while at + 16 <= bytes.len() {
        let len = word(at + 8) as usize;
        let at_micros = i64::from(word(at)) * 1_000_000 + i64::from(word(at + 4));
        frames.push(Captured { at_micros, link, bytes: bytes[at + 16..at + 16 + len].to_vec() });
        at += 16 + len;
    }
    Some(frames)
}

type Host = (IpAddr, u16);

/// An MQTT connection of a capture, read with a naive reassembly.
pub struct Connection {
    pub session: Session,
    streams: [Stream; 2],
    next_seq: [Option<u32>; 2],
}

/// Feeds every TCP connection to or from `port` through [`Stream`] and [`Session`].
pub fn follow(
    frames: &[Captured],
    port: u16,
    limits: Limits,
    mut each: impl FnMut(&Observed<'_>),
) -> Vec<Connection> {
    let mut connections: BTreeMap<(Host, Host), Connection> = BTreeMap::new();
    let mut done = Vec::new();
    for captured in frames {
        let frame = decode_frame(captured.link, &captured.bytes);
        let (Some(ip), Some(Transport::Tcp(tcp))) = (frame.ip, frame.transport) else { continue };
        let (src, dst) = ((ip.src, tcp.src_port), (ip.dst, tcp.dst_port));
        let (direction, key) = match (src.1 == port, dst.1 == port) {
            (_, true) => (Direction::ToServer, (src, dst)),
            (true, _) => (Direction::ToClient, (dst, src)),
            _ => continue,
        };
        if tcp.flags.syn() && !tcp.flags.ack() {
            done.extend(connections.remove(&key));
        }
        let connection = connections.entry(key).or_insert_with(|| {
            let (session, stream) = if tcp.flags.syn() {
                (Session::new(limits), Stream::new(limits))
            } else {
                (Session::mid_stream(limits), Stream::mid_stream(limits))
            };
            Connection { session, streams: [stream.clone(), stream], next_seq: [None; 2] }
        });
        connection.segment(direction, captured.at_micros, &tcp, frame.payload, &mut each);
    }
    for connection in connections.values_mut().chain(&mut done) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let Connection { session, streams, .. } = connection;
            streams[direction as usize].finish(|record| each(&session.observe(direction, &record, 0)));
        }
    }
    done.extend(connections.into_values());
    done
}

impl Connection {
    fn segment(
        &mut self,
        direction: Direction,
        at_micros: i64,
        tcp: &citronella_wire::Tcp,
        payload: &[u8],
        each: &mut impl FnMut(&Observed<'_>),
    ) {
        let Self { session, streams, next_seq } = self;
        let (stream, next) = (&mut streams[direction as usize], &mut next_seq[direction as usize]);
        let seq = tcp.seq.wrapping_add(u32::from(tcp.flags.syn()));
        let mut sink = |record: Record<'_>| each(&session.observe(direction, &record, at_micros));
        let known = next.unwrap_or(seq);
        let ahead = seq.wrapping_sub(known) as i32;
        if ahead > 0 && payload.is_empty() {
            return;
        }
        stream.gap(ahead.max(0) as u64, &mut sink);
        let fresh = payload.get(ahead.min(0).unsigned_abs() as usize..).unwrap_or(&[]);
        stream.push(fresh, &mut sink);
        *next = Some(known.wrapping_add(ahead.max(0) as u32).wrapping_add(fresh.len() as u32));
    }
}

//! Recordings sent in rounds, each later and with other network addresses, so that no host appears in two rounds.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::Path,
};

use citronella_sensor::capture::Capture;

const SECOND: u64 = 1_000_000_000;
/// Pause between two recordings: a host's counts over 10 and 60 seconds have decayed.
const PAUSE: u64 = 60 * SECOND;
/// Pause between two rounds: state of addresses that all rounds share, such as multicast groups, has decayed to the last
/// digit.
const ROUND_PAUSE: u64 = 1_800 * SECOND;
/// Increment of the network byte of an address from round to round.
const NETWORK_STEP: u8 = 16;
/// More rounds would reuse the networks of the first.
pub const MAX_ROUNDS: u32 = 256 / NETWORK_STEP as u32;

/// The packets of a round, and how to shift them to another round.
pub struct Rounds {
    /// Consecutive records of a pcap file; the times are set for each round.
    bytes: Vec<u8>,
    /// Offset of each record in `bytes`, and its nanoseconds since the round began.
    records: Vec<(usize, u64)>,
    /// Offset in `bytes` and first-round value of the network byte of each address: the third byte of an IPv4 address and
    /// the fourth of an IPv6 address.
    network_bytes: Vec<(usize, u8)>,
    networks: Vec<[u8; 3]>,
    begins_nanos: u64,
    round_nanos: u64,
}

impl Rounds {
    /// Loads recordings: for each, a folder with a manifest and the names of the files to include (all if empty).
    pub fn load(recordings: &[(&Path, &[&str])]) -> Rounds {
        let mut rounds = Rounds {
            bytes: Vec::new(),
            records: Vec::new(),
            network_bytes: Vec::new(),
            networks: Vec::new(),
            begins_nanos: 0,
            round_nanos: 0,
        };
        for (folder, wanted) in recordings {
            rounds.add(folder, wanted);
        }
        // Whole minutes: rate limits a minute apply alike in each round.
        rounds.round_nanos = (rounds.round_nanos + ROUND_PAUSE).next_multiple_of(60 * SECOND);
        rounds
    }

    fn add(&mut self, folder: &Path, wanted: &[&str]) {
        let manifest = fs::read_to_string(folder.join("manifest.csv")).unwrap();
        let rows: Vec<Vec<&str>> = manifest.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let broker: std::net::Ipv4Addr = rows[0][3].parse().unwrap();
        let [a, b, c, _] = broker.octets();
        let network = [a, b, c];
        assert!(
            self.networks.iter().all(|[x, y, z]| [*x, *y] != [a, b] || z % NETWORK_STEP != c % NETWORK_STEP)
        );
        self.networks.push(network);
        // Sorted by time: files of one recording may overlap.
        let mut packets: Vec<(u64, u32, Vec<u8>)> = Vec::new();
        for row in rows.iter().filter(|row| wanted.is_empty() || wanted.contains(&row[1])) {
            let mut capture = Capture::open(&folder.join(row[1])).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                let time = u64::try_from(packet.time_nanos).unwrap();
                packets.push((time, packet.wire_len, packet.bytes.to_vec()));
            }
        }
        packets.sort_by_key(|(time, ..)| *time);
        let (first, last) = (packets[0].0, packets[packets.len() - 1].0);
        let start = first - first % SECOND;
        if self.begins_nanos == 0 {
            self.begins_nanos = first - first % (60 * SECOND);
        }
        for (time, wire_len, frame) in packets {
            self.records.push((self.bytes.len(), self.round_nanos + (time - start)));
            self.bytes.extend([0; 8]);
            for word in [frame.len() as u32, wire_len] {
                self.bytes.extend(word.to_le_bytes());
            }
            let frame_offset = self.bytes.len();
            let offsets = network_byte_offsets(&frame, network);
            self.network_bytes
                .extend(offsets.into_iter().map(|offset| (frame_offset + offset, frame[offset])));
            self.bytes.extend(frame);
        }
        self.round_nanos = (self.round_nanos + (last - start) + PAUSE).next_multiple_of(SECOND);
    }

    pub fn packets(&self) -> u64 {
        self.records.len() as u64
    }

    pub fn round_secs(&self) -> u64 {
        self.round_nanos / SECOND
    }

    /// The round of a time, and the nanoseconds since the start of that round.
    pub fn round_and_offset(&self, nanos: u64) -> (usize, u64) {
        let since = nanos - self.begins_nanos;
        ((since / self.round_nanos) as usize, since % self.round_nanos)
    }

    /// Replaces the addresses of a round in a text by those of the first round.
    pub fn text_in_first_round(&self, text: &str, round: usize) -> String {
        let mut text = text.to_owned();
        for [a, b, c] in &self.networks {
            let shifted = c.wrapping_add(NETWORK_STEP.wrapping_mul(round as u8));
            text = text.replace(&format!("{a}.{b}.{shifted}."), &format!("{a}.{b}.{c}."));
        }
        text
    }

    /// Maps an address of a round to the first round.
    pub fn address_in_first_round(&self, address: &str, round: usize) -> String {
        match address.parse().unwrap() {
            IpAddr::V6(address) if !address.is_multicast() => {
                let mut octets = address.octets();
                octets[3] = octets[3].wrapping_sub(NETWORK_STEP.wrapping_mul(round as u8));
                IpAddr::from(octets).to_string()
            }
            _ => self.text_in_first_round(address, round),
        }
    }

    /// Writes the header of a pcap file with nanosecond times.
    pub fn write_header(out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"\x4d\x3c\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0")
    }

    /// Writes the packets of a round.
    pub fn send(&mut self, round: u32, out: &mut impl Write) -> io::Result<()> {
        assert!(round < MAX_ROUNDS);
        for (offset, time) in &self.records {
            let nanos = self.begins_nanos + u64::from(round) * self.round_nanos + time;
            let words = [(nanos / SECOND) as u32, (nanos % SECOND) as u32].map(u32::to_le_bytes);
            self.bytes[*offset..*offset + 8].copy_from_slice(words.as_flattened());
        }
        for (offset, byte) in &self.network_bytes {
            self.bytes[*offset] = byte.wrapping_add(NETWORK_STEP.wrapping_mul(round as u8));
        }
        out.write_all(&self.bytes)
    }
}

/// Offsets of the network bytes in an Ethernet frame: of IPv4 addresses in `network`, including those in the packet that
/// an ICMP error quotes, and of unicast IPv6 addresses.
fn network_byte_offsets(frame: &[u8], network: [u8; 3]) -> Vec<usize> {
    const IP: usize = 14;
    let mut offsets = Vec::new();
    match frame.get(12..14) {
        Some([8, 0]) if frame.len() >= IP + 20 => {
            offsets.extend([IP + 12, IP + 16]);
            let payload = IP + usize::from(frame[IP] & 15) * 4;
            if frame[IP + 9] == 1 && matches!(frame.get(payload), Some(3 | 4 | 5 | 11 | 12)) {
                offsets.extend([payload + 8 + 12, payload + 8 + 16]);
            }
            offsets.retain(|offset| frame.get(*offset..offset + 3) == Some(&network));
            offsets.iter_mut().for_each(|offset| *offset += 2);
        }
        Some([0x86, 0xdd]) if frame.len() >= IP + 40 => {
            offsets.extend([IP + 8, IP + 24]);
            offsets.retain(|offset| frame[*offset] != 0xff);
            offsets.iter_mut().for_each(|offset| *offset += 3);
        }
        _ => {}
    }
    offsets
}

//! Recordings sent round after round, each round later and from other networks, so that none knows of another's hosts.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use citronella_sensor::capture::Capture;

const SECOND: u64 = 1_000_000_000;
/// Between two recordings: a host's counts over 10 and 60 seconds have ebbed away.
const PAUSE: u64 = 60 * SECOND;
/// What is added to the third number of a network from round to round.
const STEP: u8 = 16;
/// More would come back to the first round's networks.
pub const MOST_ROUNDS: u32 = 256 / STEP as u32;

/// A day's packets, to be sent.
pub struct Rounds {
    /// Records of a pcap file without their times, one after another.
    bytes: Vec<u8>,
    /// Where a record begins, and its time since the round began.
    records: Vec<(usize, u64)>,
    /// The third numbers of addresses: where they are, and what they are in the first round.
    thirds: Vec<(usize, u8)>,
    networks: Vec<[u8; 3]>,
    begins_nanos: u64,
    round_nanos: u64,
}

impl Rounds {
    /// Of recordings, each a folder with a manifest and the files of it that are wanted (all where none is named).
    pub fn of(recordings: &[(&Path, &[&str])]) -> Rounds {
        let mut rounds = Rounds {
            bytes: Vec::new(),
            records: Vec::new(),
            thirds: Vec::new(),
            networks: Vec::new(),
            begins_nanos: 0,
            round_nanos: 0,
        };
        for (folder, wanted) in recordings {
            rounds.add(folder, wanted);
        }
        // Whole minutes: what is allowed a minute is the same in each round.
        rounds.round_nanos = rounds.round_nanos.next_multiple_of(60 * SECOND);
        rounds
    }

    fn add(&mut self, folder: &Path, wanted: &[&str]) {
        let manifest = fs::read_to_string(folder.join("manifest.csv")).unwrap();
        let rows: Vec<Vec<&str>> = manifest.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let broker: std::net::Ipv4Addr = rows[0][3].parse().unwrap();
        let [a, b, c, _] = broker.octets();
        let network = [a, b, c];
        assert!(self.networks.iter().all(|[x, y, z]| [*x, *y] != [a, b] || z % STEP != c % STEP));
        self.networks.push(network);
        let (mut began, mut latest) = (None, 0);
        for row in rows.iter().filter(|row| wanted.is_empty() || wanted.contains(&row[1])) {
            let mut capture = Capture::open(&folder.join(row[1])).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                let time = u64::try_from(packet.time_nanos).unwrap();
                if self.begins_nanos == 0 {
                    self.begins_nanos = time - time % (60 * SECOND);
                }
                let began = *began.get_or_insert(time - time % SECOND);
                latest = latest.max(time - began);
                let at = self.bytes.len();
                self.records.push((at, self.round_nanos + (time - began)));
                self.bytes.extend([0; 8]);
                for word in [packet.bytes.len() as u32, packet.wire_len] {
                    self.bytes.extend(word.to_le_bytes());
                }
                let frame = self.bytes.len();
                self.bytes.extend(packet.bytes);
                for place in addresses(packet.bytes) {
                    if packet.bytes.get(place..place + 3) == Some(&network) {
                        self.thirds.push((frame + place + 2, c));
                    }
                }
            }
        }
        self.round_nanos = (self.round_nanos + latest + PAUSE).next_multiple_of(SECOND);
    }

    pub fn packets(&self) -> u64 {
        self.records.len() as u64
    }

    pub fn round_secs(&self) -> u64 {
        self.round_nanos / SECOND
    }

    /// The round that a time belongs to, and nanoseconds since that began.
    pub fn place(&self, nanos: u64) -> (usize, u64) {
        let since = nanos - self.begins_nanos;
        ((since / self.round_nanos) as usize, since % self.round_nanos)
    }

    /// A text with a round's addresses as those of the first.
    pub fn as_in_the_first(&self, text: &str, round: usize) -> String {
        let mut text = text.to_owned();
        for [a, b, c] in &self.networks {
            let there = c.wrapping_add(STEP.wrapping_mul(round as u8));
            text = text.replace(&format!("{a}.{b}.{there}."), &format!("{a}.{b}.{c}."));
        }
        text
    }

    /// A pcap file's header, with nanoseconds.
    pub fn begin(out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"\x4d\x3c\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0")
    }

    /// Sends a round.
    pub fn send(&mut self, round: u32, out: &mut impl Write) -> io::Result<()> {
        assert!(round < MOST_ROUNDS);
        for (at, time) in &self.records {
            let nanos = self.begins_nanos + u64::from(round) * self.round_nanos + time;
            let words = [(nanos / SECOND) as u32, (nanos % SECOND) as u32].map(u32::to_le_bytes);
            self.bytes[*at..*at + 8].copy_from_slice(words.as_flattened());
        }
        for (at, third) in &self.thirds {
            self.bytes[*at] = third.wrapping_add(STEP.wrapping_mul(round as u8));
        }
        out.write_all(&self.bytes)
    }
}

/// Where an Ethernet frame has IPv4 addresses, those that an ICMP error cites too.
fn addresses(frame: &[u8]) -> Vec<usize> {
    const IP: usize = 14;
    if frame.get(12..14) != Some(&[8, 0]) || frame.len() < IP + 20 {
        return Vec::new();
    }
    let mut places = vec![IP + 12, IP + 16];
    let payload = IP + usize::from(frame[IP] & 15) * 4;
    if frame[IP + 9] == 1 && matches!(frame.get(payload), Some(3 | 4 | 5 | 11 | 12)) {
        places.extend([payload + 8 + 12, payload + 8 + 16]);
    }
    places
}

//! Recordings sent round after round, each round later and from other networks, so that none knows of another's hosts.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::Path,
};

use citronella_sensor::capture::Capture;

const SECOND: u64 = 1_000_000_000;
/// Between two recordings: a host's counts over 10 and 60 seconds have ebbed away.
const PAUSE: u64 = 60 * SECOND;
/// Between two rounds: what is known of addresses that all rounds share, such as multicast groups, has ebbed away to the
/// last digit.
const QUIET: u64 = 1_800 * SECOND;
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
    /// The numbers of addresses that say the network, an IPv4 address's third and an IPv6 address's fourth: where they
    /// are, and what they are in the first round.
    numbers: Vec<(usize, u8)>,
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
            numbers: Vec::new(),
            networks: Vec::new(),
            begins_nanos: 0,
            round_nanos: 0,
        };
        for (folder, wanted) in recordings {
            rounds.add(folder, wanted);
        }
        // Whole minutes: what is allowed a minute is the same in each round.
        rounds.round_nanos = (rounds.round_nanos + QUIET).next_multiple_of(60 * SECOND);
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
        // In the order of time: files of one recording may overlap.
        let mut packets: Vec<(u64, u32, Vec<u8>)> = Vec::new();
        for row in rows.iter().filter(|row| wanted.is_empty() || wanted.contains(&row[1])) {
            let mut capture = Capture::open(&folder.join(row[1])).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                let time = u64::try_from(packet.time_nanos).unwrap();
                packets.push((time, packet.wire_len, packet.bytes.to_vec()));
            }
        }
        packets.sort_by_key(|(time, ..)| *time);
        let (first, latest) = (packets[0].0, packets[packets.len() - 1].0);
        let began = first - first % SECOND;
        if self.begins_nanos == 0 {
            self.begins_nanos = first - first % (60 * SECOND);
        }
        for (time, wire_len, frame) in packets {
            self.records.push((self.bytes.len(), self.round_nanos + (time - began)));
            self.bytes.extend([0; 8]);
            for word in [frame.len() as u32, wire_len] {
                self.bytes.extend(word.to_le_bytes());
            }
            let at = self.bytes.len();
            let numbers = numbers_of_networks(&frame, network);
            self.numbers.extend(numbers.into_iter().map(|place| (at + place, frame[place])));
            self.bytes.extend(frame);
        }
        self.round_nanos = (self.round_nanos + (latest - began) + PAUSE).next_multiple_of(SECOND);
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

    /// An address as that of the first round.
    pub fn address_as_in_the_first(&self, address: &str, round: usize) -> String {
        match address.parse().unwrap() {
            IpAddr::V6(address) if !address.is_multicast() => {
                let mut numbers = address.octets();
                numbers[3] = numbers[3].wrapping_sub(STEP.wrapping_mul(round as u8));
                IpAddr::from(numbers).to_string()
            }
            _ => self.as_in_the_first(address, round),
        }
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
        for (at, number) in &self.numbers {
            self.bytes[*at] = number.wrapping_add(STEP.wrapping_mul(round as u8));
        }
        out.write_all(&self.bytes)
    }
}

/// Where an Ethernet frame has the numbers that say an address's network: of IPv4 addresses in a network, those that an
/// ICMP error cites too, and of IPv6 addresses of hosts.
fn numbers_of_networks(frame: &[u8], network: [u8; 3]) -> Vec<usize> {
    const IP: usize = 14;
    let mut places = Vec::new();
    match frame.get(12..14) {
        Some([8, 0]) if frame.len() >= IP + 20 => {
            places.extend([IP + 12, IP + 16]);
            let payload = IP + usize::from(frame[IP] & 15) * 4;
            if frame[IP + 9] == 1 && matches!(frame.get(payload), Some(3 | 4 | 5 | 11 | 12)) {
                places.extend([payload + 8 + 12, payload + 8 + 16]);
            }
            places.retain(|place| frame.get(*place..place + 3) == Some(&network));
            places.iter_mut().for_each(|place| *place += 2);
        }
        Some([0x86, 0xdd]) if frame.len() >= IP + 40 => {
            places.extend([IP + 8, IP + 24]);
            places.retain(|place| frame[*place] != 0xff);
            places.iter_mut().for_each(|place| *place += 3);
        }
        _ => {}
    }
    places
}

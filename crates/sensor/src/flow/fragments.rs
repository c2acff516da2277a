//! Reassembly of IP fragments (RFC 791, 3.2; RFC 8200, 4.5), with bounded memory.
//!
//! In: decoded frames in capture order. Out: a frame that is not a fragment, unchanged (at the cost of one comparison); the
//! whole datagram, for the fragment that completes it; any other fragment unchanged, without a transport header.
//!
//! Fragments are matched by addresses, identification and VLAN, and in IPv4 by protocol (RFC 6864, 4). The first copy of
//! a byte wins; a later one that differs is reported. An IPv6 datagram with partly overlapping fragments is discarded,
//! with all its later fragments (RFC 5722, 4). A fragment cut by the snap length is not reassembled; if it is the first,
//! it is decoded on its own, as Wireshark does.
//!
//! Limits: see [`Limits`]; at a cap the oldest datagram is evicted. Memory: the runs of incomplete datagrams
//! ([`RUN_BYTES`] each, and their bytes), [`DATAGRAM_BYTES`] per datagram, and one reassembled datagram.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use citronella_wire::{Frame, Ip, Vlans, decode_datagram};
use hashbrown::HashMap;

use super::clock::Clock;

/// Memory accounted per run, in addition to its bytes.
pub const RUN_BYTES: usize = 64;
/// Memory accounted per datagram, in addition to its runs.
pub const DATAGRAM_BYTES: usize = 256;
/// The total length field has 16 bits.
const MAX_DATAGRAM_BYTES: usize = 65_535;

type Random = foldhash::quality::RandomState;

/// Bounds of the reassembly buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Cap of incomplete datagrams.
    pub datagrams: usize,
    /// Cap of buffered bytes, over all datagrams.
    pub bytes_in_all: usize,
    /// Cap of a datagram's runs (consecutive bytes between holes).
    pub runs_per_datagram: usize,
    /// Reassembly timeout, in packet time from a datagram's first fragment.
    pub timeout: Duration,
}

impl Default for Limits {
    /// 16,384 datagrams, 16 MiB in total, 256 runs, 60 s (RFC 8200, 4.5).
    fn default() -> Limits {
        Limits {
            datagrams: 16_384,
            bytes_in_all: 16 << 20,
            runs_per_datagram: 256,
            timeout: Duration::from_secs(60),
        }
    }
}

/// Reassembly counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Fragments.
    pub fragments: u64,
    /// Reassembled datagrams.
    pub reassembled: u64,
    /// Datagrams that were still incomplete at the timeout.
    pub timed_out: u64,
    /// Datagrams evicted at a cap.
    pub evicted: u64,
    /// Discarded datagrams: an IPv6 overlap, or too many runs.
    pub given_up: u64,
    /// Fragments not reassembled because the snap length cut them.
    pub cut: u64,
    /// Fragments with bytes that had arrived before.
    pub repeated: u64,
    /// Fragments with a [`Fault`].
    pub faulty: u64,
    /// Bytes buffered now.
    pub kept_bytes: usize,
}

/// A fragment that violates the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It partly overlaps earlier fragments (RFC 5722).
    Overlap,
    /// Its bytes differ from those of an earlier fragment at the same offset: an evasion, as receivers may differ in the
    /// copy that they accept.
    Conflict,
    /// It lies beyond the datagram's end, or contradicts it.
    End,
    /// The datagram would be longer than 65,535 bytes ("ping of death").
    TooLong,
    /// It is empty, or not the last fragment and not a multiple of eight bytes (RFC 791, 3.2; RFC 8200, 4.5).
    Length,
}

impl Fault {
    /// A stable name for output.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Overlap => "fragment_overlap",
            Fault::Conflict => "fragment_conflict",
            Fault::End => "fragment_end",
            Fault::TooLong => "fragment_too_long",
            Fault::Length => "fragment_length",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    identification: u32,
    /// IPv4's protocol; 0 for IPv6, whose later fragments need not repeat it.
    protocol: u8,
    vlans: Vlans,
}

impl Key {
    fn of(ip: &Ip, vlans: Vlans) -> Key {
        let protocol = if ip.version() == 4 { ip.protocol } else { 0 };
        Key { src: ip.src, dst: ip.dst, identification: ip.identification, protocol, vlans }
    }
}

struct Run {
    at: usize,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> usize {
        self.at + self.bytes.len()
    }
}

struct Datagram {
    /// Clock at the first fragment.
    started: u64,
    /// Sequence number of the datagram, for eviction in order of age.
    rank: u64,
    /// Sorted and not adjacent.
    runs: Vec<Run>,
    /// The header of the fragment with offset 0.
    head: Option<Ip>,
    /// Payload length, from the last fragment.
    len: Option<usize>,
    /// Further fragments are ignored.
    is_discarded: bool,
}

impl Datagram {
    fn cost(&self) -> usize {
        DATAGRAM_BYTES + self.runs.iter().map(|run| RUN_BYTES + run.bytes.capacity()).sum::<usize>()
    }

    fn end(&self) -> usize {
        self.runs.last().map_or(0, Run::end)
    }

    fn is_whole(&self) -> bool {
        matches!(self.runs.as_slice(), [run] if run.at == 0 && Some(run.bytes.len()) == self.len)
    }

    /// Inserts the bytes that are new; returns how many are repeated, and whether those differ from the first copy.
    fn insert(&mut self, at: usize, bytes: &[u8]) -> (usize, bool) {
        let (mut repeated, mut differs) = (0, false);
        let (mut from, mut rest) = (at, bytes);
        let mut index = self.runs.partition_point(|run| run.end() <= at);
        while !rest.is_empty() {
            let hole = match self.runs.get(index) {
                Some(run) if run.at <= from => {
                    let known = run.bytes.get(from - run.at..).unwrap_or_default();
                    let both = known.len().min(rest.len());
                    differs |= known.get(..both) != rest.get(..both);
                    repeated += both;
                    from += both;
                    rest = rest.get(both..).unwrap_or_default();
                    index += 1;
                    continue;
                }
                Some(run) => run.at - from,
                None => usize::MAX,
            };
            let (fresh, after) = rest.split_at(hole.min(rest.len()));
            self.runs.insert(index, Run { at: from, bytes: fresh.to_vec() });
            from += fresh.len();
            rest = after;
            index += 1;
        }
        self.runs.dedup_by(|next, run| {
            let touches = run.end() == next.at;
            if touches {
                run.bytes.append(&mut next.bytes);
            }
            touches
        });
        (repeated, differs)
    }

    fn discard(&mut self) {
        self.is_discarded = true;
        self.runs = Vec::new();
    }
}

/// The reassembly table.
#[derive(Default)]
pub struct Fragments {
    limits: Limits,
    incomplete: HashMap<Key, Datagram, Random>,
    /// By rank: the oldest first.
    order: BTreeMap<u64, Key>,
    ranks: u64,
    clock: Clock,
    counters: Counters,
    /// The datagram that was reassembled last.
    whole: Vec<u8>,
}

impl Fragments {
    /// An empty table.
    pub fn new(limits: Limits) -> Fragments {
        Fragments { limits, ..Fragments::default() }
    }

    /// The reassembly counters.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Number of incomplete datagrams.
    pub fn len(&self) -> usize {
        self.incomplete.len()
    }

    /// Whether no datagram is incomplete.
    pub fn is_empty(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// Takes the next frame and returns the frame to process; calls `report` if a fragment is faulty.
    #[inline]
    pub fn frame<'a>(
        &'a mut self,
        time_nanos: i64,
        frame: Frame<'a>,
        report: impl FnOnce(Fault),
    ) -> Frame<'a> {
        if frame.is_fragment() { self.fragment(time_nanos, frame, report) } else { frame }
    }

    #[cold]
    #[inline(never)]
    fn fragment<'a>(
        &'a mut self,
        time_nanos: i64,
        frame: Frame<'a>,
        report: impl FnOnce(Fault),
    ) -> Frame<'a> {
        let Some(ip) = frame.ip else { return frame };
        self.counters.fragments += 1;
        let now = self.clock.at(time_nanos);
        self.expire(now);
        let same_link =
            |whole: Frame<'a>| Frame { vlans: frame.vlans, ether_type: frame.ether_type, ..whole };
        if frame.payload.len() < frame.payload_len {
            self.counters.cut += 1;
            let is_first = ip.fragment_offset == 0;
            return if is_first {
                same_link(decode_datagram(ip, frame.payload, frame.payload_len))
            } else {
                frame
            };
        }
        let (head, fault) = self.insert(now, Key::of(&ip, frame.vlans), &ip, frame.payload);
        if let Some(fault) = fault {
            self.counters.faulty += 1;
            report(fault);
        }
        head.map_or(frame, |head| same_link(decode_datagram(head, &self.whole, self.whole.len())))
    }

    /// Inserts a fragment. If it completes a datagram, returns the header of its first fragment and puts its bytes into
    /// `whole`; also returns the fragment's fault.
    fn insert(&mut self, now: u64, key: Key, ip: &Ip, bytes: &[u8]) -> (Option<Ip>, Option<Fault>) {
        let is_v6 = ip.version() == 6;
        let at = usize::from(ip.fragment_offset) * 8;
        let odd = if ip.more_fragments { bytes.len() % 8 } else { 0 };
        if bytes.len() == odd || (odd > 0 && is_v6) {
            return (None, Some(Fault::Length));
        }
        // IPv4 hosts accept the multiple of eight bytes.
        let bytes = bytes.get(..bytes.len() - odd).unwrap_or_default();
        let end = at + bytes.len();
        if end + if is_v6 { 0 } else { usize::from(ip.header_len) } > MAX_DATAGRAM_BYTES {
            return (None, Some(Fault::TooLong));
        }
        let Fragments { incomplete, order, ranks, counters, limits, .. } = self;
        let datagram = incomplete.entry(key).or_insert_with(|| {
            *ranks += 1;
            order.insert(*ranks, key);
            counters.kept_bytes += DATAGRAM_BYTES;
            let (runs, head, len) = (Vec::new(), None, None);
            Datagram { started: now, rank: *ranks, runs, head, len, is_discarded: false }
        });
        if datagram.is_discarded {
            self.enforce_caps();
            return (None, None);
        }
        let before = datagram.cost();
        let mut fault = (odd > 0).then_some(Fault::Length);
        let is_beyond_end = datagram.len.is_some_and(|len| end > len);
        let contradicts_end =
            !ip.more_fragments && (datagram.end() > end || datagram.len.is_some_and(|len| len != end));
        if !ip.more_fragments && !contradicts_end {
            datagram.len = Some(end);
        }
        let mut overlaps_partly = false;
        if !is_beyond_end {
            if at == 0 {
                datagram.head.get_or_insert(*ip);
            }
            let (repeated, differs) = datagram.insert(at, bytes);
            overlaps_partly = repeated > 0 && repeated < bytes.len();
            counters.repeated += u64::from(repeated > 0);
            if differs {
                fault = Some(Fault::Conflict);
            } else if overlaps_partly {
                fault = Some(Fault::Overlap);
            }
        }
        if is_beyond_end || contradicts_end {
            // The first end wins.
            fault = Some(Fault::End);
        }
        let overlaps = overlaps_partly || is_beyond_end || contradicts_end;
        if (overlaps && is_v6) || datagram.runs.len() > limits.runs_per_datagram {
            datagram.discard();
            counters.given_up += 1;
        }
        let is_whole = datagram.is_whole();
        counters.kept_bytes = (counters.kept_bytes + datagram.cost()).saturating_sub(before);
        if !is_whole {
            self.enforce_caps();
            return (None, fault);
        }
        let Some(mut datagram) = self.remove(&key) else { return (None, fault) };
        self.counters.reassembled += 1;
        self.whole = datagram.runs.pop().map(|run| run.bytes).unwrap_or_default();
        (datagram.head, fault)
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.incomplete.remove(key)?;
        self.order.remove(&datagram.rank);
        self.counters.kept_bytes = self.counters.kept_bytes.saturating_sub(datagram.cost());
        Some(datagram)
    }

    /// Evicts the oldest datagrams until all caps hold.
    fn enforce_caps(&mut self) {
        while self.incomplete.len() > self.limits.datagrams
            || self.counters.kept_bytes > self.limits.bytes_in_all
        {
            let Some((_, key)) = self.order.first_key_value() else { return };
            self.remove(&{ *key });
            self.counters.evicted += 1;
        }
    }

    /// Removes the datagrams whose timeout has expired.
    fn expire(&mut self, now: u64) {
        let timeout = u64::try_from(self.limits.timeout.as_nanos()).unwrap_or(u64::MAX);
        while let Some((_, key)) = self.order.first_key_value() {
            let key = *key;
            if self.incomplete.get(&key).is_some_and(|oldest| now.saturating_sub(oldest.started) < timeout) {
                return;
            }
            let Some(datagram) = self.remove(&key) else { return };
            self.counters.timed_out += u64::from(!datagram.is_discarded);
        }
    }
}

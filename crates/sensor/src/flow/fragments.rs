//! IP datagrams put together from their fragments (RFC 791, 3.2; RFC 8200, 4.5): small and bounded.
//!
//! In: decoded frames in capture order. Out: the same frame where it is no fragment, the whole datagram's where it is
//! the fragment that completes one, else the fragment as it is, without a transport header. A frame that is no fragment
//! costs one comparison.
//!
//! Fragments belong together by addresses, identification and VLAN, and in IPv4 by protocol (RFC 6864, 4). The first
//! copy of a byte wins; a later one that differs is told. An IPv6 datagram with a fragment that overlaps others in part
//! is given up, with all that is still to come of it (RFC 5722, 4). A fragment that the recorder cut is not taken; the
//! first of a datagram is then read for itself, as Wireshark does.
//!
//! Limits: see [`Limits`]; where there is no room the oldest datagram goes. Memory: what is kept of datagrams that wait
//! (a run of bytes counts [`RUN_BYTES`] beside them, a datagram [`DATAGRAM_BYTES`]) and one whole datagram.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use citronella_wire::{Frame, Ip, Vlans, decode_datagram};
use hashbrown::HashMap;

use super::clock::Clock;

/// What a run of bytes counts beside them.
pub const RUN_BYTES: usize = 64;
/// What a datagram counts beside its runs.
pub const DATAGRAM_BYTES: usize = 256;
/// A datagram's length has 16 bits.
const LONGEST: usize = 65_535;

type Random = foldhash::quality::RandomState;

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Datagrams that wait at a time.
    pub datagrams: usize,
    /// Bytes kept in all.
    pub bytes_in_all: usize,
    /// Runs of bytes, with holes between them, of one datagram.
    pub runs_per_datagram: usize,
    /// How long a datagram waits for its fragments, in packet time from its first one.
    pub time_out: Duration,
}

impl Default for Limits {
    /// 16,384 datagrams, 16 MiB in all, 256 runs, 60 s (RFC 8200, 4.5).
    fn default() -> Limits {
        Limits {
            datagrams: 16_384,
            bytes_in_all: 16 << 20,
            runs_per_datagram: 256,
            time_out: Duration::from_secs(60),
        }
    }
}

/// What was put together, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Fragments.
    pub fragments: u64,
    /// Datagrams that were put together.
    pub reassembled: u64,
    /// Datagrams that lacked a fragment for too long.
    pub timed_out: u64,
    /// Datagrams that had to make room.
    pub evicted: u64,
    /// Datagrams that were given up: an IPv6 overlap, more runs than the limit.
    pub given_up: u64,
    /// Fragments that were not taken because the recorder cut them.
    pub cut: u64,
    /// Fragments that came again.
    pub repeated: u64,
    /// Fragments with a [`Fault`].
    pub faulty: u64,
    /// Bytes kept now.
    pub kept_bytes: usize,
}

/// What is wrong with a fragment, beside its never being completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It overlaps earlier ones in part (RFC 5722).
    Overlap,
    /// It brings other bytes for a place than an earlier one: somebody shows two receivers two datagrams.
    Conflict,
    /// It lies behind the datagram's end, or ends it at another place than before.
    End,
    /// The datagram would be longer than 65,535 bytes ("ping of death").
    TooLong,
    /// It is empty, or not the last and no multiple of eight bytes (RFC 791, 3.2; RFC 8200, 4.5).
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
    /// IPv4's; 0 for IPv6, whose later fragments need not repeat it.
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
    begun: u64,
    /// Its rank among all, for the order in which they go.
    rank: u64,
    /// In order, apart from each other.
    runs: Vec<Run>,
    /// The header of the fragment with offset 0.
    head: Option<Ip>,
    /// Payload length, as the last fragment has it.
    len: Option<usize>,
    /// Nothing more of it is taken.
    given_up: bool,
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

    /// Takes the bytes that are new; how many came again, and whether those differ from the first copy.
    fn keep(&mut self, at: usize, bytes: &[u8]) -> (usize, bool) {
        let (mut repeated, mut differs) = (0, false);
        let (mut from, mut rest) = (at, bytes);
        let mut place = self.runs.partition_point(|run| run.end() <= at);
        while !rest.is_empty() {
            let hole = match self.runs.get(place) {
                Some(run) if run.at <= from => {
                    let known = run.bytes.get(from - run.at..).unwrap_or_default();
                    let both = known.len().min(rest.len());
                    differs |= known.get(..both) != rest.get(..both);
                    repeated += both;
                    from += both;
                    rest = rest.get(both..).unwrap_or_default();
                    place += 1;
                    continue;
                }
                Some(run) => run.at - from,
                None => usize::MAX,
            };
            let (fresh, after) = rest.split_at(hole.min(rest.len()));
            self.runs.insert(place, Run { at: from, bytes: fresh.to_vec() });
            from += fresh.len();
            rest = after;
            place += 1;
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

    fn give_up(&mut self) {
        self.given_up = true;
        self.runs = Vec::new();
    }
}

/// The datagrams that wait for fragments.
#[derive(Default)]
pub struct Fragments {
    limits: Limits,
    waiting: HashMap<Key, Datagram, Random>,
    /// By rank: the oldest first.
    order: BTreeMap<u64, Key>,
    ranks: u64,
    clock: Clock,
    counters: Counters,
    /// The datagram that was put together last.
    whole: Vec<u8>,
}

impl Fragments {
    /// None yet.
    pub fn new(limits: Limits) -> Fragments {
        Fragments { limits, ..Fragments::default() }
    }

    /// What was put together, and what was not.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Datagrams that wait for fragments.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next frame, and gives the one to look at; `tell` learns what is wrong with a fragment.
    #[inline]
    pub fn frame<'a>(&'a mut self, time_nanos: i64, frame: Frame<'a>, tell: impl FnOnce(Fault)) -> Frame<'a> {
        if frame.is_fragment() { self.fragment(time_nanos, frame, tell) } else { frame }
    }

    #[cold]
    #[inline(never)]
    fn fragment<'a>(&'a mut self, time_nanos: i64, frame: Frame<'a>, tell: impl FnOnce(Fault)) -> Frame<'a> {
        let Some(ip) = frame.ip else { return frame };
        self.counters.fragments += 1;
        let now = self.clock.at(time_nanos);
        self.time_out(now);
        let alike = |whole: Frame<'a>| Frame { vlans: frame.vlans, ether_type: frame.ether_type, ..whole };
        if frame.payload.len() < frame.payload_len {
            self.counters.cut += 1;
            let is_first = ip.fragment_offset == 0;
            return if is_first {
                alike(decode_datagram(ip, frame.payload, frame.payload_len))
            } else {
                frame
            };
        }
        let (head, fault) = self.take(now, Key::of(&ip, frame.vlans), &ip, frame.payload);
        if let Some(fault) = fault {
            self.counters.faulty += 1;
            tell(fault);
        }
        head.map_or(frame, |head| alike(decode_datagram(head, &self.whole, self.whole.len())))
    }

    /// Takes a fragment. The first header of the datagram that it completes, whose bytes are then in `whole`; and what
    /// is wrong with it.
    fn take(&mut self, now: u64, key: Key, ip: &Ip, bytes: &[u8]) -> (Option<Ip>, Option<Fault>) {
        let is_v6 = ip.version() == 6;
        let at = usize::from(ip.fragment_offset) * 8;
        let odd = if ip.more_fragments { bytes.len() % 8 } else { 0 };
        if bytes.len() == odd || (odd > 0 && is_v6) {
            return (None, Some(Fault::Length));
        }
        // IPv4 hosts take what is a multiple of eight of it.
        let bytes = bytes.get(..bytes.len() - odd).unwrap_or_default();
        let end = at + bytes.len();
        if end + if is_v6 { 0 } else { usize::from(ip.header_len) } > LONGEST {
            return (None, Some(Fault::TooLong));
        }
        let Fragments { waiting, order, ranks, counters, limits, .. } = self;
        let datagram = waiting.entry(key).or_insert_with(|| {
            *ranks += 1;
            order.insert(*ranks, key);
            counters.kept_bytes += DATAGRAM_BYTES;
            Datagram { begun: now, rank: *ranks, runs: Vec::new(), head: None, len: None, given_up: false }
        });
        if datagram.given_up {
            self.make_room();
            return (None, None);
        }
        let before = datagram.cost();
        let mut fault = (odd > 0).then_some(Fault::Length);
        let behind = datagram.len.is_some_and(|len| end > len);
        let ends_elsewhere =
            !ip.more_fragments && (datagram.end() > end || datagram.len.is_some_and(|len| len != end));
        if !ip.more_fragments && !ends_elsewhere {
            datagram.len = Some(end);
        }
        let mut in_part = false;
        if !behind {
            if at == 0 {
                datagram.head.get_or_insert(*ip);
            }
            let (repeated, differs) = datagram.keep(at, bytes);
            in_part = repeated > 0 && repeated < bytes.len();
            counters.repeated += u64::from(repeated > 0);
            if differs {
                fault = Some(Fault::Conflict);
            } else if in_part {
                fault = Some(Fault::Overlap);
            }
        }
        if behind || ends_elsewhere {
            // The first end stands.
            fault = Some(Fault::End);
        }
        let overlaps = in_part || behind || ends_elsewhere;
        if (overlaps && is_v6) || datagram.runs.len() > limits.runs_per_datagram {
            datagram.give_up();
            counters.given_up += 1;
        }
        let is_whole = datagram.is_whole();
        counters.kept_bytes = (counters.kept_bytes + datagram.cost()).saturating_sub(before);
        if !is_whole {
            self.make_room();
            return (None, fault);
        }
        let Some(mut datagram) = self.remove(&key) else { return (None, fault) };
        self.counters.reassembled += 1;
        self.whole = datagram.runs.pop().map(|run| run.bytes).unwrap_or_default();
        (datagram.head, fault)
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.waiting.remove(key)?;
        self.order.remove(&datagram.rank);
        self.counters.kept_bytes = self.counters.kept_bytes.saturating_sub(datagram.cost());
        Some(datagram)
    }

    /// Lets the oldest go until all caps are kept.
    fn make_room(&mut self) {
        while self.waiting.len() > self.limits.datagrams
            || self.counters.kept_bytes > self.limits.bytes_in_all
        {
            let Some((_, key)) = self.order.first_key_value() else { return };
            self.remove(&{ *key });
            self.counters.evicted += 1;
        }
    }

    fn time_out(&mut self, now: u64) {
        let patience = u64::try_from(self.limits.time_out.as_nanos()).unwrap_or(u64::MAX);
        while let Some((_, key)) = self.order.first_key_value() {
            let key = *key;
            if self.waiting.get(&key).is_some_and(|oldest| now.saturating_sub(oldest.begun) < patience) {
                return;
            }
            let Some(datagram) = self.remove(&key) else { return };
            self.counters.timed_out += u64::from(!datagram.given_up);
        }
    }
}

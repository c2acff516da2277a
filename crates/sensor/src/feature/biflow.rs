//! The biflow level: one row per IPv4 TCP or UDP 5-tuple, both directions, over a whole capture.
//!
//! In: packets in capture order. Out, at the capture's end: rows with cells in the order of
//! [`schema::BIFLOW`](super::schema::BIFLOW). Forward is the direction of the first packet. As in the data set's
//! scripts, a TCP flow without a reply has no row, a UDP flow without a reply is its own reply, and those rows come
//! after all others. Memory: see [`ids2020`](crate::flow::ids2020).

use std::net::IpAddr;

use hashbrown::HashMap;

use super::chunks::{Extended, Table};
use super::packet::{Attacker, Cell};
use super::schema::BIFLOW_EXTRA;
use super::uniflow::{count_cell, without};
use crate::capture::{Capture, CaptureError, Packet};
use crate::flow::ids2020::{Conversations, Counters, Finished, Limits, Uniflow};
use crate::flow::key::UDP;

/// One row of the biflow level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BiflowRow {
    /// Address and port of the first packet's sender.
    pub src: (IpAddr, u16),
    /// Address and port of its receiver.
    pub dst: (IpAddr, u16),
    /// 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// Statistics of the packets from `src`.
    pub forward: Uniflow,
    /// Statistics of the packets from `dst`; a copy of `forward` for UDP without a reply.
    pub backward: Uniflow,
    /// Statistics of all biflows of `src`.
    pub source: Source,
    /// Whether the attacker is one of its endpoints; `None` if the capture is not labelled.
    pub is_attack: Option<bool>,
}

/// Statistics of all biflows of a source address.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Source {
    /// Biflows that it initiated.
    pub flows: u64,
    /// Mean gap of their sorted destination ports (1: a sequential scan); the port itself if there is one biflow.
    pub port_delta: f64,
}

impl BiflowRow {
    /// The row's cells in the published order.
    pub fn cells(&self) -> [Cell; 32] {
        without(&self.extended_cells(), &BIFLOW_EXTRA)
    }

    /// The row's cells in the order of [`BIFLOW_EXTENDED`](super::schema::BIFLOW_EXTENDED).
    pub fn extended_cells(&self) -> [Cell; 36] {
        use Cell::{Address, Flag, Float, UInt};
        let mut cells = [Cell::Empty; 36];
        let endpoints = [
            Address(self.src.0),
            Address(self.dst.0),
            UInt(self.src.1.into()),
            UInt(self.dst.1.into()),
            UInt(self.protocol.into()),
        ];
        let pairs = one_way(&self.forward).into_iter().zip(one_way(&self.backward));
        let last = [
            count_cell(self.source.flows),
            Float(self.source.port_delta),
            self.is_attack.map_or(Cell::Empty, Flag),
        ];
        let all = endpoints
            .into_iter()
            .chain(pairs.flat_map(|(forward, backward)| [forward, backward]))
            .chain(last);
        cells.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        cells
    }
}

/// One direction's half of the column pairs, in their order.
fn one_way(flow: &Uniflow) -> [Cell; 14] {
    use Cell::{Float, UInt};
    let gaps = flow.gaps();
    [
        count_cell(flow.packets),
        Float(gaps.mean),
        Float(gaps.std),
        Float(gaps.min),
        Float(gaps.max),
        Float(gaps.mean_offset),
        Float(flow.mean_len()),
        Float(flow.std_len()),
        UInt(flow.min_len),
        UInt(flow.max_len),
        Float(flow.bytes as f64),
        count_cell(flow.psh),
        count_cell(flow.rst),
        count_cell(flow.urg),
    ]
}

/// Extracts the biflow rows of a capture.
pub struct BiflowLevel {
    attacker: Attacker,
    conversations: Conversations,
}

impl BiflowLevel {
    /// An extractor for one capture.
    pub fn new(attacker: Attacker, limits: Limits) -> BiflowLevel {
        BiflowLevel { attacker, conversations: Conversations::new(limits) }
    }

    /// Counts a packet; `false` if the level leaves it out.
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.conversations.add(packet)
    }

    /// The rows, at the capture's end.
    pub fn finish(self) -> BiflowRows {
        BiflowRows::new(self.attacker, self.conversations.finish())
    }

    /// Extracts the rows of a capture on several threads: see [`Conversations::of_capture`].
    pub fn of_capture(
        capture: &mut Capture,
        (attacker, limits): (Attacker, Limits),
        threads: usize,
        progress: impl FnMut(u64),
    ) -> (BiflowRows, Result<(), CaptureError>) {
        let (flows, ended) = Conversations::of_capture(capture, limits, threads, progress);
        (BiflowRows::new(attacker, flows), ended)
    }
}

/// The biflow rows of a capture.
pub struct BiflowRows {
    attacker: Attacker,
    flows: Finished,
    /// Indices of the rows' forward directions in `flows`.
    order: Vec<u32>,
    sources: HashMap<IpAddr, Source, foldhash::fast::RandomState>,
    next: usize,
}

impl BiflowRows {
    fn new(attacker: Attacker, flows: Finished) -> BiflowRows {
        let mut order = Vec::with_capacity(flows.len() / 2);
        let mut unanswered = Vec::new();
        let mut ports: HashMap<IpAddr, Ports, foldhash::fast::RandomState> = HashMap::default();
        for (index, directed) in (0..).zip(flows.iter()) {
            match directed.reply {
                Some(_) if directed.is_forward() => order.push(index),
                None if directed.key.protocol() == UDP => unanswered.push(index),
                _ => continue,
            }
            ports.entry(directed.src().0).or_default().add(directed.dst().1);
        }
        order.append(&mut unanswered);
        let sources = ports.into_iter().map(|(source, ports)| (source, ports.summary())).collect();
        BiflowRows { attacker, flows, order, sources, next: 0 }
    }

    /// Packets that were not counted, or not exactly.
    pub fn counters(&self) -> Counters {
        self.flows.counters()
    }

    /// The row with this index.
    pub fn get(&self, index: usize) -> Option<BiflowRow> {
        let directed = self.flows.get(*self.order.get(index)? as usize)?;
        let (src, dst) = (directed.src(), directed.dst());
        Some(BiflowRow {
            src,
            dst,
            protocol: directed.key.protocol(),
            forward: *directed.flow,
            backward: *directed.reply.unwrap_or(directed.flow),
            source: self.sources.get(&src.0).copied().unwrap_or_default(),
            is_attack: self.attacker.label(src, dst),
        })
    }

    /// Number of rows.
    pub fn total(&self) -> usize {
        self.order.len()
    }
}

impl Table for BiflowRows {
    fn total(&self) -> usize {
        self.total()
    }

    fn cells<R>(&self, index: usize, read: impl FnOnce(&[Cell]) -> R) -> Option<R> {
        self.get(index).map(|row| read(&row.cells()))
    }
}

impl Table for Extended<BiflowRows> {
    fn total(&self) -> usize {
        self.0.total()
    }

    fn cells<R>(&self, index: usize, read: impl FnOnce(&[Cell]) -> R) -> Option<R> {
        self.0.get(index).map(|row| read(&row.extended_cells()))
    }
}

impl Iterator for BiflowRows {
    type Item = BiflowRow;

    fn next(&mut self) -> Option<BiflowRow> {
        let row = self.get(self.next)?;
        self.next += 1;
        Some(row)
    }
}

/// The destination ports of a source's biflows.
struct Ports {
    count: u64,
    min: u16,
    max: u16,
}

impl Default for Ports {
    fn default() -> Ports {
        Ports { count: 0, min: u16::MAX, max: 0 }
    }
}

impl Ports {
    fn add(&mut self, port: u16) {
        self.count += 1;
        self.min = self.min.min(port);
        self.max = self.max.max(port);
    }

    /// The gaps of sorted ports add up to the distance between the lowest and the highest.
    fn summary(&self) -> Source {
        let port_delta = match self.count {
            0 => 0.0,
            1 => f64::from(self.max),
            n => f64::from(self.max - self.min) / (n - 1) as f64,
        };
        Source { flows: self.count, port_delta }
    }
}

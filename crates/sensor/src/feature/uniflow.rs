//! The uniflow level: one row per direction of an IPv4 TCP or UDP 5-tuple, over a whole capture.
//!
//! In: packets in capture order. Out, at the capture's end: rows in the order of their first packets, with cells in
//! the order of [`schema::UNIFLOW`](super::schema::UNIFLOW). Flows follow the policy
//! [`ids2020`](crate::flow::ids2020), which bounds the memory.

use std::net::IpAddr;

use super::chunks::{Extended, Table};
use super::packet::{Attacker, Cell};
use super::schema::UNIFLOW_EXTRA;
use crate::capture::{Capture, CaptureError, Packet};
use crate::flow::ids2020::{Conversations, Counters, DirectedFlow, Finished, Limits, Uniflow};

/// One row of the uniflow level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniflowRow {
    /// Sender's address and port.
    pub src: (IpAddr, u16),
    /// Receiver's address and port.
    pub dst: (IpAddr, u16),
    /// 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// The statistics.
    pub flow: Uniflow,
    /// Whether the attacker is one of its endpoints; `None` if the capture is not labelled.
    pub is_attack: Option<bool>,
}

impl UniflowRow {
    fn new(directed: &DirectedFlow<'_>, attacker: Attacker) -> UniflowRow {
        let (src, dst) = (directed.src(), directed.dst());
        UniflowRow {
            src,
            dst,
            protocol: directed.key.protocol(),
            flow: *directed.flow,
            is_attack: attacker.label(src, dst),
        }
    }

    /// The row's cells in the published order.
    pub fn cells(&self) -> [Cell; 19] {
        without(&self.extended_cells(), &UNIFLOW_EXTRA)
    }

    /// The row's cells in the order of [`UNIFLOW_EXTENDED`](super::schema::UNIFLOW_EXTENDED).
    pub fn extended_cells(&self) -> [Cell; 20] {
        use Cell::{Address, Flag, Float, UInt};
        let (flow, gaps) = (&self.flow, self.flow.gaps());
        [
            Address(self.src.0),
            Address(self.dst.0),
            UInt(self.src.1.into()),
            UInt(self.dst.1.into()),
            UInt(self.protocol.into()),
            count_cell(flow.packets),
            Float(gaps.mean),
            Float(gaps.std),
            Float(gaps.min),
            Float(gaps.max),
            Float(gaps.mean_offset),
            Float(flow.mean_len()),
            Float(flow.bytes as f64),
            count_cell(flow.psh),
            count_cell(flow.rst),
            count_cell(flow.urg),
            Float(flow.std_len()),
            UInt(flow.min_len),
            UInt(flow.max_len),
            self.is_attack.map_or(Cell::Empty, Flag),
        ]
    }
}

/// Extracts the uniflow rows of a capture.
pub struct UniflowLevel {
    attacker: Attacker,
    conversations: Conversations,
}

impl UniflowLevel {
    /// An extractor for one capture.
    pub fn new(attacker: Attacker, limits: Limits) -> UniflowLevel {
        UniflowLevel { attacker, conversations: Conversations::new(limits) }
    }

    /// Counts a packet; `false` if the level leaves it out.
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.conversations.add(packet)
    }

    /// The rows, at the capture's end.
    pub fn finish(self) -> UniflowRows {
        UniflowRows { attacker: self.attacker, flows: self.conversations.finish(), next: 0 }
    }

    /// Extracts the rows of a capture on several threads: see [`Conversations::of_capture`].
    pub fn of_capture(
        capture: &mut Capture,
        (attacker, limits): (Attacker, Limits),
        threads: usize,
        progress: impl FnMut(u64),
    ) -> (UniflowRows, Result<(), CaptureError>) {
        let (flows, ended) = Conversations::of_capture(capture, limits, threads, progress);
        (UniflowRows { attacker, flows, next: 0 }, ended)
    }
}

/// The uniflow rows of a capture.
pub struct UniflowRows {
    attacker: Attacker,
    flows: Finished,
    next: usize,
}

impl UniflowRows {
    /// Packets that were not counted, or not exactly.
    pub fn counters(&self) -> Counters {
        self.flows.counters()
    }

    /// The row with this index.
    pub fn get(&self, index: usize) -> Option<UniflowRow> {
        Some(UniflowRow::new(&self.flows.get(index)?, self.attacker))
    }

    /// Number of rows.
    pub fn total(&self) -> usize {
        self.flows.len()
    }
}

impl Table for UniflowRows {
    fn total(&self) -> usize {
        self.total()
    }

    fn cells<R>(&self, index: usize, read: impl FnOnce(&[Cell]) -> R) -> Option<R> {
        self.get(index).map(|row| read(&row.cells()))
    }
}

impl Table for Extended<UniflowRows> {
    fn total(&self) -> usize {
        self.0.total()
    }

    fn cells<R>(&self, index: usize, read: impl FnOnce(&[Cell]) -> R) -> Option<R> {
        self.0.get(index).map(|row| read(&row.extended_cells()))
    }
}

impl Iterator for UniflowRows {
    type Item = UniflowRow;

    fn next(&mut self) -> Option<UniflowRow> {
        let row = self.get(self.next)?;
        self.next += 1;
        Some(row)
    }
}

/// A count as a cell, clamped to 2^32 - 1.
pub(super) fn count_cell(count: u64) -> Cell {
    Cell::UInt(u32::try_from(count).unwrap_or(u32::MAX))
}

/// `all` without the cells at the indices in `skip`.
pub(super) fn without<const ALL: usize, const REST: usize>(
    all: &[Cell; ALL],
    skip: &[usize],
) -> [Cell; REST] {
    let mut rest = [Cell::Empty; REST];
    let left = all.iter().enumerate().filter(|(index, _)| !skip.contains(index));
    rest.iter_mut().zip(left).for_each(|(to, (_, from))| *to = *from);
    rest
}

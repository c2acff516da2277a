//! The uniflow level: one row per direction of an IPv4 TCP or UDP 5-tuple, over a whole capture.
//!
//! In: packets in capture order. Out, at the capture's end: rows in the order of their first packets, their cells in
//! the order of [`schema::UNIFLOW`](super::schema::UNIFLOW). The rules are those of the policy
//! [`ids2020`](crate::flow::ids2020), which bounds the memory.

use std::net::IpAddr;

use super::chunks::{Extended, Table};
use super::packet::{Attacker, Cell};
use super::schema::UNIFLOW_EXTRA;
use crate::capture::{Capture, CaptureError, Packet};
use crate::flow::ids2020::{Conversations, Finished, Limits, Losses, Seen, Uniflow};

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
    /// Whether the attacker is an end of it; `None` where no manifest says.
    pub is_attack: Option<bool>,
}

impl UniflowRow {
    fn new(seen: &Seen<'_>, attacker: Attacker) -> UniflowRow {
        let (src, dst) = (seen.key.sender(seen.direction), seen.key.receiver(seen.direction));
        UniflowRow {
            src,
            dst,
            protocol: seen.key.protocol(),
            flow: *seen.flow,
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
            whole(flow.packets),
            Float(gaps.mean),
            Float(gaps.std),
            Float(gaps.min),
            Float(gaps.max),
            Float(gaps.mean_offset),
            Float(flow.mean_len()),
            Float(flow.bytes as f64),
            whole(flow.psh),
            whole(flow.rst),
            whole(flow.urg),
            Float(flow.std_len()),
            UInt(flow.min_len),
            UInt(flow.max_len),
            self.is_attack.map_or(Cell::Empty, Flag),
        ]
    }
}

/// Makes the uniflow rows of a capture.
pub struct UniflowLevel {
    attacker: Attacker,
    conversations: Conversations,
}

impl UniflowLevel {
    /// For one capture, whose attacker is known or not.
    pub fn new(attacker: Attacker, limits: Limits) -> UniflowLevel {
        UniflowLevel { attacker, conversations: Conversations::new(limits) }
    }

    /// Counts a packet; `false` if the level leaves it out.
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.conversations.add(packet)
    }

    /// Ends the capture.
    pub fn finish(self) -> UniflowRows {
        UniflowRows { attacker: self.attacker, flows: self.conversations.finish(), next: 0 }
    }

    /// The rows of a capture, by so many threads: see [`Conversations::of_capture`].
    pub fn of_capture(
        capture: &mut Capture,
        (attacker, limits): (Attacker, Limits),
        threads: usize,
        told: impl FnMut(u64),
    ) -> (UniflowRows, Result<(), CaptureError>) {
        let (flows, ended) = Conversations::of_capture(capture, limits, threads, told);
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
    /// What was not counted, or not exactly.
    pub fn losses(&self) -> Losses {
        self.flows.losses()
    }

    /// The row of this rank, from 0.
    pub fn get(&self, rank: usize) -> Option<UniflowRow> {
        Some(UniflowRow::new(&self.flows.get(rank)?, self.attacker))
    }

    /// Rows in all.
    pub fn total(&self) -> usize {
        self.flows.len()
    }
}

impl Table for UniflowRows {
    fn total(&self) -> usize {
        self.total()
    }

    fn cells<R>(&self, rank: usize, tell: impl FnOnce(&[Cell]) -> R) -> Option<R> {
        self.get(rank).map(|row| tell(&row.cells()))
    }
}

impl Table for Extended<UniflowRows> {
    fn total(&self) -> usize {
        self.0.total()
    }

    fn cells<R>(&self, rank: usize, tell: impl FnOnce(&[Cell]) -> R) -> Option<R> {
        self.0.get(rank).map(|row| tell(&row.extended_cells()))
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

/// A count as a cell. Counts beyond 2^32 - 1 are written as that.
pub(super) fn whole(count: u64) -> Cell {
    Cell::UInt(u32::try_from(count).unwrap_or(u32::MAX))
}

/// `all` without the places in `skip`, which ascend.
pub(super) fn without<const ALL: usize, const KEPT: usize>(
    all: &[Cell; ALL],
    skip: &[usize],
) -> [Cell; KEPT] {
    let mut kept = [Cell::Empty; KEPT];
    let left = all.iter().enumerate().filter(|(at, _)| !skip.contains(at));
    kept.iter_mut().zip(left).for_each(|(to, (_, from))| *to = *from);
    kept
}

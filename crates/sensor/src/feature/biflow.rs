//! The biflow level: one row per IPv4 TCP or UDP 5-tuple, both directions, over a whole capture.
//!
//! In: packets in capture order. Out, at the capture's end: rows whose cells stand in the order of
//! [`schema::BIFLOW`](super::schema::BIFLOW). Forward is the direction that was seen first. A TCP flow without a
//! reply has no row, a UDP flow without one stands for its own reply; those rows come after the answered ones, as the
//! data set's scripts write them. Memory: see [`ids2020`](crate::flow::ids2020).

use std::net::IpAddr;

use hashbrown::HashMap;

use super::packet::{Attacker, Cell};
use super::schema::BIFLOW_EXTRA;
use super::uniflow::{whole, without};
use crate::capture::Packet;
use crate::flow::ids2020::{Conversations, Finished, Limits, Losses, Seen, Uniflow};

const UDP: u8 = 17;

/// One row of the biflow level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BiflowRow {
    /// Address and port of the first packet's sender.
    pub src: (IpAddr, u16),
    /// The other end.
    pub dst: (IpAddr, u16),
    /// 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// What `src` sent.
    pub forward: Uniflow,
    /// What `dst` sent; a copy of `forward` for UDP without a reply.
    pub backward: Uniflow,
    /// What is known of the source over all its biflows.
    pub source: Source,
    /// Whether the attacker is an end of it; `None` where no manifest says.
    pub is_attack: Option<bool>,
}

/// A source's biflows, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Source {
    /// Biflows that it began.
    pub flows: u64,
    /// Mean gap of their destination ports in order (1: a sequential scan); the port itself if there is one biflow.
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
        let ends = [
            Address(self.src.0),
            Address(self.dst.0),
            UInt(self.src.1.into()),
            UInt(self.dst.1.into()),
            UInt(self.protocol.into()),
        ];
        let pairs = one_way(&self.forward).into_iter().zip(one_way(&self.backward));
        let last = [
            whole(self.source.flows),
            Float(self.source.port_delta),
            self.is_attack.map_or(Cell::Empty, Flag),
        ];
        let all =
            ends.into_iter().chain(pairs.flat_map(|(forward, backward)| [forward, backward])).chain(last);
        cells.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        cells
    }
}

/// One direction's half of the pairs, in their order.
fn one_way(flow: &Uniflow) -> [Cell; 14] {
    use Cell::{Float, UInt};
    let gaps = flow.gaps();
    [
        whole(flow.packets),
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
        whole(flow.psh),
        whole(flow.rst),
        whole(flow.urg),
    ]
}

/// Makes the biflow rows of a capture.
pub struct BiflowLevel {
    attacker: Attacker,
    conversations: Conversations,
}

impl BiflowLevel {
    /// For one capture, whose attacker is known or not.
    pub fn new(attacker: Attacker, limits: Limits) -> BiflowLevel {
        BiflowLevel { attacker, conversations: Conversations::new(limits) }
    }

    /// Counts a packet; `false` if the level leaves it out.
    #[inline]
    pub fn add(&mut self, packet: &Packet<'_>) -> bool {
        self.conversations.add(packet)
    }

    /// Ends the capture.
    pub fn finish(self) -> BiflowRows {
        let flows = self.conversations.finish();
        let forward = |seen: &Seen<'_>| seen.is_forward();
        let answered = |seen: &Seen<'_>| seen.reply.is_some();
        let ranks = |keep: &dyn Fn(&Seen<'_>) -> bool| -> Vec<usize> {
            let kept = flows.iter().enumerate().filter(|(_, seen)| keep(seen));
            kept.map(|(rank, _)| rank).collect()
        };
        let mut order = ranks(&|seen| forward(seen) && answered(seen));
        order.extend(ranks(&|seen| !answered(seen) && seen.key.protocol() == UDP));
        let sources = sources(order.iter().filter_map(|rank| flows.get(*rank)));
        BiflowRows { attacker: self.attacker, flows, order: order.into_iter(), sources }
    }
}

/// The biflow rows of a capture.
pub struct BiflowRows {
    attacker: Attacker,
    flows: Finished,
    order: std::vec::IntoIter<usize>,
    sources: HashMap<IpAddr, Source, foldhash::fast::RandomState>,
}

impl BiflowRows {
    /// What was not counted, or not exactly.
    pub fn losses(&self) -> Losses {
        self.flows.losses()
    }
}

impl Iterator for BiflowRows {
    type Item = BiflowRow;

    fn next(&mut self) -> Option<BiflowRow> {
        let seen = self.flows.get(self.order.next()?)?;
        let (src, dst) = (seen.key.sender(seen.direction), seen.key.receiver(seen.direction));
        Some(BiflowRow {
            src,
            dst,
            protocol: seen.key.protocol(),
            forward: *seen.flow,
            backward: *seen.reply.unwrap_or(seen.flow),
            source: self.sources.get(&src.0).copied().unwrap_or_default(),
            is_attack: self.attacker.label(src.0, dst.0),
        })
    }
}

fn sources<'a>(
    biflows: impl Iterator<Item = Seen<'a>>,
) -> HashMap<IpAddr, Source, foldhash::fast::RandomState> {
    let mut ports: HashMap<IpAddr, Vec<u16>, foldhash::fast::RandomState> = HashMap::default();
    for seen in biflows {
        let (src, dst) = (seen.key.sender(seen.direction), seen.key.receiver(seen.direction));
        ports.entry(src.0).or_default().push(dst.1);
    }
    ports.into_iter().map(|(source, ports)| (source, summary(&ports))).collect()
}

/// The gaps of sorted ports add up to the distance between the ends.
fn summary(ports: &[u16]) -> Source {
    let (min, max) = ports.iter().fold((u16::MAX, 0), |(min, max), port| (min.min(*port), max.max(*port)));
    let port_delta = match ports.len() {
        0 => 0.0,
        1 => f64::from(max),
        n => f64::from(max - min) / (n - 1) as f64,
    };
    Source { flows: ports.len() as u64, port_delta }
}

//! What detection did, in numbers.

use crate::feature::sequence;

/// What a shard did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets seen.
    pub packets: u64,
    /// Of those, the ones without a TCP, UDP or ICMP header.
    pub passed_over: u64,
    /// Packets scored.
    pub scored: u64,
    /// Flows begun. All of them end: those that were not told of at a panic are [`Counters::lost_flows`].
    pub begun: u64,
    /// Flows ended.
    pub flows: u64,
    /// Flows called an attack.
    pub findings: u64,
    /// Times that detection began again with an empty table after a panic.
    pub restarts: u64,
    /// Flows that were open then: they have no verdict.
    pub lost_flows: u64,
    /// What did not fit.
    pub losses: sequence::Evictions,
}

impl Counters {
    /// Adds what another shard did, which shares what it knows with this one.
    pub fn merge(&mut self, other: &Counters) {
        self.packets += other.packets;
        self.passed_over += other.passed_over;
        self.scored += other.scored;
        self.begun += other.begun;
        self.flows += other.flows;
        self.findings += other.findings;
        self.restarts += other.restarts;
        self.lost_flows += other.lost_flows;
        self.losses.flows += other.losses.flows;
        self.losses.datagrams += other.losses.datagrams;
        self.losses.endpoints = self.losses.endpoints.max(other.losses.endpoints);
        self.losses.hosts = self.losses.hosts.max(other.losses.hosts);
    }
}

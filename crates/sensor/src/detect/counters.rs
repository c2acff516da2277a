//! Counters of detection.

use crate::feature::sequence;

/// Counters of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets seen.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets without a TCP, UDP or ICMP header.
    pub packets_without_flow: u64,
    /// Packets scored.
    pub scored: u64,
    /// Flows started. Each of them ends, or is one of [`Counters::lost_flows`].
    pub flows_started: u64,
    /// Flows ended.
    pub flows: u64,
    /// Flows flagged as an attack.
    pub flows_flagged: u64,
    /// Times that detection restarted with an empty flow table after a panic.
    pub restarts: u64,
    /// Flows that were open at a restart: they have no verdict.
    pub lost_flows: u64,
    /// Entries evicted from full tables.
    pub evictions: sequence::Evictions,
}

impl Counters {
    /// Adds the counters of another shard that shares its host tables with this one.
    pub fn merge(&mut self, other: &Counters) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.packets_without_flow += other.packets_without_flow;
        self.scored += other.scored;
        self.flows_started += other.flows_started;
        self.flows += other.flows;
        self.flows_flagged += other.flows_flagged;
        self.restarts += other.restarts;
        self.lost_flows += other.lost_flows;
        self.evictions.flows += other.evictions.flows;
        self.evictions.datagrams += other.evictions.datagrams;
        self.evictions.endpoints = self.evictions.endpoints.max(other.evictions.endpoints);
        self.evictions.hosts = self.evictions.hosts.max(other.evictions.hosts);
    }
}

//! Who hears what detection sees and finds.

use citronella_wire::Frame;

use super::Reason;
use crate::alert::{Finding, rules::Seen};
use crate::capture::Packet;
use crate::feature::sequence::PacketFacts;
use crate::flow::{Flow, table::EndReason};

/// A flow that has ended, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct FlowVerdict {
    /// The flow, initiator first.
    pub flow: Flow,
    /// Why it ended.
    pub reason: EndReason,
    /// Place among the model's classes; 0 is benign traffic, their number is unknown.
    pub class: u32,
    /// Of an attack, the mean probability of its class since the first packet that counted; of unknown, see
    /// [`Classification`](crate::feature::sequence::verdict::Classification); of a benign flow, the highest probability of any attack
    /// after any packet.
    pub score: f32,
    /// The packet that called it, from 1.
    pub packets_to_alert: Option<u32>,
    /// A bit for each class that it came near ([`RunningVerdict::near`](crate::feature::sequence::verdict::RunningVerdict::near)).
    pub near: u16,
}

/// Hears what a shard sees and finds.
pub trait Sink {
    /// The packets of a capture of this name begin.
    fn capture(&mut self, name: &str) {
        let _ = name;
    }

    /// A packet, before it is looked at.
    #[inline]
    fn packet(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) {
        let _ = (packet, frame);
    }

    /// A packet was scored: its number in the capture, its flow's rank, the calibrated probabilities after it. In the
    /// order of the packets.
    #[inline]
    fn scored(&mut self, number: u64, flow: u64, probabilities: &[f32]) {
        let _ = (number, flow, probabilities);
    }

    /// A flow is called an attack: once a flow, in the order of the packets that called them; once more where one that
    /// was called unknown is called a class.
    #[inline]
    fn finding(&mut self, finding: &Finding) {
        let _ = finding;
    }

    /// A packet brought something that rules look at; it is counted in its flow already.
    #[inline]
    fn facts(&mut self, facts: &PacketFacts, seen: &Seen<'_>) {
        let _ = (facts, seen);
    }

    /// [`Sink::finding`] for those who want to know more: `why` names the features that speak most for it, strongest
    /// first, in some 20 microseconds; it has nothing to say of a flow that is called at its end.
    #[inline]
    fn explained(&mut self, finding: &Finding, why: &mut dyn FnMut() -> Vec<Reason>) {
        let _ = why;
        self.finding(finding);
    }

    /// No packet has come until now, nanoseconds since 1970-01-01 UTC by the packets' clock.
    fn quiet(&mut self, now_nanos: i64) {
        let _ = now_nanos;
    }

    /// A flow has ended.
    #[inline]
    fn ended(&mut self, verdict: &FlowVerdict) {
        let _ = verdict;
    }
}

//! Observers: what detection reports while it runs.

use citronella_wire::Frame;

use super::{Counters, Detector, Finding, Reason};
use crate::capture::{CaptureCounters, LinkNotice, Packet};
use crate::feature::sequence::PacketFacts;
use crate::flow::{Flow, table::EndReason};

/// A flow that has ended, with its class.
#[derive(Clone, Copy, Debug)]
pub struct FlowVerdict {
    /// The flow, initiator first.
    pub flow: Flow,
    /// Why it ended.
    pub reason: EndReason,
    /// Index of the model's class: 0 is benign, the number of classes stands for "unknown".
    pub class: u32,
    /// For an attack, the mean probability of its class since the first packet that counted; for "unknown", see
    /// [`Classification`](crate::feature::sequence::verdict::Classification); for a benign flow, the highest
    /// probability of any attack after any packet.
    pub score: f32,
    /// Number of the packet at which the flow was flagged, from 1.
    pub packets_to_alert: Option<u32>,
    /// One bit for each class that the flow came near
    /// ([`RunningVerdict::near`](crate::feature::sequence::verdict::RunningVerdict::near)).
    pub near: u16,
}

/// The packet that a rule judges.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'a> {
    /// Packet time, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// Number of the packet in the capture, from 1.
    pub packet: u64,
    /// Its flow, this packet included.
    pub flow: &'a Flow,
    /// Number of the model's classes.
    pub classes: u32,
}

/// How far a run has come: the counters of one shard and of its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Counters of the shard.
    pub detection: Counters,
    /// Counters of the capture.
    pub capture: CaptureCounters,
}

/// What the run does next.
#[derive(Clone, Default)]
pub enum Control {
    /// Go on.
    #[default]
    Continue,
    /// Go on with another detector.
    Reload(Box<Detector>),
    /// End the run: flows are ended and reported.
    Stop,
}

/// Observes one shard. All methods do nothing by default.
///
/// Pairs, `Option` and `&mut` of observers are observers.
pub trait Observer {
    /// A capture starts: packets that follow are numbered from 1.
    fn capture_started(&mut self, name: &str) {
        let _ = name;
    }

    /// A packet, before it is processed.
    #[inline]
    fn packet(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) {
        let _ = (packet, frame);
    }

    /// A packet was scored: its number in the capture, the id of its flow, and the calibrated class probabilities
    /// after it. Packets come in order.
    #[inline]
    fn scored(&mut self, number: u64, flow: u64, probabilities: &[f32]) {
        let _ = (number, flow, probabilities);
    }

    /// A flow was flagged: once a flow, in packet order, and once more where a flow flagged as unknown is classified
    /// later. `reasons` computes the features that contributed most, strongest first, in some 20 microseconds; it
    /// returns none for a flow that was flagged when it ended or fell idle.
    #[inline]
    fn finding(&mut self, finding: &Finding, reasons: &mut dyn FnMut() -> Vec<Reason>) {
        let _ = (finding, reasons);
    }

    /// A packet carried something that rules look at. Its flow includes it.
    #[inline]
    fn facts(&mut self, facts: &PacketFacts, context: &RuleContext<'_>) {
        let _ = (facts, context);
    }

    /// A flow has ended.
    #[inline]
    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        let _ = verdict;
    }

    /// Once a second of packet time.
    fn heartbeat(&mut self, now_nanos: i64, progress: &Progress) {
        let _ = (now_nanos, progress);
    }

    /// A capture interface went down, came up or was removed.
    fn link_changed(&mut self, notice: &LinkNotice) {
        let _ = notice;
    }

    /// What the run does next; asked after each packet and each idle period.
    #[inline]
    fn control(&mut self) -> Control {
        Control::Continue
    }
}

/// The methods of [`Observer`], handed on to each of some optional observers.
macro_rules! forward {
    ($self:ident: $($target:expr),+) => {
        fn capture_started(&mut $self, name: &str) {
            $(if let Some(observer) = $target { observer.capture_started(name); })+
        }

        #[inline]
        fn packet(&mut $self, packet: &Packet<'_>, frame: &Frame<'_>) {
            $(if let Some(observer) = $target { observer.packet(packet, frame); })+
        }

        #[inline]
        fn scored(&mut $self, number: u64, flow: u64, probabilities: &[f32]) {
            $(if let Some(observer) = $target { observer.scored(number, flow, probabilities); })+
        }

        #[inline]
        fn finding(&mut $self, finding: &Finding, reasons: &mut dyn FnMut() -> Vec<Reason>) {
            $(if let Some(observer) = $target { observer.finding(finding, reasons); })+
        }

        #[inline]
        fn facts(&mut $self, facts: &PacketFacts, context: &RuleContext<'_>) {
            $(if let Some(observer) = $target { observer.facts(facts, context); })+
        }

        #[inline]
        fn flow_ended(&mut $self, verdict: &FlowVerdict) {
            $(if let Some(observer) = $target { observer.flow_ended(verdict); })+
        }

        fn heartbeat(&mut $self, now_nanos: i64, progress: &Progress) {
            $(if let Some(observer) = $target { observer.heartbeat(now_nanos, progress); })+
        }

        fn link_changed(&mut $self, notice: &LinkNotice) {
            $(if let Some(observer) = $target { observer.link_changed(notice); })+
        }

        #[inline]
        fn control(&mut $self) -> Control {
            $(if let Some(observer) = $target {
                match observer.control() {
                    Control::Continue => {}
                    control => return control,
                }
            })+
            Control::Continue
        }
    };
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    forward!(self: Some(&mut self.0), Some(&mut self.1));
}

impl<O: Observer + ?Sized> Observer for &mut O {
    forward!(self: Some(&mut **self));
}

impl<O: Observer> Observer for Option<O> {
    forward!(self: self.as_mut());
}

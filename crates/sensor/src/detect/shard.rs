//! One thread's detection: packets in, findings and verdicts out.
//!
//! Rows wait in a micro-batch, so that the network steps many conversations at a time; what is told, and in which
//! order, does not depend on how many wait. Packets of a conversation are scored in order, its state begins anew every
//! [`Settings::window`](crate::feature::sequence::verdict::Settings) packets, and an end waits for the packets before
//! it. Memory: the sequence level's, and a state and about 90 bytes a flow.

use std::net::IpAddr;
use std::sync::Arc;

use citronella_nn::{Error, StreamCell};
use citronella_wire::{Frame, decode_frame};

use super::Detector;
use super::batch::{Batch, Event, Step};
use crate::alert::{Detector as FoundBy, Finding, rules::Seen};
use crate::capture::Packet;
use crate::feature::sequence::{self, Facts, SequenceLevel, verdict::Running};
use crate::flow::initiator::Initiators;
use crate::flow::{Flow, table::EndReason};

/// How long packets may wait to be scored together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Packets that wait at most.
    pub packets: usize,
    /// Packet time, in nanoseconds, after which what waits is scored when the next packet or tick comes.
    pub wait_nanos: u64,
}

impl Default for Batching {
    /// 192 packets, 5 ms.
    fn default() -> Batching {
        Batching { packets: 192, wait_nanos: 5_000_000 }
    }
}

/// Caps, seeds and waiting times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The sequence level's.
    pub sequence: sequence::Config,
    /// The micro-batch's.
    pub batching: Batching,
}

/// A flow that has ended, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct FlowVerdict {
    /// The flow, initiator first.
    pub flow: Flow,
    /// Why it ended.
    pub reason: EndReason,
    /// Place among the model's classes; 0 is benign traffic.
    pub class: u32,
    /// Of an attack, the mean probability of its class since the first packet that counted; of a benign flow, the
    /// highest probability of any attack after any packet.
    pub score: f32,
    /// The packet that called it, from 1.
    pub packets_to_alert: Option<u32>,
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

    /// A packet was scored: its flow's rank, the calibrated probabilities after it.
    #[inline]
    fn scored(&mut self, flow: u64, probabilities: &[f32]) {
        let _ = (flow, probabilities);
    }

    /// A flow is called an attack: once a flow, in the order of the packets that called them.
    #[inline]
    fn finding(&mut self, finding: &Finding) {
        let _ = finding;
    }

    /// A packet brought something that rules look at; it is counted in its flow already.
    #[inline]
    fn facts(&mut self, facts: &Facts, seen: &Seen<'_>) {
        let _ = (facts, seen);
    }

    /// A flow has ended.
    #[inline]
    fn ended(&mut self, verdict: &FlowVerdict) {
        let _ = verdict;
    }
}

/// What a shard did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets seen.
    pub packets: u64,
    /// Of those, the ones without a TCP, UDP or ICMP header.
    pub passed_over: u64,
    /// Packets scored.
    pub scored: u64,
    /// Flows ended.
    pub flows: u64,
    /// Flows called an attack.
    pub findings: u64,
    /// What did not fit.
    pub losses: sequence::Losses,
}

/// What is kept of a flow beside its features and the network's state.
#[derive(Clone, Copy, Default)]
struct Walk {
    running: Running,
    /// Its packets in the micro-batch.
    waiting: u16,
}

/// Detection on one thread.
pub struct Shard {
    detector: Detector,
    config: Config,
    level: SequenceLevel,
    cell: StreamCell,
    walks: Vec<Walk>,
    batch: Batch,
    counters: Counters,
}

impl Shard {
    /// A shard with hosts of its own.
    ///
    /// # Errors
    /// There is no room for the states.
    pub fn new(detector: &Detector, config: Config) -> Result<Shard, Error> {
        let hosts = Initiators::new(config.sequence.hosts, config.sequence.seed);
        Shard::with_hosts(detector, config, Arc::new(hosts))
    }

    /// A shard that counts hosts together with others.
    ///
    /// # Errors
    /// As [`Shard::new`].
    pub fn with_hosts(detector: &Detector, config: Config, hosts: Arc<Initiators>) -> Result<Shard, Error> {
        Ok(Shard {
            level: SequenceLevel::with_hosts(config.sequence, hosts),
            cell: detector.cell(config.sequence.flows.max_flows)?,
            walks: Vec::new(),
            batch: Batch::new(detector.classes().len()),
            detector: detector.clone(),
            config,
            counters: Counters::default(),
        })
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// The network cannot step: the model does not fit this program.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, sink: &mut impl Sink) -> Result<(), Error> {
        let frame = decode_frame(packet.link, packet.bytes);
        sink.packet(packet, &frame);
        self.frame(packet.number, packet.time_nanos, &frame, sink)
    }

    /// Takes a packet that is decoded already; its number in the capture, nanoseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn frame(
        &mut self,
        number: u64,
        time_nanos: i64,
        frame: &Frame<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        self.counters.packets += 1;
        if self.batch.waits_since(time_nanos) >= self.config.batching.wait_nanos {
            self.flush(sink)?;
        }
        let row = self.level.frame(time_nanos, frame);
        self.queue_ended();
        if let (Some(facts), Some(row)) = (self.level.facts(), row)
            && let Some(flow) = self.level.flow(row.slot)
        {
            let classes = self.detector.classes().len() as u32;
            sink.facts(facts, &Seen { time_nanos, packet: number, flow, classes });
        }
        match row {
            None => self.counters.passed_over += 1,
            Some(row) => {
                let slot = row.slot as usize;
                if slot >= self.walks.len() {
                    self.walks.resize(slot + 1, Walk::default());
                }
                let before = self.level.flow(row.slot).map_or(0, |flow| flow.packets().saturating_sub(1));
                let (Some(walk), detector) = (self.walks.get_mut(slot), &self.detector) else {
                    return Ok(());
                };
                let step = Step { slot: row.slot, flow: row.flow, number, time_nanos, is_new: row.is_new };
                let anew = row.is_new || detector.settings().begins_anew(before);
                let x = self.batch.push(step, walk.waiting, anew);
                walk.waiting += 1;
                detector.encode(&row.features, x);
            }
        }
        if self.batch.len() >= self.config.batching.packets { self.flush(sink) } else { Ok(()) }
    }

    /// No packet has come until now: ends flows whose time is up, and scores what has waited long enough. Nanoseconds
    /// since 1970-01-01 UTC by the packets' clock.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn tick(&mut self, now_nanos: i64, sink: &mut impl Sink) -> Result<(), Error> {
        self.level.tick(now_nanos);
        self.queue_ended();
        let waited = self.batch.waits_since(now_nanos) >= self.config.batching.wait_nanos;
        if waited || self.batch.only_ends() { self.flush(sink) } else { Ok(()) }
    }

    /// Scores what waits.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn flush(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.batch.score(&mut self.cell)?;
        let Shard { detector, level, walks, batch, counters, .. } = self;
        let settings = detector.settings();
        batch.drain(|event, ends| match event {
            Event::Scored(step, probabilities) => {
                counters.scored += 1;
                let Some(walk) = walks.get_mut(step.slot as usize) else { return };
                walk.waiting = 0;
                if step.is_new {
                    walk.running = Running::default();
                }
                settings.calibrate(probabilities);
                sink.scored(step.flow, probabilities);
                if walk.running.step(probabilities, settings) {
                    // Its slot may be another's by now.
                    let open = level.flow(step.slot).filter(|flow| flow.id == step.flow);
                    let open = open.and_then(|flow| Some((flow, level.actor(step.slot)?)));
                    let ended = || ends.iter().find(|ended| ended.flow.id == step.flow);
                    let ended = || ended().map(|ended| (&ended.flow, ended.actor));
                    let Some(whose) = open.or_else(ended) else { return };
                    counters.findings += 1;
                    tell(&walk.running, settings, whose, step.time_nanos, Some(step.number), sink);
                }
            }
            Event::Ended(ended) => {
                counters.flows += 1;
                let Some(walk) = walks.get_mut(ended.slot as usize) else { return };
                let early = walk.running.called().is_some();
                let called = walk.running.end();
                if called.is_some() && !early {
                    counters.findings += 1;
                    let whose = (&ended.flow, ended.actor);
                    tell(&walk.running, settings, whose, ended.flow.last_nanos, None, sink);
                }
                sink.ended(&FlowVerdict {
                    flow: ended.flow,
                    reason: ended.reason,
                    class: called.map_or(0, |called| called.class),
                    score: called.map_or(walk.running.highest(), |called| called.score),
                    packets_to_alert: called.map(|called| called.packets),
                });
            }
        });
        Ok(())
    }

    /// Ends all flows and forgets all hosts: another recording begins.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn begin_anew(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.finish(sink)?;
        let losses = self.counters().losses;
        let hosts = Initiators::new(self.config.sequence.hosts, self.config.sequence.seed);
        self.level = SequenceLevel::with_hosts(self.config.sequence, Arc::new(hosts));
        self.counters.losses = losses;
        Ok(())
    }

    /// Ends all flows.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.level.finish();
        self.queue_ended();
        self.flush(sink)
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        let (before, now) = (self.counters.losses, self.level.losses());
        let losses = sequence::Losses {
            evicted_flows: before.evicted_flows + now.evicted_flows,
            forgotten_hosts: before.forgotten_hosts + now.forgotten_hosts,
            forgotten_ends: before.forgotten_ends + now.forgotten_ends,
            evicted_datagrams: before.evicted_datagrams + now.evicted_datagrams,
        };
        Counters { losses, ..self.counters }
    }

    /// Flows that have not ended.
    pub fn open_flows(&self) -> usize {
        self.level.len()
    }

    #[inline]
    fn queue_ended(&mut self) {
        for ended in self.level.ended() {
            self.batch.end(ended);
        }
    }
}

fn tell(
    running: &Running,
    settings: &sequence::verdict::Settings,
    (flow, initiator): (&Flow, IpAddr),
    time_nanos: i64,
    packet: Option<u64>,
    sink: &mut impl Sink,
) {
    let Some(called) = running.called() else { return };
    let threshold = settings.thresholds.get(called.class as usize).copied().unwrap_or_default();
    sink.finding(&Finding {
        time_nanos,
        packet,
        initiator,
        flow: *flow,
        class: called.class,
        score: called.score,
        threshold,
        packets: called.packets,
        detector: FoundBy::Model,
    });
}

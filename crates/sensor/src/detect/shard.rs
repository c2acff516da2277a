//! One thread's detection: packets in, findings and verdicts out.
//!
//! Rows wait in a micro-batch, so that the network steps many conversations at a time; what is told, and in which
//! order, does not depend on how many wait. Packets of a conversation are scored in order, its state begins anew every
//! [`Settings::window`](crate::feature::sequence::verdict::Settings) packets, and an end waits for the packets before
//! it. Memory: the sequence level's, and a state and about 90 bytes a flow.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use citronella_nn::{Error, StreamCell};
use citronella_wire::{Frame, decode_frame};

use super::batch::{Batch, Event, Step};
use super::silence::Silences;
use super::{Detector, Reason};
use crate::alert::{Detector as FoundBy, Finding, rules::Seen};
use crate::capture::Packet;
use crate::feature::sequence::{self, Facts, SequenceLevel, Shared, verdict::Running};
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

/// Flows that end together, so that a million take no memory of their own.
const ENDS_AT_ONCE: usize = 1024;

/// More would not do: places in a round are numbered in 16 bits.
const MOST_WAITING: usize = 1 << 15;

/// Caps, seeds and waiting times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The sequence level's.
    pub sequence: sequence::Config,
    /// The micro-batch's.
    pub batching: Batching,
    /// A conversation of fewer packets than a call needs, all of which speak for an attack, is told of when it has been
    /// silent for so long; else at its end. Its verdict is given at its end in either case, and may be another.
    pub silence: Option<Duration>,
}

impl Config {
    /// What one or many shards know together: nothing yet.
    pub fn shared(&self) -> Shared {
        Shared::new(&self.sequence)
    }
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
    /// A bit for each class that it came near ([`Running::near`]).
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

/// What a shard did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets seen.
    pub packets: u64,
    /// Of those, the ones without a TCP, UDP or ICMP header.
    pub passed_over: u64,
    /// Packets scored.
    pub scored: u64,
    /// Flows begun. All of them end: those that were open at a panic are [`Counters::lost_flows`].
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
    pub losses: sequence::Losses,
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
        self.losses.evicted_flows += other.losses.evicted_flows;
        self.losses.evicted_datagrams += other.losses.evicted_datagrams;
        self.losses.forgotten_ends = self.losses.forgotten_ends.max(other.losses.forgotten_ends);
        self.losses.forgotten_hosts = self.losses.forgotten_hosts.max(other.losses.forgotten_hosts);
    }
}

/// What is kept of a flow beside its features and the network's state.
#[derive(Clone, Copy, Default)]
struct Walk {
    running: Running,
    /// Its packets in the micro-batch.
    waiting: u16,
    /// Looked at when it falls silent.
    watched: bool,
    /// Told of when it had fallen silent.
    told: bool,
}

/// Detection on one thread.
pub struct Shard {
    detector: Detector,
    config: Config,
    shared: Shared,
    level: SequenceLevel,
    cell: StreamCell,
    walks: Vec<Walk>,
    batch: Batch,
    silences: Silences,
    counters: Counters,
}

impl Shard {
    /// A shard with hosts of its own.
    ///
    /// # Errors
    /// There is no room for the states.
    pub fn new(detector: &Detector, config: Config) -> Result<Shard, Error> {
        Shard::with_shared(detector, config, config.shared())
    }

    /// A shard that counts hosts together with others.
    ///
    /// # Errors
    /// As [`Shard::new`].
    pub fn with_hosts(detector: &Detector, config: Config, hosts: Arc<Initiators>) -> Result<Shard, Error> {
        Shard::with_shared(detector, config, Shared::with_hosts(&config.sequence, hosts))
    }

    /// A shard that knows what others know.
    ///
    /// # Errors
    /// As [`Shard::new`].
    pub fn with_shared(detector: &Detector, config: Config, shared: Shared) -> Result<Shard, Error> {
        Ok(Shard {
            level: SequenceLevel::with_shared(config.sequence, shared.clone()),
            shared,
            cell: detector.cell(config.sequence.flows.max_flows)?,
            walks: Vec::new(),
            batch: Batch::new(detector.classes().len()),
            silences: Silences::new(config.silence, config.sequence.flows.max_flows),
            detector: detector.clone(),
            config,
            counters: Counters::default(),
        })
    }

    /// Takes a packet.
    ///
    /// A panic, here and in the calls below, ends here: the table begins anew, hosts are remembered, [`Counters`] count
    /// it.
    ///
    /// # Errors
    /// The network cannot step: the model does not fit this program.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, sink: &mut impl Sink) -> Result<(), Error> {
        self.contained(|shard| {
            let frame = decode_frame(packet.link, packet.bytes);
            sink.packet(packet, &frame);
            shard.take(packet.number, packet.time_nanos, &frame, sink)
        })
    }

    /// No packet has come until now: ends flows whose time is up, and scores what has waited long enough. Nanoseconds
    /// since 1970-01-01 UTC by the packets' clock.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn tick(&mut self, now_nanos: i64, sink: &mut impl Sink) -> Result<(), Error> {
        self.contained(|shard| {
            sink.quiet(now_nanos);
            shard.tell_silent(now_nanos, sink);
            shard.level.tick(now_nanos);
            shard.queue_ended();
            let waited = shard.batch.waits_since(now_nanos) >= shard.config.batching.wait_nanos;
            if waited || shard.batch.only_ends() { shard.score(sink) } else { Ok(()) }
        })
    }

    /// Scores what waits.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn flush(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.contained(|shard| shard.score(sink))
    }

    /// Ends all flows.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.contained(|shard| {
            loop {
                let ended = shard.level.finish_some(ENDS_AT_ONCE).len();
                shard.queue_ended();
                shard.score(sink)?;
                if ended == 0 {
                    return Ok(());
                }
            }
        })
    }

    /// Ends all flows and forgets what was known for what is shared here: another recording begins.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn begin_anew(&mut self, shared: Shared, sink: &mut impl Sink) -> Result<(), Error> {
        self.finish(sink)?;
        self.shared = shared;
        self.empty();
        Ok(())
    }

    /// Goes on with another model; the states of open flows begin anew. What they were called stays, unless the classes
    /// are others now.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn reload(&mut self, detector: &Detector, sink: &mut impl Sink) -> Result<(), Error> {
        self.flush(sink)?;
        self.cell = detector.cell(self.config.sequence.flows.max_flows)?;
        self.batch = Batch::new(detector.classes().len());
        if self.detector.classes() != detector.classes() {
            self.walks.iter_mut().for_each(|walk| *walk = Walk::default());
        }
        self.detector = detector.clone();
        Ok(())
    }

    fn contained(&mut self, work: impl FnOnce(&mut Shard) -> Result<(), Error>) -> Result<(), Error> {
        // What a panic leaves behind is thrown away.
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.counters.restarts += 1;
            self.counters.lost_flows += self.level.len() as u64;
            self.empty();
            Ok(())
        })
    }

    /// No flows any more.
    fn empty(&mut self) {
        self.counters.losses = self.counters().losses;
        self.level = SequenceLevel::with_shared(self.config.sequence, self.shared.clone());
        // What is known to all goes on counting.
        let shared = self.level.losses();
        self.counters.losses.forgotten_hosts -= shared.forgotten_hosts;
        self.counters.losses.forgotten_ends -= shared.forgotten_ends;
        self.batch = Batch::new(self.detector.classes().len());
        self.silences.clear();
        self.walks.clear();
    }

    fn take(
        &mut self,
        number: u64,
        time_nanos: i64,
        frame: &Frame<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        self.counters.packets += 1;
        if self.batch.waits_since(time_nanos) >= self.config.batching.wait_nanos {
            self.score(sink)?;
        }
        self.tell_silent(time_nanos, sink);
        let row = self.level.frame(time_nanos, frame);
        self.queue_ended();
        if let (Some(facts), Some(row)) = (self.level.facts(), row.as_ref())
            && let Some(flow) = self.level.flow(row.slot)
        {
            let classes = self.detector.classes().len() as u32;
            sink.facts(facts, &Seen { time_nanos, packet: number, flow, classes });
        }
        match row {
            None => self.counters.passed_over += 1,
            Some(row) => {
                self.counters.begun += u64::from(row.is_new);
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
        if self.batch.len() >= self.config.batching.packets.clamp(1, MOST_WAITING) {
            self.score(sink)
        } else {
            Ok(())
        }
    }

    fn score(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        let Shard { detector, level, cell, walks, batch, silences, counters, .. } = self;
        batch.score(cell)?;
        let settings = detector.settings();
        batch.drain(|event, ends| match event {
            Event::Scored(step, x, probabilities) => {
                counters.scored += 1;
                let Some(walk) = walks.get_mut(step.slot as usize) else { return };
                walk.waiting = 0;
                if step.is_new {
                    (walk.running, walk.watched, walk.told) = (Running::default(), false, false);
                }
                settings.calibrate(probabilities);
                sink.scored(step.number, step.flow, probabilities);
                let calls = walk.running.step(probabilities, settings);
                if !walk.watched && walk.running.is_short_call(settings) {
                    walk.watched = true;
                    silences.watch(step.slot, step.flow, step.time_nanos, step.time_nanos);
                }
                if calls && !walk.told {
                    // Its slot may be another's by now.
                    let open = level.flow(step.slot).filter(|flow| flow.id == step.flow);
                    let open = open.and_then(|flow| Some((flow, level.actor(step.slot)?)));
                    let ended = || ends.iter().find(|ended| ended.flow.id == step.flow);
                    let ended = || ended().map(|ended| (&ended.flow, ended.actor));
                    let Some(whose) = open.or_else(ended) else { return };
                    counters.findings += 1;
                    let Some(finding) = finding(&walk.running, settings, whose) else { return };
                    let finding =
                        Finding { time_nanos: step.time_nanos, packet: Some(step.number), ..finding };
                    sink.explained(&finding, &mut || detector.reasons(cell, step.slot, x));
                }
            }
            Event::Ended(ended) => {
                counters.flows += 1;
                let Some(walk) = walks.get_mut(ended.slot as usize) else { return };
                let early = walk.running.called().is_some() || walk.told;
                let called = walk.running.end();
                if !early && let Some(finding) = finding(&walk.running, settings, (&ended.flow, ended.actor))
                {
                    counters.findings += 1;
                    sink.explained(&finding, &mut Vec::new);
                }
                sink.ended(&FlowVerdict {
                    flow: ended.flow,
                    reason: ended.reason,
                    class: called.map_or(0, |called| called.class),
                    score: called.map_or(walk.running.highest(), |called| called.score),
                    packets_to_alert: called.map(|called| called.packets),
                    near: walk.running.near(),
                });
            }
        });
        Ok(())
    }

    /// Tells of short conversations that have fallen silent.
    fn tell_silent(&mut self, now_nanos: i64, sink: &mut impl Sink) {
        let Shard { detector, level, walks, silences, counters, .. } = self;
        while let Some(silence) = silences.next_due(now_nanos) {
            let Some(flow) = level.flow(silence.slot).filter(|flow| flow.id == silence.flow) else {
                continue;
            };
            let Some(walk) = walks.get_mut(silence.slot as usize) else { continue };
            if !walk.running.is_short_call(detector.settings()) {
                walk.watched = false;
                continue;
            }
            if walk.waiting > 0 || !silences.is_silent(flow.last_nanos, now_nanos) {
                silences.watch(silence.slot, silence.flow, flow.last_nanos, now_nanos);
                continue;
            }
            let mut whole = walk.running;
            whole.end();
            let Some(actor) = level.actor(silence.slot) else { continue };
            if let Some(finding) = finding(&whole, detector.settings(), (flow, actor)) {
                walk.told = true;
                counters.findings += 1;
                sink.explained(&finding, &mut Vec::new);
            }
        }
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

    /// Caps, seeds and waiting times.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Memory a flow: the table's, the sequence level's, the network's state and the verdict so far.
    pub fn bytes_per_flow(&self) -> usize {
        SequenceLevel::BYTES_PER_FLOW + self.cell.state_bytes() + size_of::<Walk>()
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

/// What is called of a flow, at its latest packet.
fn finding(
    running: &Running,
    settings: &sequence::verdict::Settings,
    (flow, initiator): (&Flow, IpAddr),
) -> Option<Finding> {
    let called = running.called()?;
    Some(Finding {
        time_nanos: flow.last_nanos,
        packet: None,
        initiator,
        flow: *flow,
        class: called.class,
        score: called.score,
        threshold: settings.thresholds.get(called.class as usize).copied().unwrap_or_default(),
        packets: called.packets,
        detector: FoundBy::Model,
    })
}

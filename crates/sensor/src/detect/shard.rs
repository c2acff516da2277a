//! One recording's or one ring's detection: packets in, findings and verdicts out.
//!
//! Rows wait in a micro-batch, so that the network steps many conversations at a time; what is told, and in which
//! order, does not depend on how many wait. Packets of a conversation are scored in order, its state begins anew every
//! [`Settings::window`](crate::feature::sequence::verdict::Settings) packets, and an end waits for the packets before
//! it. Memory: the sequence level's, and a state and 100 bytes a flow.
//!
//! Flows and features are this thread's; the network's steps may be shared out ([`Config::threads`]). With
//! [`Batching::ahead`](super::Batching) two batches are under way: while one is stepped, the next one fills. When that is
//! full, it goes out to be stepped with copies of the states that it needs, and the one before it is told of: what is
//! asked of the network for a finding finds the states as its own batch left them. That order holds for any number of
//! threads, and so does what is told.

mod tell;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use citronella_nn::Error;
use citronella_wire::{Frame, decode_frame};

use super::batch::{Batch, Step};
use super::scorer::Scorer;
use super::silence::Silences;
use super::{Config, Counters, Detector, Sink};
use crate::alert::rules::Seen;
use crate::capture::Packet;
use crate::feature::sequence::{self, SequenceLevel, Shared};
use crate::flow::initiator::Initiators;
use tell::Walk;

/// Flows that end together, so that a million take no memory of their own.
const ENDS_AT_ONCE: usize = 1024;

/// More would not do: places in a round are numbered in 16 bits.
const MOST_WAITING: usize = 1 << 15;

/// Detection of one stream of packets.
pub struct Shard {
    detector: Detector,
    config: Config,
    shared: Shared,
    level: SequenceLevel,
    scorer: Scorer,
    walks: Vec<Walk>,
    /// The batch that fills.
    filling: Batch,
    /// The one before it, where it has not been told of.
    under_way: Batch,
    is_under_way: bool,
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
            walks: Vec::new(),
            scorer: scorer(detector, &config)?,
            filling: Batch::default(),
            under_way: Batch::default(),
            is_under_way: false,
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
            let waited = shard.filling.waits_since(now_nanos) >= shard.config.batching.wait_nanos;
            if waited || shard.filling.only_ends() { shard.score_all(sink) } else { Ok(()) }
        })
    }

    /// Scores what waits.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn flush(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.contained(|shard| shard.score_all(sink))
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
                if ended == 0 {
                    return shard.score_all(sink);
                }
                shard.score(sink)?;
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
        self.scorer = scorer(detector, &self.config)?;
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
            self.counters.lost_flows += self.untold();
            self.empty();
            Ok(())
        })
    }

    /// Flows that have begun and were not told of: open ones, and those whose end waits.
    fn untold(&self) -> u64 {
        self.counters.begun.saturating_sub(self.counters.flows + self.counters.lost_flows)
    }

    /// No flows any more.
    fn empty(&mut self) {
        self.counters.losses = self.counters().losses;
        self.level = SequenceLevel::with_shared(self.config.sequence, self.shared.clone());
        // What is known to all goes on counting.
        let shared = self.level.evictions();
        self.counters.losses.hosts -= shared.hosts;
        self.counters.losses.endpoints -= shared.endpoints;
        self.scorer.abandon();
        (self.filling, self.under_way) = (Batch::default(), Batch::default());
        self.is_under_way = false;
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
        if self.filling.waits_since(time_nanos) >= self.config.batching.wait_nanos {
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
                let anew = row.is_new || detector.settings().begins_window(before);
                detector.encode(&row.features, self.filling.push(step, &mut walk.chain, anew));
            }
        }
        if self.filling.len() >= self.config.batching.packets.clamp(1, MOST_WAITING) {
            self.score(sink)
        } else {
            Ok(())
        }
    }

    /// Has the batch that fills stepped and tells of the one under way; tells of the first, too, where it is not to wait
    /// for the next.
    fn score(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.scorer.prepare(&mut self.filling);
        self.collect()?;
        self.scorer.hand_out(&mut self.filling);
        self.tell(sink);
        self.scorer.step(&mut self.filling)?;
        std::mem::swap(&mut self.filling, &mut self.under_way);
        self.is_under_way = true;
        if self.config.batching.ahead { Ok(()) } else { self.tell_all(sink) }
    }

    /// Scores and tells of all that waits.
    fn score_all(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.score(sink)?;
        self.tell_all(sink)
    }

    /// Tells of the batch under way, when it has been stepped.
    fn tell_all(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.collect()?;
        self.tell(sink);
        Ok(())
    }

    /// Has back the batch under way, if there is one.
    fn collect(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_under_way) { self.scorer.collect(&mut self.under_way) } else { Ok(()) }
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        let (before, now) = (self.counters.losses, self.level.evictions());
        let losses = sequence::Evictions {
            flows: before.flows + now.flows,
            hosts: before.hosts + now.hosts,
            endpoints: before.endpoints + now.endpoints,
            datagrams: before.datagrams + now.datagrams,
        };
        Counters { losses, ..self.counters }
    }

    /// Caps, seeds and waiting times.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Memory a flow: the table's, the sequence level's, the network's state and the verdict so far.
    pub fn bytes_per_flow(&self) -> usize {
        SequenceLevel::BYTES_PER_FLOW + self.scorer.state_bytes() + size_of::<Walk>()
    }

    /// Flows that have not ended.
    pub fn open_flows(&self) -> usize {
        self.level.len()
    }

    #[inline]
    fn queue_ended(&mut self) {
        for ended in self.level.ended() {
            self.filling.end(ended);
        }
    }
}

/// Where a batch is asked for as soon as it is full, nothing is left to share.
fn scorer(detector: &Detector, config: &Config) -> Result<Scorer, Error> {
    let threads = if config.batching.ahead { config.threads } else { 1 };
    Scorer::new(detector, config.sequence.flows.max_flows, threads)
}

#[cfg(test)]
mod tests;

//! Detection on one stream of packets: packets in, findings and verdicts out.
//!
//! Rows wait in a micro-batch so that the network steps many conversations at once; findings, and their order, do not
//! depend on the batch size. Packets of a conversation are scored in order; its state is reset every
//! [`Settings::window`](crate::feature::sequence::verdict::Settings) packets; the end of a flow is reported after its
//! packets. Memory: that of the sequence level, and a state and 100 bytes per flow.
//!
//! Flows and features belong to this thread; stepping the network may be shared ([`Config::threads`]). With
//! [`Batching::ahead`](super::Batching) two batches exist: while one is stepped, the next one fills. A full batch is
//! handed out with copies of the states it needs, and then the one before it is reported: reasons for a finding are
//! computed from the states that its own batch left. This order, and so the output, is the same for any number of
//! threads.

mod emit;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use citronella_nn::Error;
use citronella_wire::{Frame, decode_frame};

use super::batch::{Batch, Step};
use super::idle_watch::IdleWatch;
use super::scorer::Scorer;
use super::{Config, Counters, Detector, Observer, Progress, RuleContext};
use crate::capture::{CaptureCounters, Packet};
use crate::feature::sequence::{self, SequenceLevel, Shared};
use crate::flow::initiator::Initiators;
use emit::FlowState;

/// Flows ended at a time by [`Shard::finish`], so that ending a million flows needs little memory.
const ENDS_AT_ONCE: usize = 1024;

/// Cap of a batch: positions in a round have 16 bits.
const MAX_WAITING: usize = 1 << 15;

/// Detection of one stream of packets.
pub struct Shard {
    detector: Detector,
    config: Config,
    shared: Shared,
    level: SequenceLevel,
    scorer: Scorer,
    flow_states: Vec<FlowState>,
    /// The batch that is being filled.
    filling: Batch,
    /// The previous batch, until it has been reported.
    in_flight: Batch,
    is_in_flight: bool,
    idle_watch: IdleWatch,
    counters: Counters,
}

impl Shard {
    /// A shard with host tables of its own.
    ///
    /// # Errors
    /// The network's states cannot be allocated.
    pub fn new(detector: &Detector, config: Config) -> Result<Shard, Error> {
        Shard::with_shared(detector, config, config.shared())
    }

    /// A shard that shares its host counts with others.
    ///
    /// # Errors
    /// As [`Shard::new`].
    pub fn with_hosts(detector: &Detector, config: Config, hosts: Arc<Initiators>) -> Result<Shard, Error> {
        Shard::with_shared(detector, config, Shared::with_hosts(&config.sequence, hosts))
    }

    /// A shard that shares its host and responder tables with others.
    ///
    /// # Errors
    /// As [`Shard::new`].
    pub fn with_shared(detector: &Detector, config: Config, shared: Shared) -> Result<Shard, Error> {
        Ok(Shard {
            level: SequenceLevel::with_shared(config.sequence, shared.clone()),
            shared,
            flow_states: Vec::new(),
            scorer: scorer(detector, &config)?,
            filling: Batch::default(),
            in_flight: Batch::default(),
            is_in_flight: false,
            idle_watch: IdleWatch::new(config.idle_report, config.sequence.flows.max_flows),
            detector: detector.clone(),
            config,
            counters: Counters::default(),
        })
    }

    /// Processes a packet.
    ///
    /// A panic, here and in the methods below, is contained: the flow table is emptied, host tables are kept, and
    /// [`Counters`] count it.
    ///
    /// # Errors
    /// The network cannot step: the model does not fit this program.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, observer: &mut impl Observer) -> Result<(), Error> {
        self.contained(|shard| {
            let frame = decode_frame(packet.link, packet.bytes);
            observer.packet(packet, &frame);
            shard.counters.bytes += u64::from(packet.wire_len);
            shard.process(packet.number, packet.time_nanos, &frame, observer)
        })
    }

    /// No packet has arrived up to this packet time (nanoseconds since 1970-01-01 UTC): ends flows that have timed out and
    /// scores packets that have waited long enough.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn tick(&mut self, now_nanos: i64, observer: &mut impl Observer) -> Result<(), Error> {
        self.contained(|shard| {
            shard.report_idle(now_nanos, observer);
            shard.level.tick(now_nanos);
            shard.queue_ended();
            let waited = shard.filling.waited_nanos(now_nanos) >= shard.config.batching.wait_nanos;
            if waited || shard.filling.has_only_ended_flows() { shard.score_all(observer) } else { Ok(()) }
        })
    }

    /// Passes a heartbeat and the counters so far to the observer.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn heartbeat(
        &mut self,
        now_nanos: i64,
        capture: CaptureCounters,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let progress = Progress { detection: self.counters(), capture };
        self.contained(|_| {
            observer.heartbeat(now_nanos, &progress);
            Ok(())
        })
    }

    /// Scores the packets that wait.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn flush(&mut self, observer: &mut impl Observer) -> Result<(), Error> {
        self.contained(|shard| shard.score_all(observer))
    }

    /// Ends all flows.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn finish(&mut self, observer: &mut impl Observer) -> Result<(), Error> {
        self.contained(|shard| {
            loop {
                let ended = shard.level.finish_some(ENDS_AT_ONCE).len();
                shard.queue_ended();
                if ended == 0 {
                    return shard.score_all(observer);
                }
                shard.score(observer)?;
            }
        })
    }

    /// Ends all flows and continues with other shared tables, for the next recording.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn restart(&mut self, shared: Shared, observer: &mut impl Observer) -> Result<(), Error> {
        self.finish(observer)?;
        self.shared = shared;
        self.clear();
        Ok(())
    }

    /// Continues with another model. The network states of open flows are reset; their verdicts so far are kept unless the
    /// classes differ.
    ///
    /// # Errors
    /// As [`Shard::packet`].
    pub fn reload(&mut self, detector: &Detector, observer: &mut impl Observer) -> Result<(), Error> {
        self.flush(observer)?;
        self.scorer = scorer(detector, &self.config)?;
        if self.detector.classes() != detector.classes() {
            self.flow_states.iter_mut().for_each(|flow_state| *flow_state = FlowState::default());
        }
        self.detector = detector.clone();
        Ok(())
    }

    fn contained(&mut self, work: impl FnOnce(&mut Shard) -> Result<(), Error>) -> Result<(), Error> {
        // The state that a panic leaves behind is discarded.
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.counters.restarts += 1;
            self.counters.lost_flows += self.unreported_flows();
            self.clear();
            Ok(())
        })
    }

    /// Flows that have started and were not reported: open ones, and ended ones that wait in a batch.
    fn unreported_flows(&self) -> u64 {
        self.counters.flows_started.saturating_sub(self.counters.flows + self.counters.lost_flows)
    }

    /// Drops all flows.
    fn clear(&mut self) {
        self.counters.evictions = self.counters().evictions;
        self.level = SequenceLevel::with_shared(self.config.sequence, self.shared.clone());
        // Shared tables keep their counters.
        let shared = self.level.evictions();
        self.counters.evictions.hosts -= shared.hosts;
        self.counters.evictions.endpoints -= shared.endpoints;
        self.scorer.abandon();
        (self.filling, self.in_flight) = (Batch::default(), Batch::default());
        self.is_in_flight = false;
        self.idle_watch.clear();
        self.flow_states.clear();
    }

    fn process(
        &mut self,
        number: u64,
        time_nanos: i64,
        frame: &Frame<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        self.counters.packets += 1;
        if self.filling.waited_nanos(time_nanos) >= self.config.batching.wait_nanos {
            self.score(observer)?;
        }
        self.report_idle(time_nanos, observer);
        let row = self.level.frame(time_nanos, frame);
        self.queue_ended();
        if let (Some(facts), Some(row)) = (self.level.facts(), row.as_ref())
            && let Some(flow) = self.level.flow(row.slot)
        {
            let classes = self.detector.classes().len() as u32;
            observer.facts(facts, &RuleContext { time_nanos, packet: number, flow, classes });
        }
        match row {
            None => self.counters.packets_without_flow += 1,
            Some(row) => {
                self.counters.flows_started += u64::from(row.is_new);
                let slot = row.slot as usize;
                if slot >= self.flow_states.len() {
                    self.flow_states.resize(slot + 1, FlowState::default());
                }
                let before = self.level.flow(row.slot).map_or(0, |flow| flow.packets().saturating_sub(1));
                let (Some(flow_state), detector) = (self.flow_states.get_mut(slot), &self.detector) else {
                    return Ok(());
                };
                let step = Step { slot: row.slot, flow: row.flow, number, time_nanos, is_new: row.is_new };
                let is_reset = row.is_new || detector.settings().starts_window(before);
                detector.encode(&row.features, self.filling.push(step, &mut flow_state.chain, is_reset));
            }
        }
        if self.filling.len() >= self.config.batching.packets.clamp(1, MAX_WAITING) {
            self.score(observer)
        } else {
            Ok(())
        }
    }

    /// Steps the filling batch and reports the one in flight; reports the stepped one too, unless batches run ahead.
    fn score(&mut self, observer: &mut impl Observer) -> Result<(), Error> {
        self.scorer.prepare(&mut self.filling);
        self.collect()?;
        self.scorer.hand_out(&mut self.filling);
        self.emit(observer);
        self.scorer.step(&mut self.filling)?;
        std::mem::swap(&mut self.filling, &mut self.in_flight);
        self.is_in_flight = true;
        if self.config.batching.ahead { Ok(()) } else { self.emit_all(observer) }
    }

    /// Scores and reports all waiting packets and ended flows.
    fn score_all(&mut self, observer: &mut impl Observer) -> Result<(), Error> {
        self.score(observer)?;
        self.emit_all(observer)
    }

    /// Reports the batch in flight once it has been stepped.
    fn emit_all(&mut self, observer: &mut impl Observer) -> Result<(), Error> {
        self.collect()?;
        self.emit(observer);
        Ok(())
    }

    /// Takes back the batch in flight, if there is one.
    fn collect(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_in_flight) { self.scorer.collect(&mut self.in_flight) } else { Ok(()) }
    }

    /// Counters so far.
    pub fn counters(&self) -> Counters {
        let (before, now) = (self.counters.evictions, self.level.evictions());
        let evictions = sequence::Evictions {
            flows: before.flows + now.flows,
            hosts: before.hosts + now.hosts,
            endpoints: before.endpoints + now.endpoints,
            datagrams: before.datagrams + now.datagrams,
        };
        Counters { evictions, ..self.counters }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes per flow: flow table, sequence level, network state and running verdict.
    pub fn bytes_per_flow(&self) -> usize {
        SequenceLevel::BYTES_PER_FLOW + self.scorer.state_bytes() + size_of::<FlowState>()
    }

    /// Number of open flows.
    pub fn open_flows(&self) -> usize {
        self.level.len()
    }

    #[inline]
    fn queue_ended(&mut self) {
        for ended in self.level.ended() {
            self.filling.push_ended(ended);
        }
    }
}

/// Threads share the steps only when batches run ahead.
fn scorer(detector: &Detector, config: &Config) -> Result<Scorer, Error> {
    let threads = if config.batching.ahead { config.threads } else { 1 };
    Scorer::new(detector, config.sequence.flows.max_flows, threads)
}

#[cfg(test)]
mod tests;

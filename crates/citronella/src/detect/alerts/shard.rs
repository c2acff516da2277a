//! A shard's way to tell: what it counts goes to the common account once a second.

use std::{io, sync::Arc, sync::atomic::Ordering::Relaxed};

use citronella_sensor::{
    alert::{Finding, eve::EveWriter, rules::Seen},
    capture::Packet,
    detect::{Detector, FlowVerdict, Reason},
    feature::sequence::{PacketFacts, verdict::MOST_CLASSES},
    flow::{sessions::Sessions, table::EndReason},
};

use citronella_wire::Frame;

use super::{Alerting, SECOND, lock, queue::Entry};

/// What a shard has counted since it last told.
#[derive(Clone, Copy, Default)]
struct Counted {
    packets: u64,
    bytes: u64,
    flows: u64,
    evicted: u64,
    /// Flows that came near each class.
    near: [u32; MOST_CLASSES],
}

/// A shard's way to tell.
pub(crate) struct ShardAlerts {
    all: Arc<Alerting>,
    /// Where records of sessions are wanted.
    sessions: Option<Box<(Sessions, EveWriter<Entry>)>>,
    counted: Counted,
    latest_nanos: Option<i64>,
    next_tick: Option<i64>,
    generation: u64,
}

impl Alerting {
    /// What a shard tells through.
    pub(crate) fn shard(self: &Arc<Self>) -> ShardAlerts {
        let sessions = self.sessions.then(|| {
            let entry = lock(&self.entry);
            let mut eve = entry.as_ref().map(|entry| EveWriter::new(entry.another(), self.eve.clone()));
            if let Some(eve) = &mut eve {
                eve.set_interface(self.interface.as_deref());
            }
            (Sessions::default(), eve)
        });
        ShardAlerts {
            all: Arc::clone(self),
            sessions: sessions.and_then(|(sessions, eve)| Some(Box::new((sessions, eve?)))),
            counted: Counted::default(),
            latest_nanos: None,
            next_tick: None,
            generation: 0,
        }
    }
}

impl ShardAlerts {
    /// The packets of a capture begin.
    pub(crate) fn capture(&mut self, name: &str) {
        let name = self.all.several.then_some(name);
        if let Some(sessions) = &mut self.sessions {
            sessions.1.begin_capture(name);
        }
        if let Some(eve) = &mut self.all.common().eve {
            eve.begin_capture(name);
        }
    }

    /// A packet and its frame.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) {
        self.counted.packets += 1;
        self.counted.bytes += u64::from(packet.wire_len);
        if let Some(sessions) = &mut self.sessions {
            let (sessions, eve) = &mut **sessions;
            sessions.frame(packet, frame, |event| {
                let _ = eve.write(event);
            });
        }
        self.quiet(packet.time_nanos);
    }

    /// It is so late, by the packets' clock.
    #[inline]
    pub(crate) fn quiet(&mut self, now_nanos: i64) {
        self.latest_nanos = Some(now_nanos);
        match self.next_tick {
            // A clock that was set back must not silence anything.
            Some(next) if now_nanos < next && next.saturating_sub(now_nanos) <= 2 * SECOND => {}
            _ => self.tick(now_nanos),
        }
    }

    #[cold]
    fn tick(&mut self, now_nanos: i64) {
        self.next_tick = Some(now_nanos.saturating_add(SECOND));
        let counted = std::mem::take(&mut self.counted);
        let mut common = self.all.common();
        common.rules.begin(now_nanos);
        common.began_nanos.get_or_insert(now_nanos);
        common.stats.packets += counted.packets;
        common.stats.bytes += counted.bytes;
        common.stats.flows += counted.flows;
        common.stats.flows_evicted += counted.evicted;
        let has_incident = common.incidents.counters().open > 0;
        common.suitability.account(now_nanos, counted.flows, &counted.near, has_incident);
        common.tick(now_nanos, self.all.tally.as_deref());
        drop(common);
        if self.all.hangup.came() {
            self.all.hung_up();
        }
        if let Some(sessions) = &mut self.sessions {
            let _ = io::Write::flush(sessions.1.get_mut());
        }
    }

    /// A model that was read again since this was asked last.
    pub(crate) fn new_detector(&mut self) -> Option<Detector> {
        let generation = self.all.generation.load(Relaxed);
        if generation == self.generation {
            return None;
        }
        self.generation = generation;
        lock(&self.all.detector).clone()
    }

    /// A flow is called, and why.
    pub(crate) fn explained(&mut self, finding: &Finding, why: &mut dyn FnMut() -> Vec<Reason>) {
        self.all.common().with_incidents(|incidents, hear| incidents.explained(finding, why, hear));
    }

    /// A packet brought something that rules look at.
    pub(crate) fn facts(&mut self, facts: &PacketFacts, seen: &Seen<'_>) {
        let mut common = self.all.common();
        let rules = common.rules;
        rules.judge(facts, seen, |finding| {
            common.with_incidents(|incidents, hear| incidents.finding(finding, hear));
        });
    }

    /// A flow has ended.
    #[inline]
    pub(crate) fn ended(&mut self, verdict: &FlowVerdict) {
        self.counted.flows += 1;
        self.counted.evicted += u64::from(verdict.reason == EndReason::Evicted);
        if verdict.near != 0 {
            self.came_near(verdict.near);
        }
    }

    #[cold]
    fn came_near(&mut self, classes: u16) {
        let counts = self.counted.near.iter_mut().enumerate();
        counts.for_each(|(class, count)| *count += u32::from(classes >> class & 1));
    }

    /// Writes what is left to be told of sessions.
    pub(crate) fn finish(mut self) {
        if let Some(sessions) = self.sessions.take() {
            let (mut sessions, mut eve) = *sessions;
            sessions.finish(|event| {
                let _ = eve.write(event);
            });
        }
        if let Some(now) = self.latest_nanos {
            self.tick(now);
        }
    }
}

//! What hears a shard, of files or live: the summary is its own, the verdicts' file and the alerts are all shards'.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use citronella_sensor::{
    alert::{Finding, rules::Seen},
    capture::Packet,
    detect::{Detector, FlowVerdict, Reason, Sink, VerdictWriter},
    feature::sequence::PacketFacts,
    output::OutputError,
};
use citronella_wire::Frame;

use super::{alerts::ShardAlerts, summary::Summary};

/// The verdicts' file, which all shards write to.
#[derive(Clone)]
pub(super) struct Verdicts {
    /// Nothing is written after the first fault.
    writer: Arc<Mutex<(Option<VerdictWriter>, Option<OutputError>)>>,
}

impl Verdicts {
    pub(super) fn create(path: &Path, detector: &Detector) -> Result<Verdicts> {
        let writer = VerdictWriter::create(path, detector.classes())?;
        Ok(Verdicts { writer: Arc::new(Mutex::new((Some(writer), None))) })
    }

    fn write(&self, verdict: &FlowVerdict) {
        let (writer, fault) = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(writer), None) = (writer, &fault) {
            *fault = writer.write(verdict).err();
        }
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<()> {
        let (writer, fault) = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match (writer.take(), fault.take()) {
            (_, Some(fault)) => Err(fault.into()),
            (Some(writer), None) => Ok(writer.finish()?),
            (None, None) => Ok(()),
        }
    }
}

/// Hears one shard.
pub(super) struct Listener {
    pub(super) verdicts: Option<Verdicts>,
    pub(super) summary: Summary,
    pub(super) alerts: ShardAlerts,
}

impl Sink for Listener {
    fn capture(&mut self, name: &str) {
        self.alerts.capture(name);
    }

    #[inline]
    fn packet(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) {
        self.alerts.packet(packet, frame);
        self.summary.packet(packet.time_nanos);
    }

    fn explained(&mut self, finding: &Finding, why: &mut dyn FnMut() -> Vec<Reason>) {
        self.summary.finding(finding);
        self.alerts.explained(finding, why);
    }

    fn facts(&mut self, facts: &PacketFacts, seen: &Seen<'_>) {
        self.alerts.facts(facts, seen);
    }

    fn quiet(&mut self, now_nanos: i64) {
        self.alerts.quiet(now_nanos);
    }

    fn ended(&mut self, verdict: &FlowVerdict) {
        self.alerts.ended(verdict);
        self.summary.ended(verdict);
        if let Some(verdicts) = &self.verdicts {
            verdicts.write(verdict);
        }
    }
}

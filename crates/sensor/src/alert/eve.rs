//! EVE JSON, the records that Suricata writes and that the tools around it read: a line a record.
//!
//! In: what [`Sessions`](crate::flow::sessions::Sessions) tells. Out: `mqtt` records, one a transaction (a message with
//! its answers, in the flow's direction, when the last of them was seen); `anomaly` records for violations, by
//! Suricata's event where it has one, with our ids and clauses beside; `tls` records of a client's hello; `flow`
//! records. And `alert` records of incidents, and `stats`. All validate against Suricata's schema (8.0.7). Field names are those of Suricata's EVE format; docs/eve.md says where ours say more.
//!
//! A transaction that waits for its answer is kept as text, up to [`EveOptions::pending_bytes`] in all; the oldest of
//! the same flow are then written as they are. A password is written only with [`EveOptions::log_passwords`].

mod alert;
mod json;
mod mqtt;
mod record;
mod stats;
mod time;

use std::collections::BTreeMap;
use std::io::{self, Write};

use hashbrown::HashMap;

use super::Alert;
use crate::flow::sessions::{EventContext, SessionEvent};
use citronella_wire::mqtt::{Exchange, Observed};
use json::Json;
use mqtt::Discretion;
use record::Recorder;
pub use stats::{Kernel, Stats};

/// Which records are written, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EveOptions {
    /// `alert` records.
    pub alert: bool,
    /// `stats` records.
    pub stats: bool,
    /// `mqtt` records.
    pub mqtt: bool,
    /// `anomaly` records.
    pub anomaly: bool,
    /// `tls` records.
    pub tls: bool,
    /// `flow` records.
    pub flow: bool,
    /// Passwords are written; otherwise their length is.
    pub log_passwords: bool,
    /// Bytes of a text or payload that are written; the rest is counted.
    pub text_bytes: usize,
    /// Bytes of transactions that wait for an answer, in all flows together.
    pub pending_bytes: usize,
    /// Transactions of a flow that wait for an answer.
    pub pending_transactions: usize,
}

impl Default for EveOptions {
    /// All records, no passwords, 1,024 bytes of a text, 64 MiB and 1,024 a flow of waiting transactions.
    fn default() -> EveOptions {
        EveOptions {
            alert: true,
            stats: true,
            mqtt: true,
            anomaly: true,
            tls: true,
            flow: true,
            log_passwords: false,
            text_bytes: 1_024,
            pending_bytes: 64 << 20,
            pending_transactions: 1_024,
        }
    }
}

/// Records written, and what did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EveCounters {
    /// `alert` records.
    pub alert: u64,
    /// `stats` records.
    pub stats: u64,
    /// `mqtt` records.
    pub mqtt: u64,
    /// `anomaly` records.
    pub anomaly: u64,
    /// `tls` records.
    pub tls: u64,
    /// `flow` records.
    pub flow: u64,
    /// Transactions written before their answer came, for lack of room.
    pub written_early: u64,
    /// Bytes of transactions that wait now.
    pub pending_bytes: usize,
}

/// A transaction so far.
#[derive(Default)]
struct Transaction {
    /// The members of its `mqtt` object.
    text: Vec<u8>,
    /// What that object has no field for: elements of `metadata.pktvars`.
    more: Vec<u8>,
    /// A bit for each message type in it: an object has a member once.
    kinds: u16,
}

impl Transaction {
    fn len(&self) -> usize {
        self.text.len() + self.more.len()
    }
}

/// What is kept of a flow that has had a record.
struct FlowState {
    community_id: String,
    open: BTreeMap<u64, Transaction>,
}

/// Writes EVE records to `out`.
pub struct EveWriter<W> {
    out: W,
    options: EveOptions,
    recorder: Recorder,
    flows: HashMap<u64, FlowState, foldhash::quality::RandomState>,
    counters: EveCounters,
    /// The first fault of `out`; nothing is written after it.
    fault: Option<io::Error>,
}

impl<W: Write> EveWriter<W> {
    /// Begins.
    pub fn new(out: W, options: EveOptions) -> EveWriter<W> {
        EveWriter {
            out,
            options,
            recorder: Recorder::default(),
            flows: HashMap::default(),
            counters: EveCounters::default(),
            fault: None,
        }
    }

    /// Names the capture that the next records come from.
    pub fn begin_capture(&mut self, name: Option<&str>) {
        self.recorder.begin_capture(name);
    }

    /// Names the interface that live packets come from.
    pub fn set_interface(&mut self, name: Option<&str>) {
        self.recorder.set_interface(name);
    }

    /// Writes an incident's alert. `model`: what stands for the model in it.
    ///
    /// # Errors
    /// As [`EveWriter::write`].
    pub fn alert(&mut self, alert: &Alert<'_>, model: Option<&str>) -> io::Result<()> {
        if self.options.alert {
            self.recorder.alert(alert, model);
            self.counters.alert += 1;
            self.put();
        }
        self.done()
    }

    /// Writes counters.
    ///
    /// # Errors
    /// As [`EveWriter::write`].
    pub fn stats(&mut self, stats: &Stats) -> io::Result<()> {
        if self.options.stats {
            self.recorder.stats(stats);
            self.counters.stats += 1;
            self.put();
        }
        self.done()
    }

    /// Writes, as an alert, that so many records were shed, and how many alerts among them.
    ///
    /// # Errors
    /// As [`EveWriter::write`].
    pub fn shed(&mut self, time_nanos: i64, records: u64, alerts: u64) -> io::Result<()> {
        if self.options.alert {
            self.recorder.shed(time_nanos, records, alerts);
            self.counters.alert += 1;
            self.put();
        }
        self.done()
    }

    /// Writes what is to be said of an event.
    ///
    /// # Errors
    /// Writing failed; then every later call fails the same way.
    pub fn write(&mut self, event: SessionEvent<'_>) -> io::Result<()> {
        match event {
            SessionEvent::Message { context: place, direction, observed } => {
                if self.options.anomaly && !observed.violations.is_empty() {
                    self.anomalies(place, direction, observed);
                }
                if self.options.mqtt {
                    self.message(place, observed);
                }
            }
            SessionEvent::Gap { context: place, from_initiator, bytes } => {
                self.stream_fault(place, "stream.reassembly_seq_gap", from_initiator, Some(bytes));
            }
            SessionEvent::Conflict { context: place, from_initiator } => {
                let event = "stream.reassembly_overlap_different_data";
                self.stream_fault(place, event, from_initiator, None);
            }
            SessionEvent::BadFragment(fragment) => {
                if self.options.anomaly {
                    self.recorder.fragment_fault(&fragment);
                    self.counters.anomaly += 1;
                    self.put();
                }
            }
            SessionEvent::ClientHello { context: place, hello } if self.options.tls => {
                let community_id = &state(&mut self.flows, &self.recorder, place).community_id;
                self.recorder.client_hello(place, community_id, hello);
                self.counters.tls += 1;
                self.put();
            }
            SessionEvent::ClientHello { .. } => {}
            SessionEvent::FlowEnded(end) => {
                let place = EventContext { flow: end.flow, time_nanos: end.flow.last_nanos, packet: None };
                let kept = self.flows.remove(&end.flow.id);
                let community_id = match &kept {
                    Some(state) => state.community_id.clone(),
                    None if self.options.flow => self.recorder.community_id(end.flow, end.icmp),
                    None => String::new(),
                };
                for (number, transaction) in kept.into_iter().flat_map(|state| state.open) {
                    self.counters.pending_bytes -= transaction.len();
                    self.transaction(place, &community_id, number, &transaction);
                }
                if self.options.flow {
                    self.recorder.flow(&end, &community_id);
                    self.counters.flow += 1;
                    self.put();
                }
            }
        }
        self.done()
    }

    fn done(&self) -> io::Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| Err(io::Error::new(fault.kind(), fault.to_string())))
    }

    /// Where it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    /// The first that writing met.
    pub fn finish(mut self) -> io::Result<W> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.out.flush().map(|()| self.out),
        }
    }

    /// Records written, and what did not fit.
    pub fn counters(&self) -> EveCounters {
        self.counters
    }

    fn put(&mut self) {
        if self.fault.is_none() {
            self.fault = self.out.write_all(self.recorder.line()).err();
        }
    }

    fn transaction(&mut self, place: EventContext<'_>, community_id: &str, number: u64, open: &Transaction) {
        self.recorder.transaction(place, community_id, number, &open.text, &open.more);
        self.counters.mqtt += 1;
        self.put();
    }

    fn message(&mut self, place: EventContext<'_>, observed: &Observed<'_>) {
        let say =
            Discretion { log_passwords: self.options.log_passwords, text_bytes: self.options.text_bytes };
        let Exchange { number, closed, .. } = observed.exchange;
        let state = state(&mut self.flows, &self.recorder, place);
        let mut transaction = state.open.remove(&number).unwrap_or_default();
        self.counters.pending_bytes -= transaction.len();
        let mut ready = Vec::new();
        let bit = 1 << (observed.header.kind & 15);
        if transaction.kinds & bit != 0 {
            ready.push((number, std::mem::take(&mut transaction)));
        }
        let Transaction { text, more, .. } = &mut transaction;
        let (none_yet, none_beside) = (text.is_empty(), more.is_empty());
        let (mut json, mut more) = (Json::members(text, none_yet), Json::members(more, none_beside));
        mqtt::message(&mut json, &mut more, observed, say);
        transaction.kinds |= bit;
        if closed {
            ready.push((number, transaction));
        } else {
            self.counters.pending_bytes += transaction.len();
            state.open.insert(number, transaction);
        }
        while self.counters.pending_bytes > self.options.pending_bytes
            || state.open.len() > self.options.pending_transactions
        {
            let Some((number, early)) = state.open.pop_first() else { break };
            self.counters.pending_bytes -= early.len();
            self.counters.written_early += 1;
            ready.push((number, early));
        }
        if ready.is_empty() {
            return;
        }
        let community_id = state.community_id.clone();
        for (number, transaction) in ready {
            self.transaction(place, &community_id, number, &transaction);
        }
    }

    fn anomalies(
        &mut self,
        place: EventContext<'_>,
        direction: citronella_wire::mqtt::Direction,
        observed: &Observed<'_>,
    ) {
        let community_id = state(&mut self.flows, &self.recorder, place).community_id.clone();
        mqtt::anomalies(observed, |event, violations| {
            self.recorder.anomaly(place, &community_id, direction, observed, event, violations);
            self.counters.anomaly += 1;
            self.put();
        });
    }

    fn stream_fault(
        &mut self,
        place: EventContext<'_>,
        event: &str,
        from_initiator: bool,
        bytes: Option<u64>,
    ) {
        if self.options.anomaly {
            let community_id = &state(&mut self.flows, &self.recorder, place).community_id;
            self.recorder.stream_fault(place, community_id, event, from_initiator, bytes);
            self.counters.anomaly += 1;
            self.put();
        }
    }
}

/// The state of a flow, new with its first record.
fn state<'a>(
    flows: &'a mut HashMap<u64, FlowState, foldhash::quality::RandomState>,
    recorder: &Recorder,
    place: EventContext<'_>,
) -> &'a mut FlowState {
    flows.entry(place.flow.id).or_insert_with(|| FlowState {
        community_id: recorder.community_id(place.flow, None),
        open: BTreeMap::new(),
    })
}

//! The encoder: events in, EVE JSON records out, one a line.
//!
//! Sessions yield `mqtt` records, one per transaction (a message and its answers, in the direction of the flow, written
//! when the last of them was seen), `anomaly` records of violations, by Suricata's event name where there is one, with our
//! ids and clauses added, `tls` records of ClientHellos and `flow` records. The alert engine yields `alert` and `stats`
//! records. All of them validate against Suricata's schema (8.0.7); docs/eve.md lists the fields that go beyond it.
//!
//! A transaction that waits for its answer is held as text, up to [`EveOptions::pending_bytes`] in all; beyond that the
//! oldest of the same flow are written incomplete. Passwords are written with [`EveOptions::log_passwords`] only.

use std::collections::BTreeMap;
use std::io::{self, Write};

use citronella_sensor::{
    alert::{Alert, Stats, incident::CloseReason},
    flow::sessions::{EventContext, SessionEvent},
};
use citronella_wire::mqtt::{Direction, Exchange, Observed};
use hashbrown::HashMap;

use crate::alert::Stage;
use crate::json::Json;
use crate::mqtt::{self, Redaction};
use crate::record::Recorder;

/// Which records are written, and what they contain.
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
    /// Whether passwords are written; otherwise only their length is.
    pub log_passwords: bool,
    /// Most bytes written of a text or payload; the rest is only counted.
    pub text_bytes: usize,
    /// Most bytes of waiting transactions, over all flows.
    pub pending_bytes: usize,
    /// Most waiting transactions of one flow.
    pub pending_transactions: usize,
}

impl Default for EveOptions {
    /// All records, no passwords, 1,024 bytes of a text, 64 MiB of waiting transactions and 1,024 per flow.
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

/// Counters of the encoder.
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
    /// Transactions written before their answer arrived, because of a cap.
    pub written_early: u64,
    /// Bytes of transactions waiting now.
    pub pending_bytes: usize,
}

/// A waiting transaction.
#[derive(Default)]
struct Transaction {
    /// The members of its `mqtt` object.
    text: Vec<u8>,
    /// Elements of `metadata.pktvars`: what that object has no field for.
    more: Vec<u8>,
    /// One bit per message type in it: an object has each member at most once.
    kinds: u16,
}

impl Transaction {
    /// Bytes of most transactions.
    const TYPICAL_BYTES: usize = 512;

    fn with_capacity() -> Transaction {
        Transaction { text: Vec::with_capacity(Transaction::TYPICAL_BYTES), ..Transaction::default() }
    }

    fn len(&self) -> usize {
        self.text.len() + self.more.len()
    }
}

/// The state of a flow that has had a record.
struct FlowState {
    community_id: String,
    open: BTreeMap<u64, Transaction>,
}

/// Encodes EVE records and writes them to `out`.
pub struct Encoder<W> {
    out: W,
    options: EveOptions,
    recorder: Recorder,
    flows: HashMap<u64, FlowState, foldhash::quality::RandomState>,
    counters: EveCounters,
    /// The first error of `out`; nothing is written after it.
    fault: Option<io::Error>,
}

impl<W: Write> Encoder<W> {
    /// An encoder that writes to `out`.
    pub fn new(out: W, options: EveOptions) -> Encoder<W> {
        Encoder {
            out,
            options,
            recorder: Recorder::default(),
            flows: HashMap::default(),
            counters: EveCounters::default(),
            fault: None,
        }
    }

    /// Sets the capture that the next records come from.
    pub fn begin_capture(&mut self, name: Option<&str>) {
        self.recorder.begin_capture(name);
    }

    /// Sets the interface that live packets come from.
    pub fn set_interface(&mut self, name: Option<&str>) {
        self.recorder.set_interface(name);
    }

    /// Writes that an incident was opened.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub fn incident_opened(&mut self, alert: &Alert) -> io::Result<()> {
        self.alert(alert, Stage::Opened)
    }

    /// Writes that an incident continues.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub fn incident_updated(&mut self, alert: &Alert) -> io::Result<()> {
        self.alert(alert, Stage::Updated)
    }

    /// Writes that an incident was closed.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub fn incident_closed(&mut self, alert: &Alert, reason: CloseReason) -> io::Result<()> {
        self.alert(alert, Stage::Closed(reason))
    }

    fn alert(&mut self, alert: &Alert, stage: Stage) -> io::Result<()> {
        if self.options.alert {
            self.recorder.alert(alert, stage);
            self.counters.alert += 1;
            self.put();
        }
        self.done()
    }

    /// Writes metrics.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub fn stats(&mut self, stats: &Stats) -> io::Result<()> {
        if self.options.stats {
            self.recorder.stats(stats);
            self.counters.stats += 1;
            self.put();
        }
        self.done()
    }

    /// Writes an alert that records were lost, with the number of records and of alerts among them.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub fn records_lost(&mut self, time_nanos: i64, records: u64, alerts: u64) -> io::Result<()> {
        if self.options.alert {
            self.recorder.records_lost(time_nanos, records, alerts);
            self.counters.alert += 1;
            self.put();
        }
        self.done()
    }

    /// Writes the records of a session's event.
    ///
    /// # Errors
    /// Writing failed; every later call then fails the same way.
    pub fn write(&mut self, event: SessionEvent<'_>) -> io::Result<()> {
        match event {
            SessionEvent::Message { context, direction, observed } => {
                if self.options.anomaly && !observed.violations.is_empty() {
                    self.anomalies(context, direction, observed);
                }
                if self.options.mqtt {
                    self.message(context, observed);
                }
            }
            SessionEvent::Gap { context, from_initiator, bytes } => {
                self.stream_fault(context, "stream.reassembly_seq_gap", from_initiator, Some(bytes));
            }
            SessionEvent::Conflict { context, from_initiator } => {
                let event = "stream.reassembly_overlap_different_data";
                self.stream_fault(context, event, from_initiator, None);
            }
            SessionEvent::BadFragment(fragment) => {
                if self.options.anomaly {
                    self.recorder.fragment_fault(&fragment);
                    self.counters.anomaly += 1;
                    self.put();
                }
            }
            SessionEvent::ClientHello { context, hello } if self.options.tls => {
                let community_id = &state(&mut self.flows, &self.recorder, context).community_id;
                self.recorder.client_hello(context, community_id, hello);
                self.counters.tls += 1;
                self.put();
            }
            SessionEvent::ClientHello { .. } => {}
            SessionEvent::FlowEnded(end) => {
                let context = EventContext { flow: end.flow, time_nanos: end.flow.last_nanos, packet: None };
                let state = self.flows.remove(&end.flow.id);
                let community_id = match &state {
                    Some(state) => state.community_id.clone(),
                    None if self.options.flow => self.recorder.community_id(end.flow, end.icmp),
                    None => String::new(),
                };
                for (number, transaction) in state.into_iter().flat_map(|state| state.open) {
                    self.counters.pending_bytes -= transaction.len();
                    self.transaction(context, &community_id, number, &transaction);
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

    /// The writer.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Flushes and returns the writer.
    ///
    /// # Errors
    /// The first error of writing.
    pub fn finish(mut self) -> io::Result<W> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.out.flush().map(|()| self.out),
        }
    }

    /// Counters so far.
    pub fn counters(&self) -> EveCounters {
        self.counters
    }

    fn put(&mut self) {
        if self.fault.is_none() {
            self.fault = self.out.write_all(self.recorder.line()).err();
        }
    }

    fn transaction(
        &mut self,
        context: EventContext<'_>,
        community_id: &str,
        number: u64,
        open: &Transaction,
    ) {
        self.recorder.transaction(context, community_id, number, &open.text, &open.more);
        self.counters.mqtt += 1;
        self.put();
    }

    fn message(&mut self, context: EventContext<'_>, observed: &Observed<'_>) {
        let redaction =
            Redaction { log_passwords: self.options.log_passwords, text_bytes: self.options.text_bytes };
        let Exchange { number, closed, .. } = observed.exchange;
        let state = state(&mut self.flows, &self.recorder, context);
        let mut transaction = state.open.remove(&number).unwrap_or_else(Transaction::with_capacity);
        self.counters.pending_bytes -= transaction.len();
        let mut ready = Vec::new();
        let bit = 1 << (observed.header.kind & 15);
        if transaction.kinds & bit != 0 {
            ready.push((number, std::mem::take(&mut transaction)));
        }
        let Transaction { text, more, .. } = &mut transaction;
        let (is_first, is_first_more) = (text.is_empty(), more.is_empty());
        let (mut json, mut more) = (Json::members(text, is_first), Json::members(more, is_first_more));
        mqtt::message(&mut json, &mut more, observed, redaction);
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
            self.transaction(context, &community_id, number, &transaction);
        }
    }

    fn anomalies(&mut self, context: EventContext<'_>, direction: Direction, observed: &Observed<'_>) {
        let community_id = state(&mut self.flows, &self.recorder, context).community_id.clone();
        mqtt::anomalies(observed, |event, violations| {
            self.recorder.anomaly(context, &community_id, direction, observed, event, violations);
            self.counters.anomaly += 1;
            self.put();
        });
    }

    fn stream_fault(
        &mut self,
        context: EventContext<'_>,
        event: &str,
        from_initiator: bool,
        bytes: Option<u64>,
    ) {
        if self.options.anomaly {
            let community_id = &state(&mut self.flows, &self.recorder, context).community_id;
            self.recorder.stream_fault(context, community_id, event, from_initiator, bytes);
            self.counters.anomaly += 1;
            self.put();
        }
    }
}

/// The state of a flow, created with its first record.
fn state<'a>(
    flows: &'a mut HashMap<u64, FlowState, foldhash::quality::RandomState>,
    recorder: &Recorder,
    context: EventContext<'_>,
) -> &'a mut FlowState {
    flows.entry(context.flow.id).or_insert_with(|| FlowState {
        community_id: recorder.community_id(context.flow, None),
        open: BTreeMap::new(),
    })
}

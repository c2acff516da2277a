//! `inspect --eve FILE|-`: MQTT transactions, violations, TLS ClientHellos and flows as EVE records.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use citronella_eve::{Encoder, EveOptions};
use citronella_sensor::{
    capture::Packet,
    flow::sessions::{Counters, Limits, Sessions},
    inspect::Inspector,
    output::Output,
};
use citronella_wire::Frame;
use tracing::warn;

use crate::show::count;

#[derive(clap::Args)]
pub(crate) struct EveArguments {
    /// Write EVE JSON records (Suricata's format) to FILE; - is stdout, instead of the tables
    #[arg(long, value_name = "FILE")]
    eve: Option<PathBuf>,
    /// Types of EVE records to write
    #[arg(long, value_name = "TYPES", value_delimiter = ',', requires = "eve", default_values = ["mqtt", "anomaly", "tls", "flow"])]
    eve_types: Vec<Kind>,
    /// Write the passwords of CONNECTs into the records, not only their lengths
    #[arg(long, requires = "eve")]
    log_passwords: bool,
    /// Truncate MQTT messages of more bytes
    #[arg(long, value_name = "BYTES", requires = "eve", default_value_t = Limits::default().mqtt.message_bytes)]
    max_message: u32,
    /// Cut texts and payloads of more bytes
    #[arg(long, value_name = "BYTES", requires = "eve", default_value_t = EveOptions::default().text_bytes)]
    max_text: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Mqtt,
    Anomaly,
    Tls,
    Flow,
}

impl EveArguments {
    pub(crate) fn is_stdout(&self) -> bool {
        self.eve.as_deref() == Some(Path::new("-"))
    }

    fn options(&self) -> EveOptions {
        let has = |kind| self.eve_types.contains(&kind);
        EveOptions {
            mqtt: has(Kind::Mqtt),
            anomaly: has(Kind::Anomaly),
            tls: has(Kind::Tls),
            flow: has(Kind::Flow),
            log_passwords: self.log_passwords,
            text_bytes: self.max_text,
            ..EveOptions::default()
        }
    }
}

/// EVE records of sessions, written to a file or stdout.
pub(crate) struct Eve {
    name: String,
    limits: Limits,
    sessions: Sessions,
    writer: Encoder<Output>,
    written_early: u64,
}

impl Eve {
    /// Creates the file; `None` if no records are requested.
    pub(crate) fn create(arguments: &EveArguments) -> Result<Option<Eve>> {
        let Some(path) = &arguments.eve else { return Ok(None) };
        let mut limits = Limits::default();
        limits.mqtt.message_bytes = arguments.max_message;
        Ok(Some(Eve {
            name: if arguments.is_stdout() { "stdout".to_owned() } else { path.display().to_string() },
            limits,
            sessions: Sessions::new(limits),
            writer: Encoder::new(Output::create(path)?, arguments.options()),
            written_early: 0,
        }))
    }

    /// Starts a capture; `name` is written into its records.
    pub(crate) fn begin_capture(&mut self, name: Option<&str>) {
        self.writer.begin_capture(name);
    }

    /// Writes the records of a packet, and passes its events to an inspector.
    pub(crate) fn packet(
        &mut self,
        packet: &Packet<'_>,
        frame: &Frame<'_>,
        mut inspector: Option<&mut Inspector>,
    ) -> Result<()> {
        let Eve { sessions, writer, name, .. } = self;
        let mut written = Ok(());
        sessions.frame(packet, frame, |event| {
            if let Some(inspector) = &mut inspector {
                inspector.event(&event);
            }
            written = writer.write(event);
        });
        written.with_context(|| format!("{name}: cannot write"))
    }

    /// Ends all flows of a capture; the next one starts without state.
    pub(crate) fn end_capture(&mut self, mut inspector: Option<&mut Inspector>) -> Result<()> {
        let Eve { sessions, writer, name, .. } = self;
        let mut written = Ok(());
        sessions.finish(|event| {
            if let Some(inspector) = &mut inspector {
                inspector.event(&event);
            }
            written = writer.write(event);
        });
        written.with_context(|| format!("{name}: cannot write"))?;
        report(&sessions.counters(), writer.counters().written_early - self.written_early);
        self.written_early = writer.counters().written_early;
        self.sessions = Sessions::new(self.limits);
        Ok(())
    }

    /// Flushes the file and renames it to its path.
    pub(crate) fn finish(self) -> Result<()> {
        let output = self.writer.finish().with_context(|| format!("{}: cannot write", self.name))?;
        Ok(output.commit()?)
    }
}

/// Reports on stderr what exceeded a limit.
fn report(counters: &Counters, written_early: u64) {
    let losses = [
        (counters.connections_over_cap, "connections were not read: too many at once"),
        (counters.connections_abandoned, "connections were abandoned: too many bytes of incomplete messages"),
        (counters.flows.evicted, "flows were ended early: the table was full"),
        (
            counters.fragments.iter().map(|level| level.evicted).sum(),
            "fragmented datagrams were not reassembled: too many at once",
        ),
        (counters.reassembly.direction_full, "gaps were forced by a direction's cap"),
        (counters.reassembly.total_full, "gaps were forced by the cap on all directions"),
        (written_early, "transactions were written before their response: too many were pending"),
    ];
    for (number, what) in losses.iter().filter(|(number, _)| *number > 0) {
        warn!(count = number, "{} {what}", count(*number));
    }
}

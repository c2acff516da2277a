//! Log messages on stderr: text for people, JSON lines for programs.
//!
//! Levels: `error` for what failed, `warn` for a result that is incomplete or misleading, `info` for progress and for
//! files that were written, `debug` for timings. A message is complete by itself; its fields repeat the data for
//! programs, so the text format leaves them out. A closed stderr is never an error.

use std::{
    fmt,
    io::{self, Write},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::progress;

#[derive(clap::Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogArguments {
    /// Format of the messages on stderr: text, or one JSON object a line
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Log messages of this level and of the more severe ones
    #[arg(long, global = true, value_enum, value_name = "LEVEL", default_value = "info")]
    log_level: LogLevel,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Level {
        match level {
            LogLevel::Error => Level::ERROR,
            LogLevel::Warn => Level::WARN,
            LogLevel::Info => Level::INFO,
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Trace => Level::TRACE,
        }
    }
}

impl LogArguments {
    /// Installs the process's subscriber. Call once, before the command runs.
    pub(crate) fn install(&self) {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::from(self.log_level))
            .with_writer(|| Stderr)
            .log_internal_errors(false);
        match self.log_format {
            LogFormat::Text => subscriber.event_format(TextFormat).init(),
            LogFormat::Json => subscriber.json().flatten_event(true).init(),
        }
    }
}

/// Writes whole lines, above the progress bar if there is one. Ignores errors: the reader of stderr may be gone, as in
/// `2>&1 | head`, where `eprintln!` would panic.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        progress::suspend(|| {
            let _ = io::stderr().lock().write_all(line);
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `citronella: MESSAGE` for errors, `citronella: warning: MESSAGE` for warnings, the bare message otherwise.
struct TextFormat;

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(match *event.metadata().level() {
            Level::ERROR => "citronella: ",
            Level::WARN => "citronella: warning: ",
            _ => "",
        })?;
        let mut message = Message { writer: writer.by_ref(), result: Ok(()) };
        event.record(&mut message);
        message.result?;
        writeln!(writer)
    }
}

/// Writes the field `message` of an event.
struct Message<'w> {
    writer: Writer<'w>,
    result: fmt::Result,
}

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.result = write!(self.writer, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
